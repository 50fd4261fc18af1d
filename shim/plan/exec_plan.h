// ExecPlan: a further process in a running container. Pure; any thread.
//
// Order: no_dumpable, cgroup, namespaces (net, ipc, uts, cgroup, mnt last: paths change with it; pid is joined by the
// monitor around the clone), then credentials as in the container, seccomp last.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "shim/plan/container_plan.h"

namespace podshim {

struct ExecPlan {
  Program program;
  ClonePlan clone;
  CgroupPlan cgroup;  // made once per container: apply it before the first exec
  bool operator==(const ExecPlan&) const = default;
  std::string print() const;
};

Result<ExecPlan> plan_exec(const ContainerInput& input, SeccompFilters& filters,
                           const std::vector<std::string>& command, bool tty);

}  // namespace podshim
