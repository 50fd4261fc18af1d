#include "shim/apply/cgroup_stats.h"

#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "common/sys/file.h"
#include "common/sys/retry.h"
#include "shim/apply/cgroup_text.h"

namespace podshim {
namespace {

// memory.stat is the longest, below 3 kB on 6.18.
constexpr std::size_t kBuffer = 8192;

std::string_view read_at(const Fd& fd, char* buffer, int* err) {
  if (!fd) return {};
  ssize_t n = sys::retry([&] { return ::pread(fd.get(), buffer, kBuffer, 0); });
  if (n < 0) *err = errno;
  return n < 0 ? std::string_view() : std::string_view(buffer, static_cast<std::size_t>(n));
}

std::optional<Pressure> pressure_at(const Fd& fd, char* buffer) {
  int err = 0;
  const auto text = read_at(fd, buffer, &err);
  if (text.empty()) return std::nullopt;  // not kept, or switched off for this cgroup
  return cgroup_text::pressure(text);
}

}  // namespace

struct CgroupStatsReader::Name {
  const char* controller;  // v1
  const char* v1;
  const char* v2;
};

const std::array<CgroupStatsReader::Name, CgroupStatsReader::kFiles> CgroupStatsReader::kNames = {
    {{"cpuacct", "cpuacct.usage", "cpu.stat"},
     {"memory", "memory.usage_in_bytes", "memory.current"},
     {"memory", "memory.stat", "memory.stat"},
     {"memory", "memory.limit_in_bytes", "memory.max"},
     {"", "", "memory.swap.current"},
     {"pids", "pids.current", "pids.current"},
     {"", "", "cpu.pressure"},
     {"", "", "memory.pressure"},
     {"", "", "io.pressure"}}};

Result<CgroupStatsReader> CgroupStatsReader::open(const CgroupPaths& paths) {
  CgroupStatsReader out;
  out.version_ = paths.version;
  out.path_ = paths.path;
  for (std::size_t i = 0; i < kFiles; i++) {
    std::string path = paths.v2 + "/" + kNames[i].v2;
    if (paths.version == CgroupVersion::v1) {
      const auto dir = paths.v1.find(kNames[i].controller);
      if (dir == paths.v1.end()) continue;
      path = dir->second + "/" + kNames[i].v1;
    }
    auto fd = sys::open(path, O_RDONLY);
    // EOPNOTSUPP: pressure, with psi=0 on the kernel's command line.
    if (!fd && !fd.error().is(ENOENT) && !fd.error().is(EOPNOTSUPP)) return fail(std::move(fd).error());
    if (fd) out.files_[i] = *std::move(fd);
  }
  if (!out.files_[cpu] && !out.files_[usage]) return fail(Error::sys("open cgroup", paths.path, {}, ENOENT));
  return out;
}

void CgroupStatsReader::read_memory_stat(CgroupStats& out, int* err) const {
  using cgroup_text::value_of;
  const bool v2 = version_ == CgroupVersion::v2;
  char buffer[kBuffer];
  const auto text = read_at(files_[stat], buffer, err);
  const std::uint64_t inactive = value_of(text, v2 ? "inactive_file" : "total_inactive_file");
  out.memory_working_set_bytes = out.memory_usage_bytes - std::min(inactive, out.memory_usage_bytes);
  out.memory_rss_bytes = value_of(text, v2 ? "anon" : "total_rss");
  out.page_faults = value_of(text, v2 ? "pgfault" : "total_pgfault");
  out.major_page_faults = value_of(text, v2 ? "pgmajfault" : "total_pgmajfault");
  out.swap_bytes = v2 ? cgroup_text::number(read_at(files_[swap], buffer, err)) : value_of(text, "total_swap");
}

Result<CgroupStats> CgroupStatsReader::read(const CgroupStats* last) const {
  const bool v2 = version_ == CgroupVersion::v2;
  char buffer[kBuffer];
  int err = 0;
  CgroupStats out;
  const auto cpu_text = read_at(files_[cpu], buffer, &err);
  out.cpu_usage_ns = v2 ? cgroup_text::value_of(cpu_text, "usage_usec") * 1000 : cgroup_text::number(cpu_text);
  out.memory_usage_bytes = cgroup_text::number(read_at(files_[usage], buffer, &err));
  if (last != nullptr && last->cpu_usage_ns == out.cpu_usage_ns && last->memory_usage_bytes == out.memory_usage_bytes) {
    out = *last;
  } else {
    read_memory_stat(out, &err);
  }
  out.memory_limit_bytes = cgroup_text::limit(read_at(files_[limit], buffer, &err));
  out.cpu_pressure = pressure_at(files_[cpu_pressure], buffer);
  out.memory_pressure = pressure_at(files_[memory_pressure], buffer);
  out.io_pressure = pressure_at(files_[io_pressure], buffer);
  if (err != 0) return fail(Error::sys("read cgroup", path_, {}, err));
  return out;
}

Result<std::uint64_t> CgroupStatsReader::tasks() const {
  char buffer[64];
  if (!files_[pids]) return fail(Error::sys("read pids.current", path_, {}, ENOENT));
  ssize_t n = sys::retry([&] { return ::pread(files_[pids].get(), buffer, sizeof buffer, 0); });
  if (n < 0) return fail(Error::sys("read pids.current", path_));
  return cgroup_text::number({buffer, static_cast<std::size_t>(n)});
}

}  // namespace podshim
