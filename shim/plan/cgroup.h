// Cgroups as values, both versions: names, directories, limits, what the child joins. cgroup_v1.h and cgroup_v2.h turn
// Resources into steps; apply/cgroup.h executes them. Pure; any thread.
//
// Paths: a container is <cgroup_parent or the config's>/podshim-<inst>-<container id>; monitor and pause live in
// /podshim-<inst>/podshim-<inst>-<sandbox id>, outside every Pod's limits; an exec joins <container>/exec (v1: freezer
// only). All directories are absolute and below the mount points in HostFacts, so a temporary directory is a test.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/ids.h"
#include "common/result.h"
#include "shim/plan/devices.h"
#include "shim/plan/facts.h"
#include "shim/plan/spec.h"

namespace podshim {

// Where one cgroup is: rebuilt from name and facts after a restart.
struct CgroupPaths {
  CgroupVersion version = CgroupVersion::v1;
  std::string path;                       // as /proc/<pid>/cgroup shows it
  std::string v2;                         // its directory
  std::map<std::string, std::string> v1;  // controller -> directory; co-mounted controllers share one
  bool operator==(const CgroupPaths&) const = default;

  std::vector<std::string> directories() const;  // distinct
  std::string oom_file() const;                  // memory.events, or v1 memory.oom_control; "" without the controller
  std::vector<std::string> join_files() const;   // v1: tasks, one per directory; v2: cgroup.procs
};

struct CgroupStep {
  enum class Kind {
    make_dir,  // path
    inherit,   // file `path` takes the parent directory's content when empty (v1 cpuset)
    enable,    // v2: `value` ("+cpu +memory") into cgroup.subtree_control at `path`; skipped when all are on already
    write,     // `value` into file `path`
  } kind = Kind::write;
  std::string path, value;
  std::string field;  // the request's field, for errors
  bool may_fail = false;
  bool operator==(const CgroupStep&) const = default;
};

struct CgroupPlan {
  CgroupPaths paths;
  std::vector<CgroupStep> steps;
  std::string device_program;  // v2: struct bpf_insn[] for BPF_PROG_TYPE_CGROUP_DEVICE; "" = none
  bool operator==(const CgroupPlan&) const = default;
  std::string print() const;  // one line a step
};

struct CgroupInput {
  Resources resources;
  std::int64_t pids_limit = 0;  // 0 = none
  DevicePlan devices;
};

// Absolute, no "..", no systemd slice name; "//" and a trailing "/" go. "" gives `fallback`. The error names the value.
Result<std::string> parse_cgroup_parent(std::string_view value, const std::string& fallback);
std::string cgroup_leaf(const std::string& instance, const std::string& id);  // podshim-<inst>-<id>

CgroupPaths container_cgroup_paths(const HostFacts& host, const std::string& parent, const std::string& instance,
                                   const ContainerId& id);
// The parent itself, with all controllers: a Pod's, when its client made one for it.
CgroupPaths pod_cgroup_paths(const HostFacts& host, const std::string& parent);
CgroupPaths monitor_cgroup_paths(const HostFacts& host, const std::string& instance, const SandboxId& id);
// Execs that run at the same time have a leaf each, so that a timeout kills one subtree: exec, exec-1, ...
CgroupPaths exec_cgroup_paths(const CgroupPaths& container, int leaf = 0);

Result<CgroupPlan> plan_container_cgroup(const HostFacts& host, const CgroupPaths& paths, const CgroupInput& input);
CgroupPlan plan_monitor_cgroup(const HostFacts& host, const CgroupPaths& paths);
CgroupPlan plan_exec_cgroup(const HostFacts& host, const CgroupPaths& exec);

}  // namespace podshim
