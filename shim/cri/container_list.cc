#include "shim/cri/encode.h"
#include "shim/cri/filter.h"
#include "shim/cri/rpc.h"
#include "shim/cri/timeline.h"

namespace podshim::cri {

Result<v1::ContainerStatusResponse> container_status(Border& border, const v1::ContainerStatusRequest& request) {
  const auto view = TRY(border.runtime.container(request.container_id()));
  v1::ContainerStatusResponse out;
  encode_container_status(*view, out.mutable_status());
  if (request.verbose()) {
    (*out.mutable_info())["info"] = container_info(*view);
    (*out.mutable_info())["timeline"] = timeline_info(border.runtime.timeline(view->sandbox), view->id.str());
  }
  return out;
}

Result<Encoded> list_containers(Border& border, const v1::ListContainersRequest& request) {
  const auto snapshot = border.runtime.snapshot();
  Encoded out;
  out.bytes.reserve(snapshot->containers.size() * kItemBytes);
  for (const auto& view : snapshot->containers)
    if (matches(request.filter(), *view)) border.items.containers.append(view, &out.bytes);
  return out;
}

}  // namespace podshim::cri
