// One clone: from a decoded program and its slots to a child that runs it. The monitor's thread only.
#pragma once

#include <array>

#include "common/fd.h"
#include "common/result.h"
#include "shim/monitor/program_decode.h"
#include "shim/monitor/protocol.h"

namespace podshim {

// The monitor itself, opened once.
struct MonitorSelf {
  WireProcess process;
  Fd pidfd;   // for parent_death
  Fd pid_ns;  // to come back to after a clone into another one
};
Result<MonitorSelf> open_self();

struct LaunchConfig {
  const DecodedProgram& program;
  std::array<int, static_cast<int>(Slot::first_free)> slots{};  // -1 = none
  std::uint64_t namespaces = 0;
  int cgroup = -1;  // fd of a v2 cgroup
  int pid_ns = -1;  // pid namespace to be born in
};

struct Launched {
  WireProcess process;
  Fd report;  // read end of the child's pipe, non-blocking (ChildReport)
};

// failed_precondition: the pid namespace's init has ended.
Result<Launched> launch(const MonitorSelf& self, const LaunchConfig& config);

}  // namespace podshim
