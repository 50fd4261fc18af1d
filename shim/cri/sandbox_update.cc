#include "shim/cri/decode_common.h"
#include "shim/cri/rpc.h"

namespace podshim::cri {
namespace {

Result<std::optional<Resources>> decode(const char* field, bool given, const v1::LinuxContainerResources& resources) {
  if (!given) return std::optional<Resources>();
  return std::optional<Resources>(TRY(decode_limits(field, resources)));
}

}  // namespace

Result<v1::UpdatePodSandboxResourcesResponse> update_pod_sandbox_resources(
    Border& border, const v1::UpdatePodSandboxResourcesRequest& request) {
  const std::string doing = "update sandbox " + request.pod_sandbox_id();
  const auto overhead = TRY_IN(decode("overhead", request.has_overhead(), request.overhead()), doing);
  const auto resources = TRY_IN(decode("resources", request.has_resources(), request.resources()), doing);
  TRY_IN(border.runtime.update_sandbox(request.pod_sandbox_id(), overhead, resources), doing);
  return v1::UpdatePodSandboxResourcesResponse{};
}

}  // namespace podshim::cri
