#include "shim/cri/encode.h"
#include "shim/cri/filter.h"
#include "shim/cri/rpc.h"

namespace podshim::cri {

Result<v1::ContainerStatusResponse> container_status(Border& border, const v1::ContainerStatusRequest& request) {
  const auto view = TRY(border.runtime.container(request.container_id()));
  v1::ContainerStatusResponse out;
  encode_container_status(*view, out.mutable_status());
  if (request.verbose()) (*out.mutable_info())["info"] = container_info(*view);
  return out;
}

Result<v1::ListContainersResponse> list_containers(Border& border, const v1::ListContainersRequest& request) {
  const auto snapshot = border.runtime.snapshot();
  v1::ListContainersResponse out;
  for (const auto& view : snapshot->containers)
    if (matches(request.filter(), *view)) encode_container(*view, out.add_containers());
  return out;
}

}  // namespace podshim::cri
