// Items: the encoded elements of the List answers. A status is made of the object as it is now, not of a published
// view, so there is nothing to find again.
#pragma once

#include "shim/cri/item_cache.h"

namespace podshim::cri {

std::string sandbox_item(const SandboxView& view);            // a PodSandbox
std::string container_item(const ContainerView& view);        // a Container
std::string container_attributes(const ContainerView& view);  // a ContainerAttributes
std::string sandbox_attributes(const SandboxView& view);      // a PodSandboxAttributes

inline constexpr std::size_t kItemBytes = 512;  // of a usual one, to make room for a list at once

struct Items {
  ItemCache<SandboxView> sandboxes{sandbox_item};
  ItemCache<ContainerView> containers{container_item};
  ItemCache<ContainerView> attributes{container_attributes};
  ItemCache<SandboxView> sandbox_attributes{cri::sandbox_attributes};
};

}  // namespace podshim::cri
