#include "shim/cri/items.h"

#include "shim/cri/encode.h"

namespace podshim::cri {
namespace {

template <typename Message, typename View>
std::string bytes_of(const View& view, void (*encode)(const View&, Message*)) {
  Message message;
  encode(view, &message);
  return message.SerializeAsString();
}

}  // namespace

std::string sandbox_item(const SandboxView& view) { return bytes_of<v1::PodSandbox>(view, encode_sandbox); }
std::string container_item(const ContainerView& view) { return bytes_of<v1::Container>(view, encode_container); }
std::string container_attributes(const ContainerView& view) {
  return bytes_of<v1::ContainerAttributes>(view, encode_attributes);
}
std::string sandbox_attributes(const SandboxView& view) {
  return bytes_of<v1::PodSandboxAttributes>(view, encode_attributes);
}

}  // namespace podshim::cri
