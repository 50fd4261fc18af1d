#include "shim/cri/rpc.h"

namespace podshim::cri {

Result<v1::StopPodSandboxResponse> stop_pod_sandbox(Border& border, const v1::StopPodSandboxRequest& request) {
  TRY_IN(border.runtime.stop_sandbox(request.pod_sandbox_id()), "stop sandbox " + request.pod_sandbox_id());
  return v1::StopPodSandboxResponse{};
}

Result<v1::RemovePodSandboxResponse> remove_pod_sandbox(Border& border, const v1::RemovePodSandboxRequest& request) {
  TRY_IN(border.runtime.remove_sandbox(request.pod_sandbox_id()), "remove sandbox " + request.pod_sandbox_id());
  return v1::RemovePodSandboxResponse{};
}

}  // namespace podshim::cri
