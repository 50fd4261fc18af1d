// The last steps before exec, the same for a container's init and its execs: limits, terminal, credentials, seccomp.
// Pure; any thread. Internal to shim/plan.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "shim/plan/capabilities.h"
#include "shim/plan/container_plan.h"
#include "shim/plan/program.h"

namespace podshim {

struct ProcessInput {
  const ContainerInput& container;
  const CapabilityPlan& capabilities;
  const SeccompFilter* filter = nullptr;  // unconfined
  std::vector<std::string> argv, env;
  std::string working_dir;
  bool tty = false;
};

// Order and why:
//   bounding set, groups, gid, uid  while we still may;
//   capabilities, working directory (as the user), no_new_privs;
//   parent_death after the last change of credentials, which clears it (prctl(2));
//   seccomp last, as it binds what follows. Without no_new_privs seccomp(2) wants CAP_SYS_ADMIN, so that one is kept
//   until the filter is in, and dropped by the one capset after it: a profile must then allow capset and prctl.
void add_process(Program& program, const ProcessInput& input);

// Writes of the child about itself while "/" is still the host's: oom_score_adj.
void add_oom_score(Program& program, std::int64_t oom_score_adj, const HostFacts& host);

Result<std::shared_ptr<const SeccompFilter>> choose_filter(const ContainerInput& input,
                                                           const CapabilityPlan& capabilities, SeccompFilters& filters);

}  // namespace podshim
