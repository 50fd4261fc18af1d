// HostFacts, gathered once at start: mounts, controllers and capabilities are read, kernel features are tried.
// Each feature can be switched off, so that its fallback is tested on a kernel that has it. Leaves nothing behind.
#pragma once

#include <string>

#include "common/result.h"
#include "shim/plan/facts.h"

namespace podshim {

struct ProbeRoots {
  std::string proc = "/proc";
  std::string cgroup = "/sys/fs/cgroup";
};

// true: report the feature as absent without trying it.
struct ProbeOverrides {
  bool no_cgroup_kill = false;
  bool no_overlay_lowerdir_plus = false;
  bool no_memfd_exec = false;
  bool no_recursive_readonly = false;
  bool no_seccomp = false;
};

Result<HostFacts> gather_host_facts(const ProbeRoots& roots = {}, const ProbeOverrides& off = {});

}  // namespace podshim
