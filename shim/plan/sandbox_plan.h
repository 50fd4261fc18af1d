// SandboxPlan: a request for a Pod sandbox as what must be done. Pure; any thread. Errors name the field of the CRI
// request; nothing was touched then.
#pragma once

#include <map>
#include <string>

#include "common/ids.h"
#include "common/result.h"
#include "shim/plan/cgroup.h"
#include "shim/plan/namespaces.h"
#include "shim/plan/program.h"
#include "shim/plan/sandbox_files.h"
#include "shim/plan/spec.h"

namespace podshim {

struct SandboxInput {
  const SandboxSpec& spec;
  const HostFacts& host;
  std::string instance;  // 6 hex
  SandboxId id;
  std::string default_cgroup_parent;  // of the config
  std::string staging_dir;            // an existing directory, see SandboxFacts
};

struct SandboxPlan {
  Program pause;
  ClonePlan clone;         // of pause
  std::string hostname;    // what containers see: the request's, or the node's
  bool own_netns = false;  // false: network NODE; no CNI, no bound netns, no ports
  bool own_ipc = false;    // false: /dev/shm is the host's, make no shm mount
  bool own_pid = false;
  std::string cgroup_parent;  // checked; of the Pod's containers
  CgroupPlan monitor_cgroup;  // join_files() of its paths go into MonitorLaunch
  bool operator==(const SandboxPlan&) const = default;
  std::string print() const;
};

Result<SandboxPlan> plan_sandbox(const SandboxInput& input);

// "net.ipv4.ip_forward" or "net/ipv4/conf/eth0.1/..." -> path below /proc/sys. Only namespaced ones, and only when the
// sandbox owns the namespace.
Result<std::string> sysctl_path(const std::string& name, const std::string& value, const NamespaceOptions& namespaces);

}  // namespace podshim
