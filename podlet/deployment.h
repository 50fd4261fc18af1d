// Deployments and ReplicaSets: workload x its Pods -> Pods to make and to delete. Kubernetes' rolling update: never
// more than replicas + maxSurge Pods, never fewer than replicas - maxUnavailable available ones; Pods that are not
// ready go first. Pure: names are made by the caller. Any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/kube/workload.h"
#include "podlet/clock.h"

namespace podshim::podlet {

struct OwnedPod {
  std::string uid, template_hash;
  bool running = false;             // has begun to run
  std::optional<Time> ready_since;  // nullopt = not ready
  bool ended = false;               // Succeeded or Failed
  bool deleting = false;
  Time created;
};

struct WorkloadPlan {
  int create = 0;                   // of the current template
  std::vector<std::string> remove;  // uids
  std::optional<Time> wake;
};

struct WorkloadStatus {
  int replicas = 0, updated = 0, ready = 0, available = 0;
  bool complete = false;  // all replicas are updated and available
};

WorkloadPlan plan_workload(const kube::Workload& workload, std::vector<OwnedPod> pods, Time now);
WorkloadStatus workload_status(const kube::Workload& workload, const std::vector<OwnedPod>& pods, Time now);

}  // namespace podshim::podlet
