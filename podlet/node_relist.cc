// The once-a-second look at everything (the kubelet's PLEG): two list calls, details only where something changed.
#include <algorithm>

#include "common/log.h"
#include "podlet/node.h"

namespace podshim::podlet {

void Node::relist() {
  relisting_ = true;
  forgotten_.clear();
  next_relist_ = clock_.now() + options_.relist;
  executor_.submit(Lane::observe, [this, known = runtime_known_] {
    std::string name;
    if (!known) {
      if (auto version = runtime_.version()) name = version->runtime_name;
    }
    auto sandboxes = std::make_shared<Result<std::vector<CriSandbox>>>(runtime_.list_sandboxes(""));
    auto containers = std::make_shared<Result<std::vector<CriContainer>>>(runtime_.list_containers(""));
    post([this, name, sandboxes, containers] {
      if (!name.empty()) {
        runtime_known_ = true;
        options_.facts.runtime_volumes = name == "podshim";
        for (auto& [uid, e] : pods_) e.dirty = true;
      }
      take_relist(*sandboxes, *containers);
    });
  });
}

void Node::take_relist(const Result<std::vector<CriSandbox>>& sandboxes,
                       const Result<std::vector<CriContainer>>& containers) {
  relisting_ = false;
  std::string error = !sandboxes ? sandboxes.error().text() : !containers ? containers.error().text() : "";
  if (error != runtime_error_) {
    if (error.empty()) {
      log::info("the runtime answers");
    } else {
      log::error("the runtime does not answer", {{"why", error}});
    }
    runtime_error_ = error;
  }
  if (!error.empty()) return;
  // A busy Pod is looked at when its job has ended, unless it is to go: the job may hang.
  for (auto& [uid, e] : pods_)
    if ((e.busy.empty() || e.record.deleted) && (!e.seen.known || differs(e, *sandboxes, *containers))) observe(e);
  adopt_orphans(*sandboxes);
}

bool Node::differs(const PodEntry& e, const std::vector<CriSandbox>& sandboxes,
                   const std::vector<CriContainer>& containers) const {
  std::size_t s_count = 0, c_count = 0;
  auto mine = [&](const StringMap& labels) {
    auto found = labels.find(kPodUidLabel);
    return found != labels.end() && found->second == e.record.uid;
  };
  for (const auto& s : sandboxes) {
    if (!mine(s.labels)) continue;
    s_count++;
    const auto* old = e.seen.find_sandbox(s.id);
    if (old == nullptr || old->ready != s.ready) return true;
  }
  for (const auto& c : containers) {
    if (!mine(c.labels)) continue;
    c_count++;
    auto old = std::ranges::find(e.seen.containers, c.id, &CriContainer::id);
    if (old == e.seen.containers.end() || old->state != c.state) return true;
  }
  return s_count != e.seen.sandboxes.size() || c_count != e.seen.containers.size();
}

// Sandboxes that this podlet made and has no record of (a deletion that was cut short): they are removed.
void Node::adopt_orphans(const std::vector<CriSandbox>& sandboxes) {
  for (const auto& s : sandboxes) {
    auto maker = s.annotations.find(kPodletAnnotation);
    auto uid = s.labels.find(kPodUidLabel);
    if (maker == s.annotations.end() || maker->second != options_.facts.podlet_id || uid == s.labels.end()) continue;
    if (uid->second.empty() || pods_.contains(uid->second) || forgotten_.contains(uid->second)) continue;
    auto& e = pods_[uid->second];
    e.record = {.uid = uid->second, .created = s.created, .deleted = clock_.now()};
    e.record.pod.meta = {.name = s.name, .name_space = s.name_space, .uid = uid->second};
    e.record.delete_reason = "podlet has no record of this Pod";
    changed_backends_.push_back(&e);
    event(e.key(), true, "Orphan", "podlet made it and has no record of it; it is removed");
    observe(e);
  }
}

}  // namespace podshim::podlet
