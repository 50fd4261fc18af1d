#include "shim/cri/items.h"

#include "shim/cri/encode.h"

namespace podshim::cri {

std::string sandbox_item(const SandboxView& view) {
  v1::PodSandbox item;
  encode_sandbox(view, &item);
  return item.SerializeAsString();
}

std::string container_item(const ContainerView& view) {
  v1::Container item;
  encode_container(view, &item);
  return item.SerializeAsString();
}

std::string container_attributes(const ContainerView& view) {
  v1::ContainerAttributes item;
  encode_attributes(view, &item);
  return item.SerializeAsString();
}

}  // namespace podshim::cri
