// LocalProcess: a process of this machine behind the contract of shim/lifecycle/stream.h, with pipes or a terminal, for
// tests of streams without containers. Its own process group; destroying the stream of an exec kills the group. A
// thread per process waits for it and calls `ended`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "shim/lifecycle/stream.h"

namespace podshim::test {

enum class StreamShape { exec, attach };  // attach: with tty the output comes by a pipe, and the exit code is 0

Result<std::unique_ptr<ProcessStream>> start_local_process(const std::vector<std::string>& command,
                                                           const StreamRequest& request, StreamShape shape,
                                                           StreamEnd ended);
int local_processes();  // that have not been waited for

}  // namespace podshim::test
