// in_directory() runs a function on a thread of its own whose working directory is `dir` and nobody else's: for calls
// that take short relative paths only. With `own_mounts` the thread has its own mount namespace too, a slave of ours:
// what `fn` mounts ends with it, and what the host unmounts goes there as well. Needs CAP_SYS_ADMIN. Any thread; blocks
// until `fn` is done.
#pragma once

#include <functional>

#include "common/fd.h"
#include "common/result.h"

namespace podshim::sys {

Result<> in_directory(const Fd& dir, bool own_mounts, const std::function<Result<>()>& fn);

}  // namespace podshim::sys
