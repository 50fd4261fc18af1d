#include "shim/monitor/container_io.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <utility>

#include "common/sys/retry.h"
#include "common/sys/terminal.h"

namespace podshim {
namespace {

// pipe(2) with the end that the monitor keeps non-blocking; the container's end blocks, as programs expect.
Result<> make_pipe(Fd* read_end, Fd* write_end, bool keep_read_end) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail(Error::sys("pipe", "stdio"));
  *read_end = Fd(fds[0]);
  *write_end = Fd(fds[1]);
  if (::fcntl(fds[keep_read_end ? 0 : 1], F_SETFL, O_NONBLOCK) != 0) return fail(Error::sys("fcntl", "stdio"));
  return {};
}

timespec now() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return time;
}

}  // namespace

ContainerIo::ContainerIo(Loop& loop, AttachOwner& owner, char* buffer, std::size_t buffer_size)
    : loop_(loop), buffer_(buffer), buffer_size_(buffer_size), attached_(loop, owner) {
  for (int which = 0; which < 2; which++) {
    streams_[which].io = this;
    streams_[which].which = static_cast<LogStream>(which);
  }
}

ContainerIo::~ContainerIo() {
  for (auto& stream : streams_)
    if (stream.fd) close(stream);
}

Result<> ContainerIo::listen(Stream& stream, Fd fd) {
  stream.fd = std::move(fd);
  return loop_.add(stream.fd, &stream);
}

Result<> ContainerIo::open_pipes(bool stdin_open) {
  Fd out, err;
  TRY(make_pipe(&out, &child_out_, true));
  TRY(make_pipe(&err, &child_err_, true));
  if (stdin_open) TRY(make_pipe(&child_in_, &stdin_, false));
  TRY(listen(streams_[0], std::move(out)));
  return listen(streams_[1], std::move(err));
}

Result<> ContainerIo::open(const StdioConfig& config) {
  TRY(log_.open(config.log_path, config.limits));
  if (!config.tty) return open_pipes(config.stdin_open);
  tty_ = true;
  pty_ = TRY(make_pty());
  return listen(streams_[0], std::move(pty_.master));
}

std::array<int, 3> ContainerIo::child_stdio() const {
  if (pty_.slave) return {pty_.slave.get(), pty_.slave.get(), pty_.slave.get()};
  return {child_in_.get(), child_out_.get(), child_err_.get()};
}

void ContainerIo::given() {
  child_in_.reset();
  child_out_.reset();
  child_err_.reset();
  pty_.slave.reset();
  pty_.instance.reset();
}

void ContainerIo::Stream::ready(std::uint32_t) { io->pump(*this, io->buffer_size_); }

std::size_t ContainerIo::pump(Stream& stream, std::size_t limit) {
  ssize_t n = sys::read_to_hangup(
      [&] { return sys::retry([&] { return ::read(stream.fd.get(), buffer_, std::min(limit, buffer_size_)); }); });
  if (n > 0) {
    if (std::exchange(stream.hung_up, false)) loop_.change(stream.fd, &stream, EPOLLIN);
    const std::string_view data(buffer_, static_cast<std::size_t>(n));
    log_.write(stream.which, data, now());
    if (log_.take_news() && on_loss) on_loss();
    attached_.write(stream.which, data);
    return data.size();
  }
  if (n < 0 && errno == EAGAIN) return 0;
  if (n < 0 && errno == EIO && !main_ended_) {  // no slave is open: told once, and of the next one that writes
    if (!std::exchange(stream.hung_up, true)) loop_.change(stream.fd, &stream, EPOLLIN | EPOLLET);
    return 0;
  }
  // End of a pipe, or EIO: the last slave of a terminal was closed.
  log_.end(stream.which, now());
  close(stream);
  return 0;
}

void ContainerIo::close(Stream& stream) {
  loop_.remove(stream.fd, &stream);
  stream.fd.reset();
  attached_.end(stream.which);
}

Result<> ContainerIo::attach(AttachSinks sinks) {
  TRY(attached_.add(std::move(sinks)));
  for (const Stream& stream : streams_)
    if (!stream.fd) attached_.end(stream.which);
  return {};
}

Result<Fd> ContainerIo::input() const {
  const Fd& from = tty_ ? streams_[0].fd : stdin_;
  if (!from) return Fd();
  Fd copy(::fcntl(from.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return fail(Error::sys("fcntl", "stdin"));
  return copy;
}

void ContainerIo::drain() {
  main_ended_ = true;
  stdin_.reset();
  for (auto& stream : streams_) {
    if (!stream.fd) continue;
    int waiting = 0;
    // A pipe says how much it holds, a terminal not; what is allowed too much is not there.
    if (::ioctl(stream.fd.get(), FIONREAD, &waiting) != 0) waiting = 0;
    auto left = static_cast<std::size_t>(std::max(waiting, 0)) + sys::kTerminalBuffer;
    while (stream.fd && left > 0) {
      std::size_t taken = pump(stream, left);
      if (taken == 0) break;
      left -= taken;
    }
  }
}

}  // namespace podshim
