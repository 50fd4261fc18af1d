// HostFacts: what the machine can do, gathered once at start by apply/probe. Plans take it as an argument.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace podshim {

enum class CgroupVersion { v1, v2 };

struct HostFacts {
  CgroupVersion cgroup = CgroupVersion::v1;
  std::string cgroup_v2_root;                           // /sys/fs/cgroup on a pure v2 host
  std::map<std::string, std::string> cgroup_v1_mounts;  // controller -> mount point ("cpu" -> /sys/fs/cgroup/cpu)
  std::vector<std::string> cgroup_v2_controllers;       // of cgroup.controllers at the root
  bool cgroup_kill = false;
  bool overlay_lowerdir_plus = false;  // fsconfig "lowerdir+", 6.5
  bool memfd_exec = true;
  bool recursive_readonly = false;  // mount_setattr AT_RECURSIVE, 5.12
  bool can_lower_oom_score = true;  // CAP_SYS_RESOURCE
  bool can_raise_rlimits = true;    // CAP_SYS_RESOURCE
  bool seccomp = true;
  std::uint64_t capabilities = 0;      // our bounding set
  std::uint64_t last_capability = 40;  // /proc/sys/kernel/cap_last_cap
  std::uint32_t page_size = 4096;
  std::string hostname;  // of the node's uts namespace
  bool operator==(const HostFacts&) const = default;
};

}  // namespace podshim
