// Resources -> files of cgroup v2 (kernel: admin-guide/cgroup-v2). Pure; any thread.
#pragma once

#include "shim/plan/cgroup.h"

namespace podshim {

// Directories with the controllers enabled in every ancestor (never in the leaf: a cgroup with processes may not hand
// out domain controllers), then limits, then `unified` keys, which win.
Result<std::vector<CgroupStep>> plan_cgroup_v2(const HostFacts& host, const CgroupPaths& paths,
                                               const CgroupInput& input);
std::vector<CgroupStep> plan_v2_directories(const HostFacts& host, const CgroupPaths& paths);

// cpu.shares (2..262144) -> cpu.weight (1..10000) by the formula runc and systemd used first.
std::uint64_t cpu_weight(std::int64_t shares);

// The program a cgroup runs on every device access: 1 = allowed. Instructions of linux/bpf.h as bytes.
std::string device_program(const std::vector<DeviceRule>& rules);
std::string print_device_program(const std::string& program);  // one instruction a line

}  // namespace podshim
