// What the daemon tells about its own work: timelines, counters.
#include <algorithm>

#include "common/sys/file.h"
#include "shim/lifecycle/node_runtime.h"

namespace podshim::lifecycle {

void NodeRuntime::observe_stages(const StageObserver& observer) {
  sandbox_runs_.observe(observer);
  container_creates_.observe(observer);
  for (auto* operations : {&sandbox_ends_, &starts_, &container_ends_, &updates_, &sandbox_updates_})
    operations->observe(observer);
}

std::vector<OperationTimeline> NodeRuntime::timeline(const SandboxId& id) const {
  std::vector<OperationTimeline> out;
  auto sandbox = table_.sandbox(id.str()).value_or(nullptr);
  if (!sandbox) return out;
  {
    std::lock_guard lock(sandbox->mutex);
    out.push_back(sandbox->start);
  }
  for (const auto& container : table_.containers_of(id)) {
    std::lock_guard lock(container->mutex);
    for (const auto* one : {&container->creation, &container->start}) {
      if (one->stages.empty()) continue;
      out.push_back(*one);
      out.back().container = container->id.str();
      out.back().name = container->record.spec.metadata.name;
    }
  }
  if (out.front().stages.empty()) out.erase(out.begin());
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.began < b.began; });
  return out;
}

RuntimeCounters NodeRuntime::counters() const {
  RuntimeCounters out{.subscribers = published_.events().subscribers(), .network_debts = journal_.debts()};
  std::lock_guard lock(notes_);
  out.quarantined = quarantined_.size();
  out.unreached_monitors = unreached_.size();
  return out;
}

}  // namespace podshim::lifecycle
