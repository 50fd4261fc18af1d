#include "shim/lifecycle/stream_pipe.h"

#include <fcntl.h>

#include "common/error.h"

namespace podshim::lifecycle {
namespace {

constexpr int kSinkBytes = 1 << 20;

}  // namespace

Result<> make_stream_pipe(Fd* ours, Fd* theirs, PipeUse use) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC | (use == PipeUse::sink ? O_NONBLOCK : 0)) != 0)
    return fail(Error::sys("pipe2", "stream"));
  const bool we_write = use == PipeUse::to_process;
  *ours = Fd(fds[we_write ? 1 : 0]);
  *theirs = Fd(fds[we_write ? 0 : 1]);
  if (use == PipeUse::sink) {
    ::fcntl(ours->get(), F_SETPIPE_SZ, kSinkBytes);  // where it is not allowed, a client is lost sooner
    return {};
  }
  if (::fcntl(ours->get(), F_SETFL, O_NONBLOCK) != 0) return fail(Error::sys("fcntl", "stream"));
  return {};
}

}  // namespace podshim::lifecycle
