#include <chrono>

#include "shim/cri/encode.h"
#include "shim/cri/filter.h"
#include "shim/cri/rpc.h"
#include "shim/cri/timeline.h"

namespace podshim::cri {

Result<v1::PodSandboxStatusResponse> pod_sandbox_status(Border& border, const v1::PodSandboxStatusRequest& request) {
  v1::PodSandboxStatusResponse out;
  // Of the time before the looks: a kubelet with EventedPLEG takes the newer of two answers by it.
  out.set_timestamp(std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count());
  const auto view = TRY(border.runtime.sandbox(request.pod_sandbox_id()));
  encode_sandbox_status(*view, out.mutable_status());
  for (const auto& container : border.runtime.containers_of(view->id))
    encode_container_status(*container, out.add_containers_statuses());
  if (request.verbose()) {
    (*out.mutable_info())["info"] = sandbox_info(*view);
    (*out.mutable_info())["timeline"] = timeline_info(border.runtime.timeline(view->id));
  }
  return out;
}

Result<Encoded> list_pod_sandbox(Border& border, const v1::ListPodSandboxRequest& request) {
  const auto snapshot = border.runtime.snapshot();
  Encoded out;
  out.bytes.reserve(snapshot->sandboxes.size() * kItemBytes);
  for (const auto& view : snapshot->sandboxes)
    if (matches(request.filter(), *view)) border.items.sandboxes.append(view, &out.bytes);
  return out;
}

}  // namespace podshim::cri
