#include "common/sys/clone.h"

#include <linux/sched.h>
#include <signal.h>

#include "common/sys/raw_syscall.h"

namespace podshim::sys {

Result<pid_t> clone_copy(std::uint64_t namespaces, int cgroup_fd) {
  clone_args args{};
  args.flags = namespaces;
  args.exit_signal = SIGCHLD;
  if (cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<__u64>(cgroup_fd);
  }
  long pid = raw(__NR_clone3, &args, sizeof args);
  if (pid < 0) return fail(Error::sys("clone3", "child", {}, static_cast<int>(-pid)));
  return static_cast<pid_t>(pid);
}

// The new stack is empty: the child cannot return from here as a function does, so the call of run() and the exit are
// part of the assembly. The kernel keeps every register but the result (and rcx, r11 on x86).
long clone_shared(const SharedChild& child, int* pidfd) noexcept {
  clone_args args{};
  args.flags = CLONE_VM | CLONE_VFORK;
  if (child.share_files) args.flags |= CLONE_FILES;
  if (pidfd != nullptr) {
    args.flags |= CLONE_PIDFD;
    args.pidfd = reinterpret_cast<__u64>(pidfd);
  }
  if (child.cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<__u64>(child.cgroup_fd);
  }
  args.stack = reinterpret_cast<__u64>(child.stack);
  args.stack_size = child.stack_size;
#if defined(__x86_64__)
  long result;
  register auto run asm("r8") = child.run;
  register void* argument asm("r9") = child.argument;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r9, %%rdi\n\t"
      "call *%%r8\n\t"
      "mov %%eax, %%edi\n\t"
      "mov %[exit], %%eax\n\t"
      "syscall\n\t"
      "1:"
      : "=a"(result)
      : "a"(__NR_clone3), "D"(&args), "S"(sizeof args), "r"(run), "r"(argument), [exit] "i"(__NR_exit)
      : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = __NR_clone3;
  register long x0 asm("x0") = reinterpret_cast<long>(&args);
  register long x1 asm("x1") = sizeof args;
  register auto run asm("x9") = child.run;
  register void* argument asm("x10") = child.argument;
  asm volatile(
      "svc #0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x29, xzr\n\t"
      "mov x0, x10\n\t"
      "blr x9\n\t"
      "mov x8, %[exit]\n\t"
      "svc #0\n\t"
      "1:"
      : "+r"(x0)
      : "r"(x8), "r"(x1), "r"(run), "r"(argument), [exit] "i"(__NR_exit)
      : "memory");
  return x0;
#endif
}

}  // namespace podshim::sys
