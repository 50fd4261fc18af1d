#include "shim/cri/decode_common.h"
#include "shim/cri/rpc.h"

namespace podshim::cri {

// Without a `linux` there is nothing to change. Annotations are for plugins (NRI); hugepage limits and oom_score_adj
// are ignored, as containerd and CRI-O do.
Result<v1::UpdateContainerResourcesResponse> update_container_resources(
    Border& border, const v1::UpdateContainerResourcesRequest& request) {
  const std::string doing = "update container " + request.container_id();
  const Resources change = TRY_IN(decode_limits("linux", request.linux()), doing);
  TRY_IN(border.runtime.update_container(request.container_id(), change), doing);
  return v1::UpdateContainerResourcesResponse{};
}

}  // namespace podshim::cri
