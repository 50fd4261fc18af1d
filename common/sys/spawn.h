// spawn_detached: starts a program that outlives the caller, from a process of any size and any number of threads.
//
// Two vfork-class children: the first one ends at once, so that the program is no child of the caller and never its
// zombie; the second calls setsid, joins the cgroups and executes. Environment empty, cwd "/", stdio on /dev/null, all
// signals blocked (the program sets its own mask). Blocks the calling thread until exec (0.2 ms). On failure nothing is
// left.
#pragma once

#include <string>
#include <vector>

#include "common/fd.h"
#include "common/result.h"
#include "common/sys/pidfd.h"

namespace podshim::sys {

struct DetachedProgram {
  const Fd& program;                      // executable, open for reading; a memfd or a file
  std::vector<std::string> arguments;     // with argv[0]
  std::vector<int> fds;                   // become 3, 4, ... in the program; all others are closed
  std::vector<std::string> cgroup_files;  // v1 `tasks` files, each gets "0"; a v2 cgroup.procs: born in that cgroup
};

struct DetachedProcess {
  ProcessId id;
  Fd pidfd;
};

Result<DetachedProcess> spawn_detached(const DetachedProgram& program);

}  // namespace podshim::sys
