// ProcessStream: what one streaming session (exec, attach) holds of a process in a container.
//
// All descriptors are close-on-exec and do not block. One that the request did not ask for is empty; output that nobody
// asked for is drained elsewhere. The process is not told of a client that goes, but by the end of what it held:
// destroying an exec's stream before its end kills its whole subtree (in the background, without blocking; what an
// exec that has ended left running stays, as with ExecSync), destroying an attach's leaves the container as it was, but
// for the stdin of a container with stdin_once, which ends with its first client.
//
// Streams are destroyed before the Runtime that made them. With tty, end of output is EIO (or EOF) on what is read; a
// terminal that nobody reads stops its process, so an exec's is read even when the client did not ask for output.
#pragma once

#include <functional>

#include "common/fd.h"
#include "common/result.h"

namespace podshim {

struct StreamRequest {
  bool in = false, out = false, err = false, tty = false;
};

class ProcessStream {
 public:
  virtual ~ProcessStream() = default;
  // The client's stdin has ended: the pipe is closed, unless it is a container's that stays open for the next client
  // (stdin without stdin_once). Does not block.
  virtual void end_stdin() = 0;

  Fd in;        // write end; an attach to a container without stdin, or whose stdin was ended, has none
  Fd out, err;  // read ends
  // With tty. An exec: the master, in place of the three above: read, written, TIOCSWINSZ. An attach: for writing and
  // TIOCSWINSZ alone (never read: its output belongs to the log), in place of `in`, and there even when no stdin was
  // asked for; output comes by `out`, a pipe, as without tty, and there is no `err`.
  Fd terminal;
};

// Called once, on any thread, maybe before the call that made the stream has returned and maybe after the stream was
// destroyed. It must not block. An exec: the exit code (128 + signal). An attach: 0 when the container's output has
// ended, or the error (resource_exhausted: the client read slower than the container wrote, and was let go). What was
// written before is in the pipes still: a session ends when it has this and the end of all output, or some time after
// this when a grandchild keeps the output open.
using StreamEnd = std::function<void(Result<int>)>;

}  // namespace podshim
