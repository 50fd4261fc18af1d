#include "common/sys/pidfd.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>

#include "common/sys/file.h"
#include "common/sys/retry.h"

namespace podshim::sys {

Result<ProcessId> process_id(pid_t pid) {
  std::string path = "/proc/" + std::to_string(pid) + "/stat";
  auto text = read_file(path);
  // ESRCH: it went between open and read. What is wrong with us (EMFILE) says nothing about the process.
  if (!text && (text.error().is(ENOENT) || text.error().is(ESRCH)))
    return fail(Error::sys("find process", std::to_string(pid), {}, ESRCH));
  if (!text) return fail(std::move(text).error());
  // The command name may hold spaces and parentheses: fields are counted from the last ')'.
  std::size_t at = text->rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; field++) at = text->find(' ', at + 1);
  ProcessId out{.pid = pid};
  if (at == std::string::npos ||
      std::from_chars(text->data() + at + 1, text->data() + text->size(), out.start_ticks).ec != std::errc{})
    return fail(Error::of(ErrorKind::internal, "parse", path));
  return out;
}

Result<Fd> pidfd_open(pid_t pid) {
  int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return fail(Error::sys("pidfd_open", std::to_string(pid)));
  return Fd(fd);
}

Result<Fd> pidfd_open(const ProcessId& process) {
  auto opened = pidfd_open(process.pid);
  // The number is a thread's by now (ENOENT; before 6.14 EINVAL): the process has ended.
  if (!opened && (opened.error().is(ENOENT) || opened.error().is(EINVAL))) opened.error().code = ESRCH;
  Fd fd = TRY(std::move(opened));
  // Opened first, compared after: the fd pins the pid, so what is compared is what is held.
  auto now = TRY(process_id(process.pid));
  if (now != process) return fail(Error::sys("pidfd_open", std::to_string(process.pid), {}, ESRCH));
  return fd;
}

Result<> pidfd_signal(const Fd& pidfd, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) != 0)
    return fail(Error::sys("pidfd_send_signal", std::to_string(signal)));
  return {};
}

Result<bool> pidfd_wait(const Fd& pidfd, std::chrono::milliseconds timeout) {
  pollfd p{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
  auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    int n = ::poll(&p, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (n >= 0) return n > 0;
    if (errno != EINTR) return fail(Error::sys("poll", "pidfd"));
  }
}

}  // namespace podshim::sys
