// Network namespaces: in_netns() runs a function inside one, on a thread of its own. setns(2) changes the calling
// thread only, so the thread is never given back: it ends with the function and no other code can run in the wrong
// namespace. Needs CAP_SYS_ADMIN. Any thread may call; blocks until `fn` is done.
// in_netns_here() takes the calling thread there and back: for programs of one thread, where a second one would cost
// two turns of the scheduler. If the way back fails, the process ends: nothing may run in the wrong namespace.
#pragma once

#include <functional>
#include <string>

#include "common/fd.h"
#include "common/result.h"

namespace podshim::sys {

Result<> in_netns(const Fd& netns, const std::function<Result<>()>& fn);
Result<> in_netns_here(const Fd& netns, const std::function<Result<>()>& fn);
Result<Fd> open_netns(const std::string& path);  // refuses a path that is no nsfs file (EINVAL)

}  // namespace podshim::sys
