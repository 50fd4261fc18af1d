#include "shim/apply/cgroup_stats.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "common/sys/file.h"
#include "common/sys/retry.h"

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

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;  // stays 0 for "max"
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// The value of a line "key value".
std::uint64_t value_of(std::string_view text, std::string_view key) {
  for (std::size_t at = 0; at < text.size();) {
    auto line = text.substr(at, text.find('\n', at) - at);
    if (line.size() > key.size() && line[key.size()] == ' ' && line.starts_with(key))
      return number(line.substr(key.size() + 1));
    at += line.size() + 1;
  }
  return 0;
}

// Files of a controller that is not there stay unopened and count 0.
Result<Fd> open_if_there(const std::string& path) {
  auto fd = sys::open(path, O_RDONLY);
  if (!fd && fd.error().is(ENOENT)) return Fd();
  return fd;
}

std::string file_of(const CgroupPaths& paths, const char* controller, const char* v1, const char* v2) {
  if (paths.version == CgroupVersion::v2) return paths.v2 + "/" + v2;
  auto it = paths.v1.find(controller);
  return it == paths.v1.end() ? "" : it->second + "/" + v1;
}

}  // namespace

Result<CgroupStatsReader> CgroupStatsReader::open(const CgroupPaths& paths) {
  CgroupStatsReader out;
  out.version_ = paths.version;
  out.path_ = paths.path;
  out.cpu_ = TRY(open_if_there(file_of(paths, "cpuacct", "cpuacct.usage", "cpu.stat")));
  out.memory_usage_ = TRY(open_if_there(file_of(paths, "memory", "memory.usage_in_bytes", "memory.current")));
  out.memory_stat_ = TRY(open_if_there(file_of(paths, "memory", "memory.stat", "memory.stat")));
  if (paths.version == CgroupVersion::v2) out.swap_ = TRY(open_if_there(paths.v2 + "/memory.swap.current"));
  if (!out.cpu_ && !out.memory_usage_) return fail(Error::sys("open cgroup", paths.path, {}, ENOENT));
  auto limit = sys::read_file(file_of(paths, "memory", "memory.limit_in_bytes", "memory.max"));
  // v1 says "no limit" as the largest page-aligned number, v2 as "max".
  constexpr std::uint64_t kNoLimit = 1ULL << 62;
  if (limit) out.memory_limit_ = number(*limit) < kNoLimit ? number(*limit) : 0;
  return out;
}

Result<CgroupStats> CgroupStatsReader::read() const {
  const bool v2 = version_ == CgroupVersion::v2;
  char buffer[kBuffer];
  int err = 0;
  CgroupStats out;
  const auto cpu = read_at(cpu_, buffer, &err);
  out.cpu_usage_ns = v2 ? value_of(cpu, "usage_usec") * 1000 : number(cpu);
  out.memory_usage_bytes = number(read_at(memory_usage_, buffer, &err));
  if (v2) out.swap_bytes = number(read_at(swap_, buffer, &err));
  const auto stat = read_at(memory_stat_, buffer, &err);
  const std::uint64_t inactive = value_of(stat, v2 ? "inactive_file" : "total_inactive_file");
  out.memory_working_set_bytes = out.memory_usage_bytes - std::min(inactive, out.memory_usage_bytes);
  out.memory_rss_bytes = value_of(stat, v2 ? "anon" : "total_rss");
  out.page_faults = value_of(stat, v2 ? "pgfault" : "total_pgfault");
  out.major_page_faults = value_of(stat, v2 ? "pgmajfault" : "total_pgmajfault");
  if (!v2) out.swap_bytes = value_of(stat, "total_swap");
  if (memory_limit_ != 0)
    out.memory_available_bytes = memory_limit_ - std::min(memory_limit_, out.memory_working_set_bytes);
  if (err != 0) return fail(Error::sys("read cgroup", path_, {}, err));
  return out;
}

}  // namespace podshim
