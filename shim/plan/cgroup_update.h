// New limits for a container that is there already (UpdateContainerResources), as values: what is asked for and what
// the files hold -> the writes that are needed, in an order in which the kernel takes each of them, with the way back.
// Pure; any thread. apply/cgroup_update.h reads and writes the files.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "shim/plan/cgroup.h"

namespace podshim {

using CgroupContents = std::map<std::string, std::string>;  // file -> its text without the last newline; none: no file

struct CgroupUpdatePlan {
  struct Write {
    CgroupStep step;
    std::string before;  // what the file held
    bool operator==(const Write&) const = default;
  };
  std::vector<Write> writes;
  bool operator==(const CgroupUpdatePlan&) const = default;
  std::string print() const;  // one line a write
};

// Errors name the fields of an UpdateContainerResourcesRequest ("linux.cpu_quota").
//
// 0 and "" of `change` leave what `now` has; -1 takes a limit away. A memory limit that comes without a swap limit
// keeps the swap beyond memory as it was. oom_score_adj is not a matter of an update (runc, containerd and CRI-O leave
// it).
Result<Resources> merge_resources(const Resources& now, const Resources& change);

// Whose content plan_cgroup_update() has to know.
Result<std::vector<std::string>> cgroup_update_files(const HostFacts& host, const CgroupPaths& paths,
                                                     const Resources& wanted);

// Files that hold their value already are left alone. failed_precondition with EBUSY: v2 would take a memory limit
// below what cannot be reclaimed, and kill the container for it.
Result<CgroupUpdatePlan> plan_cgroup_update(const HostFacts& host, const CgroupPaths& paths, const Resources& wanted,
                                            const CgroupContents& now);

}  // namespace podshim
