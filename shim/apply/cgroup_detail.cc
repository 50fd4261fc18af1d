#include "shim/apply/cgroup_detail.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "common/sys/file.h"
#include "shim/apply/cgroup_text.h"

namespace podshim {
namespace {

using cgroup_text::find;
using cgroup_text::limit;
using cgroup_text::number;
using cgroup_text::value_of;

constexpr std::size_t kMaxFile = 1 << 20;
constexpr int kMaxDepth = 16;  // of the cgroups that a container makes below its own

// "" when it is not there.
std::string text_of(const std::string& dir, const char* file) {
  return sys::read_file(dir + "/" + file, kMaxFile).value_or("");
}

std::optional<std::uint64_t> number_of(const std::string& dir, const char* file) {
  const std::string text = text_of(dir, file);
  if (text.empty()) return std::nullopt;
  return number(text);
}

// v2: processes of an exec, or of cgroups that the container itself made, are not in the file of the one above.
void collect_pids(const std::string& dir, int depth, std::vector<std::int32_t>& out) {
  cgroup_text::add_pids(text_of(dir, "cgroup.procs"), out);
  if (depth == kMaxDepth) return;
  struct Close {
    void operator()(DIR* d) const { ::closedir(d); }
  };
  std::unique_ptr<DIR, Close> entries(::opendir(dir.c_str()));
  while (const dirent* entry = entries ? ::readdir(entries.get()) : nullptr)
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') collect_pids(dir + "/" + entry->d_name, depth + 1, out);
}

void read_cpu_v1(const CgroupPaths& paths, CgroupDetail& out) {
  if (auto dir = paths.v1.find("cpuacct"); dir != paths.v1.end()) {
    out.cpu_user_ns = number_of(dir->second, "cpuacct.usage_user").value_or(0);
    out.cpu_system_ns = number_of(dir->second, "cpuacct.usage_sys").value_or(0);
  }
  if (auto dir = paths.v1.find("cpu"); dir != paths.v1.end()) {
    const std::string stat = text_of(dir->second, "cpu.stat");
    out.cfs_periods = value_of(stat, "nr_periods");
    out.cfs_throttled_periods = value_of(stat, "nr_throttled");
    out.cfs_throttled_ns = value_of(stat, "throttled_time");
  }
}

void read_memory_v1(const std::string& dir, CgroupDetail& out) {
  const std::string stat = text_of(dir, "memory.stat");
  out.memory_cache_bytes = value_of(stat, "total_cache");
  out.memory_mapped_bytes = value_of(stat, "total_mapped_file");
  out.page_faults = value_of(stat, "pgfault");
  out.major_page_faults = value_of(stat, "pgmajfault");
  out.memory_kernel_bytes = number_of(dir, "memory.kmem.usage_in_bytes");
  out.memory_peak_bytes = number_of(dir, "memory.max_usage_in_bytes");
  out.memory_limit_hits = number_of(dir, "memory.failcnt").value_or(0);
  out.oom_kills = value_of(text_of(dir, "memory.oom_control"), "oom_kill");
}

void read_blocks_v1(const std::string& dir, CgroupDetail& out) {
  cgroup_text::add_blkio(text_of(dir, "blkio.throttle.io_service_bytes_recursive"), &BlockUse::read_bytes,
                         &BlockUse::written_bytes, out.blocks);
  cgroup_text::add_blkio(text_of(dir, "blkio.throttle.io_serviced_recursive"), &BlockUse::reads, &BlockUse::writes,
                         out.blocks);
}

Result<std::string> read_v1(const CgroupPaths& paths, CgroupDetail& out) {
  read_cpu_v1(paths, out);
  if (auto dir = paths.v1.find("memory"); dir != paths.v1.end()) read_memory_v1(dir->second, out);
  if (auto dir = paths.v1.find("blkio"); dir != paths.v1.end()) read_blocks_v1(dir->second, out);
  const auto dirs = paths.directories();
  if (dirs.empty()) return fail(Error::sys("read cgroup", paths.path, {}, ENOENT));
  // Execs are in the container's own cgroup in all hierarchies but the freezer's.
  for (const char* controller : {"pids", "memory", "cpuacct"})
    if (auto dir = paths.v1.find(controller); dir != paths.v1.end()) {
      collect_pids(dir->second, 0, out.pids);
      break;
    }
  const auto pids = paths.v1.find("pids");
  return pids == paths.v1.end() ? dirs.front() : pids->second;
}

std::string read_v2(const CgroupPaths& paths, CgroupDetail& out) {
  const std::string& dir = paths.v2;
  const std::string cpu = text_of(dir, "cpu.stat");
  out.cpu_user_ns = value_of(cpu, "user_usec") * 1000;
  out.cpu_system_ns = value_of(cpu, "system_usec") * 1000;
  out.cfs_periods = value_of(cpu, "nr_periods");
  out.cfs_throttled_periods = value_of(cpu, "nr_throttled");
  out.cfs_throttled_ns = value_of(cpu, "throttled_usec") * 1000;
  const std::string stat = text_of(dir, "memory.stat");
  out.memory_cache_bytes = value_of(stat, "file");
  out.memory_mapped_bytes = value_of(stat, "file_mapped");
  out.page_faults = value_of(stat, "pgfault");
  out.major_page_faults = value_of(stat, "pgmajfault");
  out.memory_kernel_bytes = find(stat, "kernel");         // 5.18
  out.memory_peak_bytes = number_of(dir, "memory.peak");  // 5.19
  const std::string events = text_of(dir, "memory.events");
  out.memory_limit_hits = value_of(events, "max");
  out.oom_kills = value_of(events, "oom_kill");
  out.blocks = cgroup_text::io_stat(text_of(dir, "io.stat"));
  collect_pids(dir, 0, out.pids);
  return dir;
}

}  // namespace

std::string block_device_name(unsigned major, unsigned minor) {
  const std::string number = std::to_string(major) + ":" + std::to_string(minor);
  char target[4096];
  const ssize_t n = ::readlink(("/sys/dev/block/" + number).c_str(), target, sizeof target);
  if (n <= 0) return number;
  const std::string path(target, static_cast<std::size_t>(n));
  return "/dev/" + path.substr(path.rfind('/') + 1);
}

Result<CgroupDetail> read_cgroup_detail(const CgroupPaths& paths) {
  CgroupDetail out;
  const std::string dir = paths.version == CgroupVersion::v2 ? read_v2(paths, out) : TRY(read_v1(paths, out));
  out.threads = number_of(dir, "pids.current");
  out.threads_max = number_of(dir, "pids.max").value_or(0);
  if (!sys::exists(dir)) return fail(Error::sys("read cgroup", paths.path, {}, ENOENT));
  for (auto& block : out.blocks) block.device = block_device_name(block.major, block.minor);
  return out;
}

ProcessCensus count_processes(const std::vector<std::int32_t>& pids, const std::string& proc) {
  ProcessCensus out;
  for (const auto pid : pids) {
    const std::string dir = proc + "/" + std::to_string(pid) + "/fd";
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(dir.c_str()), ::closedir);
    if (!entries) continue;
    out.processes++;
    if (rlimit64 files{}; !out.open_files_limit && ::prlimit64(pid, RLIMIT_NOFILE, nullptr, &files) == 0)
      out.open_files_limit = files.rlim_cur == RLIM64_INFINITY ? -1 : static_cast<std::int64_t>(files.rlim_cur);
    while (const dirent* entry = ::readdir(entries.get())) {
      if (entry->d_name[0] == '.') continue;
      out.file_descriptors++;
      char target[16] = {};
      const ssize_t n = ::readlinkat(::dirfd(entries.get()), entry->d_name, target, sizeof target);
      if (n > 7 && std::string_view(target, 7) == "socket:") out.sockets++;
    }
  }
  return out;
}

}  // namespace podshim
