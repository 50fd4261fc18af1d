// What a cgroup, its processes and a link have used: values only, as the readers in shim/apply give them and shim/cri
// encodes them. An absent optional is what this kernel or this cgroup version does not tell.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace podshim {

// Pressure stall information (Documentation/accounting/psi.rst); cgroup v2 only.
struct PressureLine {
  double avg10 = 0, avg60 = 0, avg300 = 0;  // percent
  std::uint64_t total_us = 0;
  bool operator==(const PressureLine&) const = default;
};
struct Pressure {
  PressureLine some, full;
  bool operator==(const Pressure&) const = default;
};

// What every stats call reads.
struct CgroupStats {
  std::uint64_t cpu_usage_ns = 0;
  std::uint64_t memory_usage_bytes = 0;
  std::uint64_t memory_working_set_bytes = 0;  // usage - inactive_file
  std::uint64_t memory_rss_bytes = 0;
  std::uint64_t memory_limit_bytes = 0;  // 0 = none
  std::uint64_t page_faults = 0, major_page_faults = 0;
  std::uint64_t swap_bytes = 0;
  std::optional<Pressure> cpu_pressure, memory_pressure, io_pressure;
  bool operator==(const CgroupStats&) const = default;

  // Up to the limit; nothing without one.
  std::optional<std::uint64_t> memory_available_bytes() const {
    if (memory_limit_bytes == 0) return std::nullopt;
    return memory_limit_bytes > memory_working_set_bytes ? memory_limit_bytes - memory_working_set_bytes : 0;
  }
};

// Of one block device.
struct BlockUse {
  unsigned major = 0, minor = 0;
  std::string device;  // "/dev/vda"
  std::uint64_t read_bytes = 0, written_bytes = 0, reads = 0, writes = 0;
  bool operator==(const BlockUse&) const = default;
};

// What only the metrics ask for.
struct CgroupDetail {
  std::uint64_t cpu_user_ns = 0, cpu_system_ns = 0;
  std::uint64_t cfs_periods = 0, cfs_throttled_periods = 0, cfs_throttled_ns = 0;
  std::uint64_t memory_cache_bytes = 0, memory_mapped_bytes = 0;
  std::optional<std::uint64_t> memory_kernel_bytes, memory_peak_bytes;
  std::uint64_t memory_limit_hits = 0, oom_kills = 0;
  std::uint64_t page_faults = 0, major_page_faults = 0;  // v1: without those of cgroups below
  std::optional<std::uint64_t> threads;
  std::uint64_t threads_max = 0;  // 0 = no limit
  std::vector<BlockUse> blocks;
  std::vector<std::int32_t> pids;
  bool operator==(const CgroupDetail&) const = default;
};

struct ProcessCensus {
  std::uint64_t processes = 0, file_descriptors = 0, sockets = 0;
  std::optional<std::int64_t> open_files_limit;  // of the first process; -1 = none
  bool operator==(const ProcessCensus&) const = default;
};

// As the Pod sees it.
struct LinkUse {
  std::string name;
  std::uint64_t rx_bytes = 0, rx_packets = 0, rx_errors = 0, rx_dropped = 0;
  std::uint64_t tx_bytes = 0, tx_packets = 0, tx_errors = 0, tx_dropped = 0;
  bool operator==(const LinkUse&) const = default;
};

struct FilesystemSpace {
  std::string device;
  std::uint64_t bytes = 0, inodes = 0, inodes_free = 0;
  bool operator==(const FilesystemSpace&) const = default;
};

}  // namespace podshim
