#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/prctl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "shim/monitor/child_path.h"
#include "shim/monitor/child_steps.h"

namespace podshim::child {

using sys::raw;

namespace {

constexpr unsigned kFirstPrivateFd = 3;

// Last before exec: nothing but stdio crosses it, and the monitor knows that the steps are done.
void leave(const ChildPlan& plan, const ChildStep& s) noexcept {
  raw(__NR_close_range, kFirstPrivateFd, ~0U, CLOSE_RANGE_CLOEXEC);
  ChildReport report{ChildReportKind::at_exec, static_cast<std::uint32_t>(&s - plan.steps), 0};
  raw(__NR_write, plan.report_pipe, &report, sizeof report);
}

void open_signals() noexcept {
  const std::uint64_t none = 0;
  raw(__NR_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
}

bool try_next(long err) noexcept { return err == -ENOENT || err == -ENOTDIR || err == -EACCES; }

}  // namespace

int new_session(const ChildPlan&, const ChildStep& s) noexcept {
  return s.x == 0 ? 0 : as_errno(raw(__NR_ioctl, 0, TIOCSCTTY, 0));
}

int rlimit(const ChildPlan&, const ChildStep& s) noexcept {
  const std::uint64_t limits[2] = {s.y, s.z};
  return as_errno(raw(__NR_prlimit64, 0, s.x, limits, nullptr));
}

int umask(const ChildPlan&, const ChildStep& s) noexcept {
  raw(__NR_umask, s.x);
  return 0;
}

int no_dumpable(const ChildPlan&, const ChildStep&) noexcept { return as_errno(raw(__NR_prctl, PR_SET_DUMPABLE, 0)); }

int change_dir(const ChildPlan& plan, const ChildStep& s) noexcept {
  long result = raw(__NR_chdir, s.b);
  if (result == -ENOENT && s.x != 0) {
    int made = ensure_dir(plan, s.b, 0755);
    close_fd(made);
    if (made < 0) return -made;
    result = raw(__NR_chdir, s.b);
  }
  if (result < 0) return as_errno(result);
  // A working directory reached through a leaked fd lies outside the root: getcwd(2) says "(unreachable)".
  char path[PATH_MAX];
  long length = raw(__NR_getcwd, path, sizeof path);
  if (length < 0) return as_errno(length);
  return path[0] == '/' ? 0 : ENOENT;
}

int parent_death(const ChildPlan& plan, const ChildStep& s) noexcept {
  if (long r = raw(__NR_prctl, PR_SET_PDEATHSIG, s.x); r < 0) return as_errno(r);
  // Across a pid namespace getppid() is 0 alive or dead; the monitor's pidfd knows.
  pollfd p{plan.monitor_pidfd, POLLIN, 0};
  timespec now{};
  long ended = raw(__NR_ppoll, &p, 1, &now, nullptr, 0);
  return ended < 0 ? as_errno(ended) : ended > 0 ? ESRCH : 0;
}

int exec(const ChildPlan& plan, const ChildStep& s) noexcept {
  leave(plan, s);
  open_signals();
  long err = -ENOENT;
  bool denied = false;
  for (const char* const* path = s.la; *path != nullptr; path++) {
    err = raw(__NR_execve, *path, s.lb, s.lc);
    denied = denied || err == -EACCES;
    if (!try_next(err)) return as_errno(err);
  }
  // A file that is there but may not run says more than the directories without it.
  return denied ? EACCES : as_errno(err);
}

int exec_fd(const ChildPlan& plan, const ChildStep& s) noexcept {
  int fd = slot_fd(plan, s.slot);
  if (fd < 0) return -fd;
  leave(plan, s);
  // pause sets its own mask. Were they open until then, a SIGTERM to the init of a pid namespace would be thrown away.
  if (s.slot != static_cast<int>(Slot::pause)) open_signals();
  return as_errno(raw(__NR_execveat, fd, "", s.lb, s.lc, AT_EMPTY_PATH));
}

}  // namespace podshim::child
