#include "shim/cri/filter.h"

#include "shim/cri/encode.h"

namespace podshim::cri {
namespace {

using StringMap = google::protobuf::Map<std::string, std::string>;

bool has_labels(const StringMap& selector, const std::map<std::string, std::string>& labels) {
  for (const auto& [key, value] : selector) {
    const auto it = labels.find(key);
    if (it == labels.end() || it->second != value) return false;
  }
  return true;
}

}  // namespace

bool matches(const v1::PodSandboxFilter& filter, const SandboxView& view) {
  return view.id.str().starts_with(filter.id()) &&
         (!filter.has_state() || filter.state().state() == encode_state(view.state)) &&
         has_labels(filter.label_selector(), view.spec.labels);
}

bool matches(const v1::PodSandboxStatsFilter& filter, const SandboxView& view) {
  return view.id.str().starts_with(filter.id()) && has_labels(filter.label_selector(), view.spec.labels);
}

bool matches(const v1::ContainerFilter& filter, const ContainerView& view) {
  return view.id.str().starts_with(filter.id()) && view.sandbox.str().starts_with(filter.pod_sandbox_id()) &&
         (!filter.has_state() || filter.state().state() == encode_state(view.state)) &&
         has_labels(filter.label_selector(), view.spec.labels);
}

bool matches(const v1::ContainerStatsFilter& filter, const ContainerView& view) {
  return view.id.str().starts_with(filter.id()) && view.sandbox.str().starts_with(filter.pod_sandbox_id()) &&
         has_labels(filter.label_selector(), view.spec.labels);
}

}  // namespace podshim::cri
