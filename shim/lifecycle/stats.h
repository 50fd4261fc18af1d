// Stats and metrics of containers and Pods, as shim/cri encodes them; and the rate of a CPU counter.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shim/plan/usage.h"
#include "shim/state/snapshot.h"

namespace podshim {

struct LayerUse {
  std::uint64_t bytes = 0, inodes = 0;
  std::int64_t at_ns = 0;  // when it was measured
};

struct ContainerStats {
  std::shared_ptr<const ContainerView> container;
  std::int64_t timestamp_ns = 0;
  std::optional<CgroupStats> usage;               // nothing: it does not run, or its cgroup cannot be read
  std::optional<std::uint64_t> usage_nano_cores;  // since the reading before
  std::optional<LayerUse> layer;                  // nothing: not measured yet
};

struct SandboxStats {
  std::shared_ptr<const SandboxView> sandbox;
  std::int64_t timestamp_ns = 0;
  std::optional<CgroupStats> usage;  // of the Pod's cgroup, or the sum over its containers
  std::optional<std::uint64_t> usage_nano_cores;
  std::optional<std::uint64_t> tasks;  // processes and threads
  std::vector<LinkUse> links;          // the default one first; none with the node's network
  std::vector<ContainerStats> containers;
};

struct ContainerMetrics {
  ContainerStats stats;
  std::string cgroup_path;
  CgroupDetail detail;
  ProcessCensus processes;
};

struct SandboxMetrics {
  std::shared_ptr<const SandboxView> sandbox;
  std::vector<LinkUse> links;
  std::vector<ContainerMetrics> containers;
};

struct NodeMetrics {
  std::optional<FilesystemSpace> layers;  // the file system of the writable layers
  std::vector<SandboxMetrics> sandboxes;
};

// Cores in use between two readings of a CPU counter. Readings closer together than kWindow leave the rate as it was,
// so that two clients do not take each other's window away. The first one counts from `began_at_ns`, when the counter
// was 0. One thread at a time; readings may come out of order, when two threads made them at the same time.
class CpuRate {
 public:
  static constexpr std::int64_t kWindow = 500'000'000;

  std::optional<std::uint64_t> note(std::int64_t now_ns, std::uint64_t usage_ns, std::int64_t began_at_ns) {
    if (at_ns_ == 0) at_ns_ = began_at_ns;
    if (nano_cores_ && now_ns > at_ns_ - kWindow && now_ns < at_ns_ + kWindow) return nano_cores_;
    if (at_ns_ == 0 || now_ns < at_ns_ || usage_ns < usage_ns_) {  // no beginning, or the clock was set back
      *this = {};
      at_ns_ = now_ns;
      usage_ns_ = usage_ns;
      return std::nullopt;
    }
    const std::int64_t window = now_ns - at_ns_;
    if (window == 0) return nano_cores_;
    const double cores = static_cast<double>(usage_ns - usage_ns_) / static_cast<double>(window);
    nano_cores_ = static_cast<std::uint64_t>(cores * 1e9);
    at_ns_ = now_ns;
    usage_ns_ = usage_ns;
    return nano_cores_;
  }

 private:
  std::int64_t at_ns_ = 0;
  std::uint64_t usage_ns_ = 0;
  std::optional<std::uint64_t> nano_cores_;
};

}  // namespace podshim
