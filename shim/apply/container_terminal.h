// A terminal of a running container's own devpts, for an exec with a tty: `tty` in there prints a name that is there.
//
// The container's files are the container's: its root is taken from /proc while its process is held and checked to be
// that process (no reuse of the pid), /dev/pts/ptmx is resolved inside that root without magic links, looked at before
// it is opened (a devpts, the device 5:2), and then opened by that very look. Needs CAP_SYS_PTRACE and CAP_SYS_ADMIN.
// Any thread; blocks as far as the container's own file systems do. Nothing is left on failure;
// failed_precondition: the process has ended, or its /dev/pts is no devpts.
#pragma once

#include "common/fd.h"
#include "common/result.h"
#include "common/sys/pidfd.h"

namespace podshim {

struct Terminal {
  Fd master;  // non-blocking
  Fd slave;   // for the child's stdio
};

Result<Terminal> open_container_terminal(const sys::ProcessId& process);

}  // namespace podshim
