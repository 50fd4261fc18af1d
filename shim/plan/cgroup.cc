#include "shim/plan/cgroup.h"

#include <algorithm>
#include <set>

#include "shim/plan/cgroup_v1.h"
#include "shim/plan/cgroup_v2.h"

namespace podshim {
namespace {

// Hierarchies of a monitor's leaf on v1: what it uses is not the daemon's, and a sweep can freeze it. The rest it
// inherits.
const std::vector<std::string> kMonitorControllers = {"memory", "pids", "freezer"};

CgroupPaths make_paths(const HostFacts& host, const std::string& path, const std::vector<std::string>& controllers) {
  CgroupPaths out{.version = host.cgroup, .path = path};
  if (host.cgroup == CgroupVersion::v2) {
    out.v2 = host.cgroup_v2_root + path;
    return out;
  }
  for (const auto& name : controllers)
    if (auto it = host.cgroup_v1_mounts.find(name); it != host.cgroup_v1_mounts.end()) out.v1[name] = it->second + path;
  return out;
}

Error bad_parent(std::string_view value, const char* why) {
  return Error::invalid("sandbox_config.linux.cgroup_parent", "\"" + std::string(value) + "\" " + why);
}

const char* kind_name(CgroupStep::Kind kind) {
  switch (kind) {
    case CgroupStep::Kind::make_dir:
      return "mkdir";
    case CgroupStep::Kind::inherit:
      return "inherit";
    case CgroupStep::Kind::enable:
      return "enable";
    case CgroupStep::Kind::write:
      return "write";
  }
  return "?";
}

}  // namespace

std::vector<std::string> CgroupPaths::directories() const {
  if (version == CgroupVersion::v2) return {v2};
  std::set<std::string> distinct;
  for (const auto& [name, dir] : v1) distinct.insert(dir);
  return {distinct.begin(), distinct.end()};
}

std::string CgroupPaths::oom_file() const {
  if (version == CgroupVersion::v2) return v2 + "/memory.events";
  auto it = v1.find("memory");
  return it == v1.end() ? "" : it->second + "/memory.oom_control";
}

std::vector<std::string> CgroupPaths::join_files() const {
  std::vector<std::string> out;
  for (const auto& dir : directories())
    out.push_back(dir + (version == CgroupVersion::v2 ? "/cgroup.procs" : "/tasks"));
  return out;
}

std::string CgroupPlan::print() const {
  std::string out;
  for (const auto& step : steps) {
    out += std::string(kind_name(step.kind)) + " " + step.path;
    if (!step.value.empty()) out += " = " + step.value;
    if (step.may_fail) out += " (may fail)";
    out += "\n";
  }
  if (!device_program.empty()) out += "device program\n" + print_device_program(device_program);
  return out;
}

Result<std::string> parse_cgroup_parent(std::string_view value, const std::string& fallback) {
  const std::string text = value.empty() ? fallback : std::string(value);
  if (!text.starts_with('/')) return fail(bad_parent(text, "is not an absolute cgroup path (/kubepods/...)"));
  std::string out;
  for (std::size_t from = 1; from <= text.size();) {
    auto to = std::min(text.find('/', from), text.size());
    const std::string name = text.substr(from, to - from);
    from = to + 1;
    if (name.empty()) continue;
    if (name == "." || name == "..") return fail(bad_parent(text, "holds \".\" or \"..\""));
    if (name.size() > 255) return fail(bad_parent(text, "has a component of more than 255 bytes"));
    if (name.ends_with(".slice")) return fail(bad_parent(text, "is a systemd slice; the cgroup driver is cgroupfs"));
    for (char c : name)
      if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) return fail(bad_parent(text, "holds a control character"));
    out += "/" + name;
  }
  return out;
}

std::string cgroup_leaf(const std::string& instance, const std::string& id) { return "podshim-" + instance + "-" + id; }

CgroupPaths container_cgroup_paths(const HostFacts& host, const std::string& parent, const std::string& instance,
                                   const ContainerId& id) {
  return make_paths(host, parent + "/" + cgroup_leaf(instance, id.str()), v1_controllers());
}

CgroupPaths pod_cgroup_paths(const HostFacts& host, const std::string& parent) {
  return make_paths(host, parent, v1_controllers());
}

CgroupPaths monitor_cgroup_paths(const HostFacts& host, const std::string& instance, const SandboxId& id) {
  return make_paths(host, "/podshim-" + instance + "/" + cgroup_leaf(instance, id.str()), kMonitorControllers);
}

CgroupPaths exec_cgroup_paths(const CgroupPaths& container, int leaf) {
  const std::string name = leaf == 0 ? "/exec" : "/exec-" + std::to_string(leaf);
  CgroupPaths out{.version = container.version, .path = container.path + name};
  if (container.version == CgroupVersion::v2) out.v2 = container.v2 + name;
  // Only the freezer: a kubelet's cAdvisor watches the others and makes a handler for each new directory.
  if (auto it = container.v1.find("freezer"); it != container.v1.end()) out.v1["freezer"] = it->second + name;
  return out;
}

Result<CgroupPlan> plan_container_cgroup(const HostFacts& host, const CgroupPaths& paths, const CgroupInput& input) {
  CgroupPlan out{.paths = paths};
  if (host.cgroup == CgroupVersion::v1) {
    out.steps = TRY(plan_cgroup_v1(host, paths, input));
    return out;
  }
  out.steps = TRY(plan_cgroup_v2(host, paths, input));
  if (!input.devices.allow_all) out.device_program = device_program(input.devices.rules);
  return out;
}

CgroupPlan plan_monitor_cgroup(const HostFacts& host, const CgroupPaths& paths) {
  return {
      .paths = paths,
      .steps = host.cgroup == CgroupVersion::v1 ? plan_v1_directories(host, paths) : plan_v2_directories(host, paths)};
}

CgroupPlan plan_exec_cgroup(const HostFacts&, const CgroupPaths& exec) {
  CgroupPlan out{.paths = exec};
  for (const auto& dir : exec.directories()) out.steps.push_back({.kind = CgroupStep::Kind::make_dir, .path = dir});
  return out;
}

}  // namespace podshim
