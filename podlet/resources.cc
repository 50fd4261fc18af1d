#include <algorithm>

#include "podlet/pod_config.h"

namespace podshim::podlet {

// kubelet: pkg/apis/core/v1/helper/qos. Guaranteed: every container has cpu and memory limits, equal to its requests.
Qos pod_qos(const kube::PodSpec& spec) {
  bool any = false, all = true;
  for (const auto* list : {&spec.init_containers, &spec.containers}) {
    for (const auto& c : *list) {
      const auto& r = c.resources;
      auto set = [](const auto& q) { return q && q->milli() > 0; };
      any = any || set(r.cpu_request) || set(r.memory_request) || set(r.cpu_limit) || set(r.memory_limit);
      all = all && set(r.cpu_limit) && set(r.memory_limit) && r.cpu_request == r.cpu_limit &&
            r.memory_request == r.memory_limit;
    }
  }
  return !any ? Qos::best_effort : all ? Qos::guaranteed : Qos::burstable;
}

std::string_view qos_text(Qos qos) {
  switch (qos) {
    case Qos::guaranteed:
      return "Guaranteed";
    case Qos::burstable:
      return "Burstable";
    case Qos::best_effort:
      return "BestEffort";
  }
  return "?";
}

namespace {

// kubelet: pkg/kubelet/qos/policy.go.
std::int64_t oom_score(const kube::Container& c, Qos qos, std::int64_t capacity) {
  if (qos == Qos::guaranteed) return -997;
  if (qos == Qos::best_effort || capacity <= 0) return 1000;
  std::int64_t request = c.resources.memory_request ? c.resources.memory_request->whole() : 0;
  auto share = static_cast<std::int64_t>(1000.0 * static_cast<double>(request) / static_cast<double>(capacity));
  return std::clamp<std::int64_t>(1000 - share, 3, 999);
}

}  // namespace

CriResources container_resources(const kube::Container& c, Qos qos, std::int64_t memory_capacity) {
  constexpr std::int64_t kPeriod = 100'000, kMinQuota = 1000, kMinShares = 2, kMaxShares = 262'144;
  CriResources out;
  const auto& r = c.resources;
  std::int64_t request = r.cpu_request ? r.cpu_request->milli() : 0;
  out.cpu_shares = std::clamp(request * 1024 / 1000, kMinShares, kMaxShares);
  if (r.cpu_limit && r.cpu_limit->milli() > 0) {
    out.cpu_period = kPeriod;
    out.cpu_quota = std::max(r.cpu_limit->milli() * kPeriod / 1000, kMinQuota);
  }
  if (r.memory_limit) out.memory_limit = r.memory_limit->whole();
  out.oom_score_adj = oom_score(c, qos, memory_capacity);
  return out;
}

}  // namespace podshim::podlet
