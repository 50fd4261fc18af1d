// Deployments and ReplicaSets (apps/v1): a number of like Pods. Pure; any thread.
#pragma once

#include <chrono>
#include <string>

#include "common/kube/pod.h"
#include "common/kube/selector.h"

namespace podshim::kube {

// maxSurge and maxUnavailable: a number or a share of the replicas.
struct CountOrPercent {
  int number = 0;
  bool percent = false;
  int of(int replicas, bool round_up) const;
  bool operator==(const CountOrPercent&) const = default;
};

enum class WorkloadKind { deployment, replica_set };

struct Workload {
  WorkloadKind kind = WorkloadKind::deployment;
  ObjectMeta meta;
  int replicas = 1;
  Selector selector;
  Labels template_labels, template_annotations;
  PodSpec template_spec;
  std::string template_hash;    // of the template as it was written; a change rolls the Deployment out
  json::Value template_source;  // {metadata, spec} as given
  bool recreate = false;        // strategy Recreate
  CountOrPercent max_surge{.number = 25, .percent = true}, max_unavailable{.number = 25, .percent = true};
  std::chrono::seconds min_ready{0};
  bool paused = false;
  bool operator==(const Workload&) const = default;
};

std::string_view workload_kind_text(WorkloadKind kind);  // "Deployment"
Result<Workload> decode_workload(const json::Reader& object, Unknowns& unknowns);

// Ten characters of [bcdfghjklmnpqrstvwxz2456789], as Kubernetes names its ReplicaSets. FNV-1a; stable over versions.
std::string short_hash(std::string_view text, std::size_t characters = 10);

}  // namespace podshim::kube
