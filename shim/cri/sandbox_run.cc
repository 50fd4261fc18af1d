#include "shim/cri/decode.h"
#include "shim/cri/rpc.h"

namespace podshim::cri {

Result<v1::RunPodSandboxResponse> run_pod_sandbox(Border& border, const v1::RunPodSandboxRequest& request) {
  const SandboxSpec spec = TRY_IN(decode_sandbox(request), "run sandbox " + request.config().metadata().name());
  const SandboxId id = TRY_IN(border.runtime.run_sandbox(spec), "run sandbox " + spec.metadata.name);
  v1::RunPodSandboxResponse out;
  out.set_pod_sandbox_id(id.str());
  return out;
}

}  // namespace podshim::cri
