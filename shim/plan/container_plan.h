// ContainerPlan: everything the start of a container needs, from specs and facts. Pure; any thread. Errors name the
// field of the CRI request; nothing was touched then. The same input plans its execs (exec_plan.h).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/config.h"
#include "common/ids.h"
#include "common/result.h"
#include "shim/plan/capabilities.h"
#include "shim/plan/cgroup.h"
#include "shim/plan/devices.h"
#include "shim/plan/mounts.h"
#include "shim/plan/namespaces.h"
#include "shim/plan/program.h"
#include "shim/plan/seccomp.h"
#include "shim/plan/spec.h"

namespace podshim {

struct ContainerInput {
  const SandboxSpec& sandbox;
  const ContainerSpec& container;
  const ImageProcess& image;
  const ProcessUser& user;  // of resolve_user()
  const SandboxFacts& facts;
  const HostFacts& host;
  const PodshimConfig& config;  // cgroup_parent, pids_limit, rlimits
  std::string instance;         // 6 hex
  ContainerId id;
  std::vector<DeviceNode> devices;        // of device_looks() in apply/host_paths.h
  std::string seccomp_profile;            // JSON text of a localhost profile
  std::optional<Resources> updated = {};  // limits in place of the container's own
  int exec_leaf = 0;                      // execs: which leaf, see exec_cgroup_paths()
};

struct ContainerPlan {
  Program program;
  ClonePlan clone;
  CgroupPlan cgroup;
  bool kill_tree_at_exit = false;      // shared pid namespace: the cgroup is killed when the main process ends
  std::uint64_t unavailable_caps = 0;  // asked for, not the host's to give
  bool operator==(const ContainerPlan&) const = default;
  std::string print() const;
};

// Checks all that can be checked without touching anything: CreateContainer calls it too.
Result<ContainerPlan> plan_container(const ContainerInput& input, SeccompFilters& filters);

}  // namespace podshim
