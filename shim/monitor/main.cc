// podshim-monitor: started by the daemon (shim/apply/monitor_process), one per Pod. Its fds: protocol.h.
// argv[1] is the sandbox's id, for those who read ps.
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/monitor/monitor.h"

namespace {

using namespace podshim;

constexpr std::size_t kKeptHeap = 64 * 1024;

// Every disposition at its default and every signal blocked, for good: the loop takes those it wants by signalfd,
// SIGHUP and SIGPIPE harm nobody, and children have nothing to reset but the mask.
void settle_signals() {
  struct sigaction by_default{};
  by_default.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; signal++) ::sigaction(signal, &by_default, nullptr);
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
}

Fd inherited(int number) {
  if (::fcntl(number, F_SETFD, FD_CLOEXEC) != 0) return Fd();
  return Fd(number);
}

}  // namespace

int main() {
  ::prctl(PR_SET_NAME, "podshim-monitor");  // else the name of its memfd
  // Children inherit it until exec: one that is born in a container's pid namespace cannot be traced, nor its fds
  // opened, by what runs there.
  ::prctl(PR_SET_DUMPABLE, 0);
  settle_signals();
  ::umask(0);  // every file is made with the mode it shall have
  // A large program is held for one clone only; its memory goes back at once.
  ::mallopt(M_TRIM_THRESHOLD, kKeptHeap);
  ::mallopt(M_MMAP_THRESHOLD, kKeptHeap);
  ::mallopt(M_TOP_PAD, 0);
  Fd listener = inherited(kMonitorListenFd);
  Fd connection = inherited(kMonitorConnectionFd);
  Fd dir = inherited(kMonitorDirFd);
  if (!listener || !connection || !dir) {
    constexpr char kUsage[] = "podshim-monitor is started by podshim\n";
    (void)!::write(STDERR_FILENO, kUsage, sizeof kUsage - 1);
    return 2;
  }
  Loop loop;
  if (!loop.open()) return 1;
  Monitor monitor(loop, std::move(listener), std::move(dir));
  if (!monitor.open(std::move(connection))) return 1;
  loop.run();
  ::_exit(0);  // nothing is left to do that the kernel does not do
}
