// clone3(2) in the two forms that are used. Everything else about children is spawn.cc and shim/monitor/child_*.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "common/result.h"

namespace podshim::sys {

// A child on a copy of the caller's memory, as fork(2) gives, without libc's fork handlers: only for a process of one
// thread, and the child may use raw system calls alone. `cgroup_fd` >= 0: born in that v2 cgroup (CLONE_INTO_CGROUP).
// Returns 0 in the child. ENOMEM in a pid namespace means that its init is gone.
Result<pid_t> clone_copy(std::uint64_t namespaces, int cgroup_fd);

struct SharedChild {
  int (*run)(void*) = nullptr;  // async-signal-safe, on `stack`; its value is the exit status
  void* argument = nullptr;
  void* stack = nullptr;  // lowest address
  std::size_t stack_size = 0;
  bool share_files = false;  // CLONE_FILES
  int cgroup_fd = -1;
};
// A child that shares the caller's memory while the caller waits until it has ended or called exec (CLONE_VM |
// CLONE_VFORK); no SIGCHLD at its end (reap with __WALL). With `pidfd` a close-on-exec pidfd is stored there.
// Gives the pid or -errno: callable from such a child itself.
long clone_shared(const SharedChild& child, int* pidfd) noexcept;

}  // namespace podshim::sys
