// The metrics of ListMetricDescriptors and ListPodSandboxMetrics: one row each, with name, help, type, label keys and
// the function that gives its series; so no metric can be told of without a source, or the other way round.
// docs/stats.md says where each figure comes from. Pure; any thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "shim/lifecycle/stats.h"

namespace podshim::cri {

// What a series has beside the labels that all have: values of the row's own keys.
using Emit = std::function<void(const std::vector<std::string>& labels, std::uint64_t value)>;

struct ContainerSource {
  const ContainerMetrics& container;
  const std::optional<FilesystemSpace>& layers;
};

struct MetricRow {
  const char* name;
  const char* help;
  bool counter;
  std::vector<std::string> own_keys;
  // One of them: of each container, or of each link of a Pod.
  void (*of_container)(const ContainerSource&, const Emit&) = nullptr;
  std::uint64_t LinkUse::* of_link = nullptr;
  // Of what is not read for the answer: when it was, in nanoseconds since 1970. CRI wants 0 for the others.
  std::int64_t (*read_at_ns)(const ContainerSource&) = nullptr;
};

// The label keys of every metric, those that a kubelet's cAdvisor has.
const std::vector<std::string>& base_label_keys();
const std::vector<MetricRow>& metric_table();

}  // namespace podshim::cri
