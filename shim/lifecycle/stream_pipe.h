// Pipes of streaming sessions. `ours` does not block; the other end does, as programs expect, but for that of a sink,
// which the monitor writes to and which holds as much as the kernel gives (pipe(7): /proc/sys/fs/pipe-max-size).
// Any thread.
#pragma once

#include "common/fd.h"
#include "common/result.h"

namespace podshim::lifecycle {

enum class PipeUse { to_process, from_process, sink };

Result<> make_stream_pipe(Fd* ours, Fd* theirs, PipeUse use);

}  // namespace podshim::lifecycle
