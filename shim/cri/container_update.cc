#include "shim/cri/decode_common.h"
#include "shim/cri/rpc.h"

namespace podshim::cri {

// Without a `linux` there is nothing to change. Annotations are for plugins (NRI); hugepage limits and oom_score_adj
// are ignored, as containerd and CRI-O do.
Result<v1::UpdateContainerResourcesResponse> update_container_resources(
    Border& border, const v1::UpdateContainerResourcesRequest& request) {
  const Resources change = TRY(decode_limits("linux", request.linux()));
  TRY(border.runtime.update_container(request.container_id(), change));
  return v1::UpdateContainerResourcesResponse{};
}

}  // namespace podshim::cri
