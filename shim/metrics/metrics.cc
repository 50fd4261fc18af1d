#include "shim/metrics/metrics.h"

#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <mutex>

namespace podshim {
namespace {

// Seconds: from a look at a snapshot to a pull.
const prometheus::Histogram::BucketBoundaries kBounds = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 300};

// Histograms by the values of two labels, made when first seen.
class Histograms {
 public:
  Histograms(prometheus::Registry& registry, const char* name, const char* help, const char* first, const char* second)
      : family_(prometheus::BuildHistogram().Name(name).Help(help).Register(registry)),
        first_(first),
        second_(second) {}

  void observe(std::string_view a, std::string_view b, std::chrono::nanoseconds took) {
    find(a, b).Observe(std::chrono::duration<double>(took).count());
  }

 private:
  using Key = std::pair<std::string, std::string>;
  using View = std::pair<std::string_view, std::string_view>;
  struct Less {
    using is_transparent = void;
    bool operator()(const View& a, const View& b) const { return a < b; }
  };

  prometheus::Histogram& find(std::string_view a, std::string_view b) {
    std::lock_guard lock(mutex_);
    if (const auto at = known_.find(View(a, b)); at != known_.end()) return *at->second;
    auto& made = family_.Add({{first_, std::string(a)}, {second_, std::string(b)}}, kBounds);
    known_.emplace(Key(a, b), &made);
    return made;
  }

  prometheus::Family<prometheus::Histogram>& family_;
  const std::string first_, second_;
  std::mutex mutex_;  // guards known_; what it points to lives as long as the family
  std::map<Key, prometheus::Histogram*, Less> known_;
};

prometheus::MetricFamily collect(const Gauge& gauge) {
  prometheus::MetricFamily out;
  out.name = gauge.name;
  out.help = gauge.help;
  out.type = gauge.counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
  for (const auto& one : gauge.values) {
    prometheus::ClientMetric metric;
    for (const auto& [name, value] : one.labels) metric.label.push_back({name, value});
    (gauge.counter ? metric.counter.value : metric.gauge.value) = one.value;
    out.metric.push_back(std::move(metric));
  }
  return out;
}

}  // namespace

struct Metrics::Families {
  prometheus::Registry registry;
  Histograms rpcs{registry, "podshim_cri_request_duration_seconds",
                  "Time from the request of a call to its answer, by method and gRPC code; a stream ends with its last "
                  "message.",
                  "method", "code"};
  Histograms stages{registry, "podshim_stage_duration_seconds",
                    "Time of each stage of the operations on sandboxes and containers that succeeded.", "operation",
                    "stage"};
};

Metrics::Metrics() : families_(std::make_unique<Families>()) {}
Metrics::~Metrics() = default;

void Metrics::rpc(std::string_view method, std::string_view code, std::chrono::nanoseconds took) {
  families_->rpcs.observe(method, code, took);
}

void Metrics::stage(std::string_view operation, std::string_view stage, std::chrono::nanoseconds took) {
  families_->stages.observe(operation, stage, took);
}

std::string Metrics::text(const std::vector<Gauge>& now) const {
  auto all = families_->registry.Collect();
  for (const auto& gauge : now) all.push_back(collect(gauge));
  return prometheus::TextSerializer().Serialize(all);
}

}  // namespace podshim
