#include "podlet/pod_record.h"

#include <algorithm>

namespace podshim::podlet {

json::Value encode_record(const PodRecord& r) {
  json::Value out;
  out.set("uid", r.uid).set("owner", r.owner).set("templateHash", r.template_hash).set("created", to_nanos(r.created));
  if (r.deleted) {
    out.set("deleted", to_nanos(*r.deleted)).set("deleteGrace", static_cast<std::int64_t>(r.grace.count()));
    out.set("deleteReason", r.delete_reason);
  }
  if (!r.ready_containers.empty()) out.set("readyContainers", json::Value::strings(r.ready_containers));
  out.set("pod", r.source);
  return out;
}

Result<PodRecord> decode_record(const json::Value& value, const std::string& file) {
  auto r = TRY(json::Reader::of(value, "", file));
  PodRecord out;
  out.uid = TRY(r.string("uid"));
  out.owner = TRY(r.string_or("owner", ""));
  out.template_hash = TRY(r.string_or("templateHash", ""));
  out.created = from_nanos(TRY(r.integer("created")));
  if (auto deleted = TRY(r.opt_integer("deleted"))) out.deleted = from_nanos(*deleted);
  out.grace = std::chrono::seconds(TRY(r.integer_or("deleteGrace", 30, 0)));
  out.delete_reason = TRY(r.string_or("deleteReason", ""));
  out.ready_containers = TRY(r.strings("readyContainers"));
  auto pod = TRY(r.object("pod"));
  kube::Unknowns ignored;  // reported when the manifest was read
  out.pod = TRY(kube::decode_pod(pod, ignored));
  out.pod.meta.uid = out.uid;
  out.source = pod.value();
  return out;
}

const CriSandbox* PodObserved::find_sandbox(const std::string& id) const {
  auto found = std::ranges::find(sandboxes, id, &CriSandbox::id);
  return found == sandboxes.end() ? nullptr : &*found;
}

const CriContainer* PodObserved::newest(const std::string& name) const {
  auto found = std::ranges::find(containers, name, &CriContainer::name);
  return found == containers.end() ? nullptr : &*found;
}

const CriContainer* PodObserved::newest_in(const std::string& name, const std::string& sandbox) const {
  auto found =
      std::ranges::find_if(containers, [&](const auto& c) { return c.name == name && c.sandbox_id == sandbox; });
  return found == containers.end() ? nullptr : &*found;
}

const CriContainer* PodObserved::before(const CriContainer& than) const {
  bool passed = false;
  for (const auto& c : containers) {
    if (c.id == than.id) {
      passed = true;
    } else if (passed && c.name == than.name && c.state == CriState::exited) {
      return &c;
    }
  }
  return nullptr;
}

bool PodObserved::any_running() const { return std::ranges::any_of(containers, may_run); }

void PodObserved::sort() {
  auto newer = [](const auto& a, const auto& b) {
    if (a.created != b.created) return a.created > b.created;
    return a.attempt != b.attempt ? a.attempt > b.attempt : a.id < b.id;
  };
  std::ranges::sort(sandboxes, newer);
  std::ranges::sort(containers, newer);
}

}  // namespace podshim::podlet
