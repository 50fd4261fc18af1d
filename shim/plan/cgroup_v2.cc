#include "shim/plan/cgroup_v2.h"

#include <algorithm>
#include <array>

namespace podshim {
namespace {

const char* const kField = "config.linux.resources.";

// What podshim hands down; the rest (hugetlb, rdma, misc) stays with the host.
constexpr std::array<const char*, 5> kWanted = {"cpuset", "cpu", "io", "memory", "pids"};

bool has(const HostFacts& host, std::string_view controller) {
  const auto& all = host.cgroup_v2_controllers;
  return std::find(all.begin(), all.end(), controller) != all.end();
}

std::string enable_list(const HostFacts& host) {
  std::string out;
  for (const char* name : kWanted)
    if (has(host, name)) out += (out.empty() ? "+" : " +") + std::string(name);
  return out;
}

struct Writer {
  const HostFacts& host;
  const CgroupPaths& paths;
  std::vector<CgroupStep>& steps;

  Result<> write(const char* controller, const char* file, std::string value, const char* field,
                 bool may_fail = false) {
    if (!has(host, controller))
      return fail(Error::invalid(std::string(kField) + field,
                                 value + ": cgroup controller \"" + controller + "\" is not available on this host"));
    steps.push_back({.kind = CgroupStep::Kind::write,
                     .path = paths.v2 + "/" + file,
                     .value = std::move(value),
                     .field = std::string(kField) + field,
                     .may_fail = may_fail});
    return {};
  }
};

std::string or_max(std::int64_t value) { return value < 0 ? "max" : std::to_string(value); }

Result<> plan_cpu(Writer& w, const Resources& r) {
  if (r.cpu_shares != 0) TRY(w.write("cpu", "cpu.weight", std::to_string(cpu_weight(r.cpu_shares)), "cpu_shares"));
  if (r.cpu_quota_us != 0 || r.cpu_period_us != 0) {
    const std::string quota = r.cpu_quota_us == 0 ? "max" : or_max(r.cpu_quota_us);
    const std::string period = std::to_string(r.cpu_period_us == 0 ? 100000 : r.cpu_period_us);
    TRY(w.write("cpu", "cpu.max", quota + " " + period, r.cpu_quota_us != 0 ? "cpu_quota" : "cpu_period"));
  }
  if (!r.cpuset_cpus.empty()) TRY(w.write("cpuset", "cpuset.cpus", r.cpuset_cpus, "cpuset_cpus"));
  if (!r.cpuset_mems.empty()) TRY(w.write("cpuset", "cpuset.mems", r.cpuset_mems, "cpuset_mems"));
  return {};
}

// CRI's swap limit is memory + swap, v2's file is swap alone.
Result<> plan_memory(Writer& w, const Resources& r) {
  const auto limit = r.memory_limit_bytes, both = r.memory_swap_limit_bytes;
  if (limit != 0) TRY(w.write("memory", "memory.max", or_max(limit), "memory_limit_in_bytes"));
  if (both == 0) return {};
  const char* field = "memory_swap_limit_in_bytes";
  if (both > 0 && limit <= 0)
    return fail(Error::invalid(std::string(kField) + field, std::to_string(both) + " without memory_limit_in_bytes"));
  if (both > 0 && both < limit)
    return fail(Error::invalid(std::string(kField) + field,
                               std::to_string(both) + " is below memory_limit_in_bytes " + std::to_string(limit)));
  // Without swap accounting in the kernel the file does not exist; the limit on memory then still holds.
  return w.write("memory", "memory.swap.max", both < 0 ? "max" : std::to_string(both - limit), field, true);
}

// Files that move processes or break the cgroup for its own runtime.
bool is_forbidden(const std::string& key) {
  constexpr std::array<std::string_view, 6> kForbidden = {"cgroup.procs",           "cgroup.threads", "cgroup.type",
                                                          "cgroup.subtree_control", "cgroup.freeze",  "cgroup.kill"};
  return std::find(kForbidden.begin(), kForbidden.end(), key) != kForbidden.end();
}

Result<> plan_unified(Writer& w, const std::map<std::string, std::string>& unified) {
  for (const auto& [key, value] : unified) {
    const std::string field = std::string(kField) + "unified[" + key + "]";
    if (key.find('.') == std::string::npos || key.front() == '.' ||
        key.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._") != std::string::npos)
      return fail(Error::invalid(field, "is not a cgroup v2 file (controller.name)"));
    if (is_forbidden(key)) return fail(Error::invalid(field, "is the runtime's own"));
    const std::string controller = key.substr(0, key.find('.'));
    if (controller != "cgroup" && controller != "hugetlb" && !has(w.host, controller))
      return fail(Error::invalid(field, "cgroup controller \"" + controller + "\" is not available on this host"));
    // Keyed files (io.max) take one line per write.
    for (std::size_t from = 0; from <= value.size();) {
      auto to = std::min(value.find('\n', from), value.size());
      if (to > from)
        w.steps.push_back({.kind = CgroupStep::Kind::write,
                           .path = w.paths.v2 + "/" + key,
                           .value = value.substr(from, to - from),
                           .field = field});
      from = to + 1;
    }
  }
  return {};
}

}  // namespace

std::uint64_t cpu_weight(std::int64_t shares) {
  const auto s = static_cast<std::uint64_t>(std::clamp<std::int64_t>(shares, 2, 262144));
  return 1 + ((s - 2) * 9999) / 262142;
}

std::vector<CgroupStep> plan_v2_directories(const HostFacts& host, const CgroupPaths& paths) {
  std::vector<CgroupStep> out;
  const std::string enable = enable_list(host);
  const std::string& root = host.cgroup_v2_root;
  for (std::size_t at = root.size(); at < paths.v2.size();) {
    const std::string parent = paths.v2.substr(0, at);
    if (!enable.empty()) out.push_back({.kind = CgroupStep::Kind::enable, .path = parent, .value = enable});
    at = std::min(paths.v2.find('/', at + 1), paths.v2.size());
    out.push_back({.kind = CgroupStep::Kind::make_dir, .path = paths.v2.substr(0, at)});
  }
  return out;
}

Result<std::vector<CgroupStep>> plan_cgroup_v2(const HostFacts& host, const CgroupPaths& paths,
                                               const CgroupInput& input) {
  std::vector<CgroupStep> out = plan_v2_directories(host, paths);
  Writer w{host, paths, out};
  TRY(plan_cpu(w, input.resources));
  TRY(plan_memory(w, input.resources));
  if (input.pids_limit > 0) TRY(w.write("pids", "pids.max", std::to_string(input.pids_limit), "pids_limit"));
  TRY(plan_unified(w, input.resources.unified));
  return out;
}

}  // namespace podshim
