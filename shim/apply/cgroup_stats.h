// CgroupStatsReader: counters of one cgroup through files kept open, so that 500 containers cost a few ms a round.
// One reader per cgroup. read() is const, uses pread(2) only and may run on several threads at once. Files that this
// kernel, or a controller that is not mounted, does not have count 0 or are absent.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "common/fd.h"
#include "common/result.h"
#include "shim/plan/cgroup.h"
#include "shim/plan/usage.h"

namespace podshim {

class CgroupStatsReader {
 public:
  static Result<CgroupStatsReader> open(const CgroupPaths& paths);

  // ENODEV: the cgroup is gone. `last`: an earlier result. When neither CPU time nor memory usage moved since, none of
  // the processes has run, and what memory.stat tells (most of the cost of a round) is taken from it: only the kernel's
  // own ageing of the page cache can differ. Callers ask without `last` from time to time. The limit is always read:
  // kubelets write those of their Pods themselves.
  Result<CgroupStats> read(const CgroupStats* last = nullptr) const;
  // Processes and threads in it and below. ENOENT without the pids controller.
  Result<std::uint64_t> tasks() const;

 private:
  enum File { cpu, usage, stat, limit, swap, pids, cpu_pressure, memory_pressure, io_pressure, kFiles };
  struct Name;
  static const std::array<Name, kFiles> kNames;

  CgroupStatsReader() = default;
  void read_memory_stat(CgroupStats& out, int* err) const;

  CgroupVersion version_ = CgroupVersion::v1;
  std::string path_;
  std::array<Fd, kFiles> files_;
};

}  // namespace podshim
