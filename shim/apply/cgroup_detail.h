// What only metrics ask of a cgroup: read through files opened for the one reading, so that nothing is held open for
// what is asked rarely. Any thread. Nothing is left behind.
#pragma once

#include "common/result.h"
#include "shim/plan/cgroup.h"
#include "shim/plan/usage.h"

namespace podshim {

// ENOENT: the cgroup is gone. Files that this kernel or the mounted controllers do not have count 0 or are absent.
Result<CgroupDetail> read_cgroup_detail(const CgroupPaths& paths);

// The kernel's name of a block device, "/dev/vda"; "8:0" for a number that no device has (tmpfs, overlay).
std::string block_device_name(unsigned major, unsigned minor);

// Counts what the processes hold, from /proc/<pid>/fd. What has ended meanwhile counts nothing.
ProcessCensus count_processes(const std::vector<std::int32_t>& pids, const std::string& proc = "/proc");

}  // namespace podshim
