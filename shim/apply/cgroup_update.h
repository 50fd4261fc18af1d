// Reads and writes the files of a CgroupUpdatePlan. Needs root (or delegation). Any thread; a smaller memory limit on
// v1 waits for the kernel to reclaim.
#pragma once

#include "shim/plan/cgroup_update.h"

namespace podshim {

// Files that are not there have no entry.
Result<CgroupContents> read_cgroup_files(const std::vector<std::string>& files);

// All or nothing: at the first refusal what was written before is set back, last one first. The error names the field
// of the request: failed_precondition with EBUSY when more memory is in use than the limit allows, invalid_argument for
// what else the kernel does not take; with what could not be set back, if anything.
Result<> apply_cgroup_update(const CgroupUpdatePlan& plan);

}  // namespace podshim
