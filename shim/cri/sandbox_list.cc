#include "shim/cri/encode.h"
#include "shim/cri/filter.h"
#include "shim/cri/rpc.h"

namespace podshim::cri {

Result<v1::PodSandboxStatusResponse> pod_sandbox_status(Border& border, const v1::PodSandboxStatusRequest& request) {
  const auto view = TRY(border.runtime.sandbox(request.pod_sandbox_id()));
  v1::PodSandboxStatusResponse out;
  encode_sandbox_status(*view, out.mutable_status());
  if (request.verbose()) (*out.mutable_info())["info"] = sandbox_info(*view);
  return out;
}

Result<Encoded> list_pod_sandbox(Border& border, const v1::ListPodSandboxRequest& request) {
  const auto snapshot = border.runtime.snapshot();
  Encoded out;
  for (const auto& view : snapshot->sandboxes)
    if (matches(request.filter(), *view)) border.items.sandboxes.append(view, &out.bytes);
  return out;
}

}  // namespace podshim::cri
