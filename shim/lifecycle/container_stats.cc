// Stats of containers: cgroup files through descriptors that stay open, the writable layer's use as it was measured in
// the background. No lock is held over a reading.
#include <algorithm>

#include "common/log.h"
#include "shim/apply/files.h"
#include "shim/lifecycle/node_runtime.h"

namespace podshim::lifecycle {
namespace {

// So long a container that did nothing may keep the figures of memory.stat (cgroup_stats.h).
constexpr std::int64_t kWholeEveryNs = 30'000'000'000;

// A layer that does not change is looked at less and less often, and one that takes long never costs more than 1 %.
constexpr std::int64_t kMeasureFirstNs = 10'000'000'000, kMeasureLastNs = 60'000'000'000, kMeasureShare = 100;

}  // namespace

std::optional<NodeRuntime::Reading> NodeRuntime::read_meter(std::mutex& mutex, Meter& meter, const CgroupPaths& paths,
                                                            std::int64_t began_at_ns) const {
  std::shared_ptr<const StatsSource> source;
  std::optional<CgroupStats> last;
  std::int64_t now = host().now_ns();
  {
    std::lock_guard lock(mutex);
    source = meter.source;
    if (now - meter.read_whole_ns < kWholeEveryNs) last = meter.last;
  }
  if (!source) {
    auto opened = host().open_stats(paths);
    if (!opened) return std::nullopt;
    source = *std::move(opened);
  }
  now = host().now_ns();  // as close to the CPU counter as can be
  auto read = source->read(last ? &*last : nullptr);
  if (!read) return std::nullopt;
  std::lock_guard lock(mutex);
  meter.source = source;
  meter.last = *read;
  if (!last) meter.read_whole_ns = now;
  const auto nano_cores = meter.rate.note(now, read->cpu_usage_ns, began_at_ns);
  return Reading{.at_ns = now, .usage = *std::move(read), .nano_cores = nano_cores, .source = std::move(source)};
}

ContainerStats NodeRuntime::stats_of(const std::shared_ptr<const ContainerView>& view, Container& container,
                                     std::optional<std::uint64_t>* tasks) const {
  ContainerStats out{.container = view, .timestamp_ns = host().now_ns()};
  std::int64_t began = 0;
  {
    std::lock_guard lock(container.mutex);
    out.layer = container.layer;
    if (Container::state_of(container.record) != ContainerState::running) return out;
    began = container.record.started_at_ns;
  }
  auto read = read_meter(container.mutex, container.meter, container.cgroup, began);
  if (!read) return out;
  {
    // It ended meanwhile: nobody else would let the files go.
    std::lock_guard lock(container.mutex);
    if (container.record.exit || container.removed) container.meter = {};
  }
  out.timestamp_ns = read->at_ns;
  out.usage = std::move(read->usage);
  out.usage_nano_cores = read->nano_cores;
  if (tasks != nullptr)
    if (auto count = read->source->tasks()) *tasks = *count;
  return out;
}

std::vector<ContainerStats> NodeRuntime::stats(const std::vector<std::shared_ptr<const ContainerView>>& which) const {
  std::vector<ContainerStats> out;
  out.reserve(which.size());
  for (const auto& view : which)
    if (auto found = table_.container(view->id.str()); found && *found) out.push_back(stats_of(view, **found));
  return out;
}

void NodeRuntime::measure_layers(bool all) {
  for (const auto& container : table_.containers()) {
    const std::int64_t began = host().now_ns();
    {
      std::lock_guard lock(container->mutex);
      if (!all && began < container->measure_at_ns) continue;
      if (container->removed) continue;
    }
    const TreeUse use = measure_tree(journal_.dir(container->id) + "/upper");
    const std::int64_t now = host().now_ns(), took = now - began;
    std::lock_guard lock(container->mutex);
    const bool same =
        container->layer && container->layer->bytes == use.bytes && container->layer->inodes == use.inodes;
    container->measure_every_ns = same ? std::min(container->measure_every_ns * 2, kMeasureLastNs) : kMeasureFirstNs;
    container->measure_every_ns = std::max({container->measure_every_ns, kMeasureFirstNs, took * kMeasureShare});
    // What has ended writes no more: two looks, the second after the last of its processes went, tell it all.
    constexpr std::int64_t kNever = INT64_MAX;
    const bool final = container->record.exit && same;
    container->measure_at_ns = final ? kNever : now + container->measure_every_ns;
    container->layer = LayerUse{.bytes = use.bytes, .inodes = use.inodes, .at_ns = began};
  }
}

}  // namespace podshim::lifecycle
