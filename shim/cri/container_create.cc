#include "shim/cri/decode.h"
#include "shim/cri/rpc.h"

namespace podshim::cri {

Result<v1::CreateContainerResponse> create_container(Border& border, const v1::CreateContainerRequest& request) {
  const std::string doing = "create container " + request.config().metadata().name();
  if (request.pod_sandbox_id().empty()) return fail(Error::invalid("pod_sandbox_id", "is required").within(doing));
  const ContainerSpec spec = TRY_IN(decode_container(request), doing);
  const ContainerId id = TRY_IN(border.runtime.create_container(request.pod_sandbox_id(), spec), doing);
  v1::CreateContainerResponse out;
  out.set_container_id(id.str());
  return out;
}

Result<v1::StartContainerResponse> start_container(Border& border, const v1::StartContainerRequest& request) {
  TRY_IN(border.runtime.start_container(request.container_id()), "start container " + request.container_id());
  return v1::StartContainerResponse{};
}

}  // namespace podshim::cri
