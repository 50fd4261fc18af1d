#include "shim/cri/timeline.h"

#include "common/json.h"
#include "shim/cri/encode.h"
#include "shim/cri/rpc.h"

namespace podshim::cri {
namespace {

json::Value to_json(const OperationTimeline& t) {
  auto stages = json::Value::array();
  for (const auto& s : t.stages)
    stages.push(json::Value::object()
                    .set("name", s.name)
                    .set("offsetUs", static_cast<std::int64_t>(s.offset.count()))
                    .set("tookUs", static_cast<std::int64_t>(s.took.count())));
  auto out = json::Value::object();
  out.set("operation", t.operation)
      .set("beganAtNs", t.began_at_ns)
      .set("tookUs", static_cast<std::int64_t>(t.took.count()))
      .set("stages", std::move(stages));
  if (!t.container.empty()) out.set("containerID", t.container).set("containerName", t.name);
  return out;
}

// "namespace/name": the newest sandbox of that name; else an id or its beginning.
Result<std::shared_ptr<const SandboxView>> find_pod(Border& border, const std::string& pod) {
  const auto slash = pod.find('/');
  if (slash == std::string::npos) return border.runtime.sandbox(pod);
  const std::string name_space = pod.substr(0, slash), name = pod.substr(slash + 1);
  std::shared_ptr<const SandboxView> newest;
  const auto snapshot = border.runtime.snapshot();
  for (const auto& view : snapshot->sandboxes)
    if (view->spec.metadata.name_space == name_space && view->spec.metadata.name == name) newest = view;
  if (!newest) return fail(Error::of(ErrorKind::not_found, "find Pod", pod, "no sandbox has this name"));
  return newest;
}

}  // namespace

std::string timeline_info(const std::vector<OperationTimeline>& operations) {
  auto out = json::Value::array();
  for (const auto& t : operations) out.push(to_json(t));
  return json::dump(out);
}

std::string timeline_info(const std::vector<OperationTimeline>& operations, const std::string& container) {
  auto out = json::Value::array();
  for (const auto& t : operations)
    if (t.container == container) out.push(to_json(t));
  return json::dump(out);
}

Result<admin::TimelineResponse> admin_timeline(Border& border, const admin::TimelineRequest& request) {
  const auto view = TRY(find_pod(border, request.pod()));
  admin::TimelineResponse out;
  out.set_sandbox_id(view->id.str());
  out.set_namespace_(utf8(view->spec.metadata.name_space));
  out.set_name(utf8(view->spec.metadata.name));
  for (const auto& t : border.runtime.timeline(view->id)) {
    auto* operation = out.add_operations();
    operation->set_operation(t.operation);
    operation->set_container_id(t.container);
    operation->set_container_name(utf8(t.name));
    operation->set_began_at_ns(t.began_at_ns);
    operation->set_took_us(t.took.count());
    for (const auto& s : t.stages) {
      auto* stage = operation->add_stages();
      stage->set_name(s.name);
      stage->set_offset_us(s.offset.count());
      stage->set_took_us(s.took.count());
    }
  }
  return out;
}

}  // namespace podshim::cri
