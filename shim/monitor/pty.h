// A terminal in a devpts instance of its own. The instance is held by fd until the child attaches it; the monitor keeps
// only the master, so that the end of the last slave is seen as EIO. On failure nothing is left.
#pragma once

#include "common/fd.h"
#include "common/result.h"

namespace podshim {

struct Pty {
  Fd instance;  // Slot::pts
  Fd master;    // non-blocking
  Fd slave;     // for the child's stdio
};

Result<Pty> make_pty();

}  // namespace podshim
