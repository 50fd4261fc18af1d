#include "podlet/deployment.h"

#include <algorithm>

namespace podshim::podlet {
namespace {

bool available(const OwnedPod& p, const kube::Workload& w, Time now) {
  return !p.deleting && !p.ended && p.ready_since && now - *p.ready_since >= w.min_ready;
}

// Which Pod is missed least: not running, then not ready, then the youngest; names make the order total.
bool goes_before(const OwnedPod& a, const OwnedPod& b) {
  if (a.running != b.running) return !a.running;
  if (a.ready_since.has_value() != b.ready_since.has_value()) return !a.ready_since;
  return a.created != b.created ? a.created > b.created : a.uid < b.uid;
}

bool is_current(const OwnedPod& p, const kube::Workload& w) {
  return w.kind == kube::WorkloadKind::replica_set || p.template_hash == w.template_hash;
}

struct Sets {
  std::vector<OwnedPod> current, old;  // neither deleting nor ended; least missed first
  int leaving = 0;                     // deleting, still there
};

Sets sort_out(const kube::Workload& w, const std::vector<OwnedPod>& pods, WorkloadPlan& plan) {
  Sets out;
  for (const auto& p : pods) {
    if (p.deleting) {
      out.leaving++;
    } else if (p.ended) {
      plan.remove.push_back(p.uid);  // a workload's Pod restarts always: it can only have failed for good
    } else {
      (is_current(p, w) ? out.current : out.old).push_back(p);
    }
  }
  std::ranges::sort(out.current, goes_before);
  std::ranges::sort(out.old, goes_before);
  return out;
}

void take(std::vector<OwnedPod>& from, int count, WorkloadPlan& plan) {
  for (int i = 0; i < count && !from.empty(); i++) {
    plan.remove.push_back(from.front().uid);
    from.erase(from.begin());
  }
}

void roll(const kube::Workload& w, Sets& sets, Time now, WorkloadPlan& plan) {
  int surge = w.max_surge.of(w.replicas, true);
  int unavailable = w.max_unavailable.of(w.replicas, false);
  if (surge == 0 && unavailable == 0) unavailable = 1;
  int total = static_cast<int>(sets.current.size() + sets.old.size());
  int missing = w.replicas - static_cast<int>(sets.current.size());
  plan.create = std::max(0, std::min(missing, w.replicas + surge - total));
  auto count = [&](const auto& list) {
    return static_cast<int>(std::ranges::count_if(list, [&](const auto& p) { return available(p, w, now); }));
  };
  int spare = count(sets.current) + count(sets.old) - (w.replicas - unavailable);
  // Old Pods that serve nobody go first, but never more than leave the promised number, counting new ones that are not
  // ready yet as missing; of the others as many as can be spared.
  int useless = static_cast<int>(std::ranges::count_if(sets.old, [&](const auto& p) { return !available(p, w, now); }));
  int unready_new = static_cast<int>(sets.current.size()) - count(sets.current);
  useless = std::clamp(total - (w.replicas - unavailable) - unready_new, 0, useless);
  take(sets.old, useless + std::clamp(spare, 0, static_cast<int>(sets.old.size()) - useless), plan);
}

}  // namespace

WorkloadPlan plan_workload(const kube::Workload& w, std::vector<OwnedPod> pods, Time now) {
  WorkloadPlan plan;
  auto sets = sort_out(w, pods, plan);
  if (w.min_ready.count() > 0) {
    for (const auto& p : pods) {
      if (!p.ready_since || *p.ready_since + w.min_ready <= now) continue;
      auto at = *p.ready_since + w.min_ready;
      plan.wake = plan.wake ? std::min(*plan.wake, at) : at;
    }
  }
  if (w.paused && !sets.old.empty()) {  // scaled, but not rolled out
    int all = static_cast<int>(sets.old.size() + sets.current.size());
    take(sets.old, all - w.replicas, plan);
    return plan;
  }
  int too_many = static_cast<int>(sets.current.size()) - w.replicas;
  if (too_many > 0) take(sets.current, too_many, plan);
  if (sets.old.empty()) {
    plan.create = std::max(0, -too_many);
  } else if (w.recreate) {
    take(sets.old, static_cast<int>(sets.old.size()), plan);
  } else {
    roll(w, sets, now, plan);
  }
  // Recreate: nothing new before the last old one is gone.
  bool old_leaving = std::ranges::any_of(pods, [&](const auto& p) { return p.deleting && !is_current(p, w); });
  if (w.recreate && old_leaving) plan.create = 0;
  return plan;
}

WorkloadStatus workload_status(const kube::Workload& w, const std::vector<OwnedPod>& pods, Time now) {
  WorkloadStatus out;
  for (const auto& p : pods) {
    if (p.deleting || p.ended) continue;
    out.replicas++;
    out.updated += is_current(p, w) ? 1 : 0;
    out.ready += p.ready_since ? 1 : 0;
    out.available += available(p, w, now) ? 1 : 0;
  }
  out.complete = out.replicas == w.replicas && out.updated == w.replicas && out.available == w.replicas;
  return out;
}

}  // namespace podshim::podlet
