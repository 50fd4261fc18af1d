// Items: the encoded elements of the List answers.
#pragma once

#include "shim/cri/item_cache.h"

namespace podshim::cri {

std::string sandbox_item(const SandboxView& view);            // a PodSandbox
std::string container_item(const ContainerView& view);        // a Container
std::string container_attributes(const ContainerView& view);  // a ContainerAttributes

struct Items {
  ItemCache<SandboxView> sandboxes{sandbox_item};
  ItemCache<ContainerView> containers{container_item};
  ItemCache<ContainerView> attributes{container_attributes};
};

}  // namespace podshim::cri
