// Resources -> files of cgroup v1 (kernel: admin-guide/cgroup-v1). Pure; any thread. The cgroup is new: what is not
// asked for is not written. `unified` keys are an error here.
#pragma once

#include "shim/plan/cgroup.h"

namespace podshim {

// The hierarchies podshim uses when mounted: cpu, cpuacct, cpuset, memory, devices, freezer, blkio, pids.
const std::vector<std::string>& v1_controllers();
// Directories (with parents and cpuset inheritance), then limits.
Result<std::vector<CgroupStep>> plan_cgroup_v1(const HostFacts& host, const CgroupPaths& paths,
                                               const CgroupInput& input);
std::vector<CgroupStep> plan_v1_directories(const HostFacts& host, const CgroupPaths& paths);

}  // namespace podshim
