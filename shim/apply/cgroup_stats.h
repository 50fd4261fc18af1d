// CgroupStats: counters of one cgroup through files kept open, so that 500 containers cost a few ms a round.
// One reader per container, opened anew when its memory limit was changed; read() is const, uses pread(2) only and may
// run on several threads at once.
#pragma once

#include <cstdint>
#include <string>

#include "common/fd.h"
#include "common/result.h"
#include "shim/plan/cgroup.h"

namespace podshim {

struct CgroupStats {
  std::uint64_t cpu_usage_ns = 0;
  std::uint64_t memory_usage_bytes = 0;
  std::uint64_t memory_working_set_bytes = 0;  // usage - inactive_file
  std::uint64_t memory_rss_bytes = 0;
  std::uint64_t memory_available_bytes = 0;  // limit - working set; 0 without a limit
  std::uint64_t page_faults = 0, major_page_faults = 0;
  std::uint64_t swap_bytes = 0;
  bool operator==(const CgroupStats&) const = default;
};

class CgroupStatsReader {
 public:
  static Result<CgroupStatsReader> open(const CgroupPaths& paths);
  Result<CgroupStats> read() const;  // ENODEV: the cgroup is gone

 private:
  CgroupStatsReader() = default;
  CgroupVersion version_ = CgroupVersion::v1;
  std::string path_;
  Fd cpu_, memory_usage_, memory_stat_, swap_;
  std::uint64_t memory_limit_ = 0;  // 0 = none
};

}  // namespace podshim
