#include "shim/cri/encode.h"
#include "shim/cri/metric_table.h"
#include "shim/cri/rpc.h"

namespace podshim::cri {
namespace {

constexpr int kLabelValues = v1::Metric::kLabelValuesFieldNumber;

// Metrics of one container or Pod: their common labels are encoded once.
class Series {
 public:
  // In the order of base_label_keys().
  Series(int field, const std::array<std::string, 6>& base, std::string* out) : field_(field), out_(out) {
    for (const auto& value : base) append_field(kLabelValues, value, &base_);
  }
  void of(const MetricRow& row, std::int64_t read_at_ns = 0) {
    metric_.set_timestamp(read_at_ns);
    metric_.set_name(row.name);
    metric_.set_metric_type(row.counter ? v1::COUNTER : v1::GAUGE);
  }
  void add(const std::vector<std::string>& labels, std::uint64_t value) {
    metric_.mutable_value()->set_value(value);
    item_ = metric_.SerializeAsString();
    item_ += base_;
    for (const auto& label : labels) append_field(kLabelValues, label, &item_);
    append_field(field_, item_, out_);
  }

 private:
  const int field_;
  std::string* const out_;
  v1::Metric metric_;
  std::string base_, item_;
};

// A ContainerMetrics.
std::string container_item(const SandboxView& sandbox, const ContainerSource& source) {
  const ContainerView& view = *source.container.stats.container;
  const auto& spec = view.spec;
  std::string out;
  append_field(v1::ContainerMetrics::kContainerIdFieldNumber, view.id.str(), &out);
  Series series(v1::ContainerMetrics::kMetricsFieldNumber,
                {utf8(spec.metadata.name), source.container.cgroup_path,
                 utf8(spec.user_specified_image.empty() ? spec.image : spec.user_specified_image), view.id.str(),
                 utf8(sandbox.spec.metadata.name_space), utf8(sandbox.spec.metadata.name)},
                &out);
  const Emit emit = [&](const auto& labels, std::uint64_t value) { series.add(labels, value); };
  for (const auto& row : metric_table()) {
    series.of(row, row.read_at_ns == nullptr ? 0 : row.read_at_ns(source));
    if (row.of_container != nullptr) row.of_container(source, emit);
  }
  return out;
}

// A PodSandboxMetrics.
std::string pod_item(const SandboxMetrics& pod, const std::optional<FilesystemSpace>& layers) {
  const SandboxView& view = *pod.sandbox;
  std::string out;
  append_field(v1::PodSandboxMetrics::kPodSandboxIdFieldNumber, view.id.str(), &out);
  Series series(
      v1::PodSandboxMetrics::kMetricsFieldNumber,
      {"POD", view.cgroup_path, "", view.id.str(), utf8(view.spec.metadata.name_space), utf8(view.spec.metadata.name)},
      &out);
  for (const auto& row : metric_table()) {
    series.of(row);
    if (row.of_link != nullptr)
      for (const auto& link : pod.links) series.add({utf8(link.name)}, link.*row.of_link);
  }
  for (const auto& container : pod.containers)
    append_field(v1::PodSandboxMetrics::kContainerMetricsFieldNumber, container_item(view, {container, layers}), &out);
  return out;
}

}  // namespace

Result<v1::ListMetricDescriptorsResponse> list_metric_descriptors(Border&, const v1::ListMetricDescriptorsRequest&) {
  v1::ListMetricDescriptorsResponse out;
  for (const auto& row : metric_table()) {
    auto* descriptor = out.add_descriptors();
    descriptor->set_name(row.name);
    descriptor->set_help(row.help);
    for (const auto* keys : {&base_label_keys(), &row.own_keys})
      for (const auto& key : *keys) descriptor->add_label_keys(key);
  }
  return out;
}

Result<Encoded> list_pod_sandbox_metrics(Border& border, const v1::ListPodSandboxMetricsRequest&) {
  const NodeMetrics metrics = border.runtime.metrics();
  Encoded out;
  for (const auto& pod : metrics.sandboxes) append_field1(pod_item(pod, metrics.layers), &out.bytes);
  return out;
}

}  // namespace podshim::cri
