// pause: holds the namespaces of a Pod and is PID 1 where they share one pid namespace. No libc, no memory of its own
// beyond a stack page. Reaps what is orphaned to it; ends on SIGTERM and SIGINT; sleeps otherwise.
//
// The three signals stay blocked and are taken by rt_sigtimedwait(2): a blocked signal reaches even the init of a
// pid namespace, which the kernel shields from signals that it neither blocks nor handles (pid_namespaces(7)).
#include "common/sys/raw_syscall.h"

namespace {

constexpr int kSigInt = 2, kSigTerm = 15, kSigChld = 17;
constexpr int kSigSetmask = 2, kWnohang = 1, kSetName = 15;

constexpr unsigned long bit(int signal) { return 1UL << (signal - 1); }

}  // namespace

extern "C" [[noreturn]] void pause_main() {
  using podshim::sys::raw;
  const unsigned long wanted = bit(kSigInt) | bit(kSigTerm) | bit(kSigChld);
  raw(__NR_rt_sigprocmask, kSigSetmask, &wanted, nullptr, sizeof wanted);
  raw(__NR_prctl, kSetName, "pause");
  for (;;) {
    // Children that ended before the mask was set are reaped too: look first, sleep after.
    while (raw(__NR_wait4, -1, nullptr, kWnohang) > 0) {
    }
    long signal = raw(__NR_rt_sigtimedwait, &wanted, nullptr, nullptr, sizeof wanted);
    if (signal == kSigInt || signal == kSigTerm) {
      for (;;) raw(__NR_exit_group, 0);
    }
  }
}

#if defined(__x86_64__)
asm(".globl _start\n_start:\n\txor %ebp, %ebp\n\tand $-16, %rsp\n\tcall pause_main\n\thlt\n");
#elif defined(__aarch64__)
asm(".globl _start\n_start:\n\tmov x29, xzr\n\tbl pause_main\n\tbrk #0\n");
#endif
