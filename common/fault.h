// Fault points: the places between two steps where a daemon may die. Here they are nothing; the fault-injection build
// (podshim-fault, tests/support/fault_kill.cc) puts a function in their place that ends the process with SIGKILL at a
// point that a test chose. They stand in front of each stage, each undo step, and each primitive that changes the
// machine. Any thread; never fails; not for child code.
#pragma once

namespace podshim {

void fault_point(const char* step) noexcept;

}  // namespace podshim
