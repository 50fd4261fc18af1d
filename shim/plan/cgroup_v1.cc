#include "shim/plan/cgroup_v1.h"

#include <algorithm>

namespace podshim {
namespace {

const char* const kField = "config.linux.resources.";

// The kernel's smallest cpu.cfs_quota_us and period are 1 ms and 1 ms..1 s; values go to it as asked.
struct Writer {
  const CgroupPaths& paths;
  std::vector<CgroupStep>& steps;

  Result<> write(const char* controller, const char* file, std::string value, const char* field,
                 bool may_fail = false) {
    auto it = paths.v1.find(controller);
    if (it == paths.v1.end())
      return fail(Error::invalid(std::string(kField) + field,
                                 value + ": cgroup controller \"" + controller + "\" is not mounted on this host"));
    steps.push_back({.kind = CgroupStep::Kind::write,
                     .path = it->second + "/" + file,
                     .value = std::move(value),
                     .field = std::string(kField) + field,
                     .may_fail = may_fail});
    return {};
  }
};

Result<> plan_cpu(Writer& w, const Resources& r) {
  if (r.cpu_shares != 0) TRY(w.write("cpu", "cpu.shares", std::to_string(r.cpu_shares), "cpu_shares"));
  // The period first: a quota is checked against it.
  if (r.cpu_period_us != 0) TRY(w.write("cpu", "cpu.cfs_period_us", std::to_string(r.cpu_period_us), "cpu_period"));
  if (r.cpu_quota_us != 0) TRY(w.write("cpu", "cpu.cfs_quota_us", std::to_string(r.cpu_quota_us), "cpu_quota"));
  if (!r.cpuset_cpus.empty()) TRY(w.write("cpuset", "cpuset.cpus", r.cpuset_cpus, "cpuset_cpus"));
  if (!r.cpuset_mems.empty()) TRY(w.write("cpuset", "cpuset.mems", r.cpuset_mems, "cpuset_mems"));
  return {};
}

Result<> plan_memory(Writer& w, const Resources& r) {
  if (r.memory_limit_bytes != 0)
    TRY(w.write("memory", "memory.limit_in_bytes", std::to_string(r.memory_limit_bytes), "memory_limit_in_bytes"));
  // Without swap accounting in the kernel the file does not exist; the limit on memory then still holds.
  if (r.memory_swap_limit_bytes != 0)
    TRY(w.write("memory", "memory.memsw.limit_in_bytes", std::to_string(r.memory_swap_limit_bytes),
                "memory_swap_limit_in_bytes", true));
  return {};
}

Result<> plan_devices_v1(Writer& w, const DevicePlan& devices) {
  if (devices.allow_all || w.paths.v1.find("devices") == w.paths.v1.end()) return {};
  TRY(w.write("devices", "devices.deny", "a", "devices"));
  for (const auto& rule : devices.rules) TRY(w.write("devices", "devices.allow", rule.print(), "devices"));
  return {};
}

}  // namespace

const std::vector<std::string>& v1_controllers() {
  static const std::vector<std::string> kControllers = {"cpu",     "cpuacct", "cpuset", "memory",
                                                        "devices", "freezer", "blkio",  "pids"};
  return kControllers;
}

std::vector<CgroupStep> plan_v1_directories(const HostFacts& host, const CgroupPaths& paths) {
  std::vector<CgroupStep> out;
  auto cpuset = host.cgroup_v1_mounts.find("cpuset");
  for (const auto& dir : paths.directories()) {
    const std::string mount = dir.substr(0, dir.size() - paths.path.size());
    const bool is_cpuset = cpuset != host.cgroup_v1_mounts.end() && cpuset->second == mount;
    // One component after the other: a cpuset takes tasks only once it and all above it have cpus and mems.
    for (std::size_t at = mount.size(); at < dir.size();) {
      at = std::min(dir.find('/', at + 1), dir.size());
      const std::string here = dir.substr(0, at);
      out.push_back({.kind = CgroupStep::Kind::make_dir, .path = here});
      if (!is_cpuset) continue;
      out.push_back({.kind = CgroupStep::Kind::inherit, .path = here + "/cpuset.cpus"});
      out.push_back({.kind = CgroupStep::Kind::inherit, .path = here + "/cpuset.mems"});
    }
  }
  return out;
}

Result<std::vector<CgroupStep>> plan_cgroup_v1(const HostFacts& host, const CgroupPaths& paths,
                                               const CgroupInput& input) {
  if (!input.resources.unified.empty())
    return fail(Error::invalid(std::string(kField) + "unified[" + input.resources.unified.begin()->first + "]",
                               "needs cgroup v2; this host has v1"));
  std::vector<CgroupStep> out = plan_v1_directories(host, paths);
  Writer w{paths, out};
  TRY(plan_cpu(w, input.resources));
  TRY(plan_memory(w, input.resources));
  if (input.pids_limit > 0) TRY(w.write("pids", "pids.max", std::to_string(input.pids_limit), "pids_limit"));
  TRY(plan_devices_v1(w, input.devices));
  return out;
}

}  // namespace podshim
