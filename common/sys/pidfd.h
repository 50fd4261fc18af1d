// Processes held without pid races: a pidfd, and (pid, start time) as the identity that a record on disk can keep.
// Start time is field 22 of /proc/<pid>/stat, clock ticks since boot (proc(5)). Any thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>

#include "common/fd.h"
#include "common/result.h"

namespace podshim::sys {

struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;
  bool operator==(const ProcessId&) const = default;
};

Result<ProcessId> process_id(pid_t pid);
Result<Fd> pidfd_open(pid_t pid);
// ESRCH when the pid is gone or belongs to another process by now.
Result<Fd> pidfd_open(const ProcessId& process);
Result<> pidfd_signal(const Fd& pidfd, int signal);  // ESRCH when it has ended
// True once the process has ended (zombie counts); false after `timeout`.
Result<bool> pidfd_wait(const Fd& pidfd, std::chrono::milliseconds timeout);

}  // namespace podshim::sys
