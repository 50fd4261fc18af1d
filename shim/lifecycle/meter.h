// Meter: what the daemon keeps to tell the use of one cgroup: the open files, the last reading and the CPU rate.
// Guarded by the mutex of its container or sandbox; the reading itself (stats.cc) is made without it.
#pragma once

#include <memory>
#include <optional>

#include "shim/lifecycle/host.h"
#include "shim/lifecycle/stats.h"

namespace podshim::lifecycle {

struct Meter {
  std::shared_ptr<const StatsSource> source;
  std::optional<CgroupStats> last;
  std::int64_t read_whole_ns = 0;  // when `last` was read without an earlier one
  CpuRate rate;
};

// Where a Pod's link counters come from: resolved at the first question.
struct PodLinks {
  std::vector<std::string> node_ends;  // links of the node that the plugins named
  std::string name;                    // of the link in the Pod
};

}  // namespace podshim::lifecycle
