// RuntimeDefault: what an ordinary program may ask of the kernel, by purpose. Left out: what changes the node (modules,
// swap, clock, kexec, quotas), what is not namespaced (keyrings), what has been the way out of containers most often
// (io_uring, userfaultfd, user namespaces, nfnetlink). Names that an architecture does not have cost nothing.
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>

#include "shim/plan/capabilities.h"
#include "shim/plan/seccomp.h"

namespace podshim {
namespace {

using Names = std::vector<std::string>;

const Names& process_calls() {
  static const Names kNames = {
      "execve", "execveat", "exit", "exit_group", "fork", "vfork", "wait4", "waitid", "waitpid", "kill", "tkill",
      "tgkill", "getpid", "getppid", "gettid", "getpgid", "getpgrp", "setpgid", "getsid", "setsid", "set_tid_address",
      "prctl", "arch_prctl", "modify_ldt", "get_thread_area", "set_thread_area", "rseq", "membarrier", "seccomp",
      "umask", "uname", "sysinfo", "times", "getrusage", "getcpu", "getpriority", "setpriority", "nice", "ioprio_get",
      "ioprio_set", "getrlimit", "ugetrlimit", "setrlimit", "prlimit64", "restart_syscall", "pause", "pidfd_open",
      "pidfd_send_signal", "ptrace", "process_vm_readv", "process_vm_writev", "process_mrelease",
      "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self",
      // credentials: capabilities decide
      "capget", "capset", "getuid", "getuid32", "geteuid", "geteuid32", "getgid", "getgid32", "getegid", "getegid32",
      "getresuid", "getresuid32", "getresgid", "getresgid32", "getgroups", "getgroups32", "setuid", "setuid32",
      "setgid", "setgid32", "setreuid", "setreuid32", "setregid", "setregid32", "setresuid", "setresuid32", "setresgid",
      "setresgid32", "setfsuid", "setfsuid32", "setfsgid", "setfsgid32", "setgroups", "setgroups32",
      // scheduling
      "sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getattr", "sched_setattr", "sched_getparam",
      "sched_setparam", "sched_getscheduler", "sched_setscheduler", "sched_get_priority_max", "sched_get_priority_min",
      "sched_rr_get_interval", "sched_rr_get_interval_time64"};
  return kNames;
}

const Names& file_calls() {
  static const Names kNames = {"open",
                               "openat",
                               "openat2",
                               "creat",
                               "close",
                               "close_range",
                               "read",
                               "readv",
                               "pread64",
                               "preadv",
                               "preadv2",
                               "write",
                               "writev",
                               "pwrite64",
                               "pwritev",
                               "pwritev2",
                               "lseek",
                               "_llseek",
                               "dup",
                               "dup2",
                               "dup3",
                               "fcntl",
                               "fcntl64",
                               "ioctl",
                               "flock",
                               "ftruncate",
                               "ftruncate64",
                               "truncate",
                               "truncate64",
                               "fallocate",
                               "fadvise64",
                               "fadvise64_64",
                               "readahead",
                               "sendfile",
                               "sendfile64",
                               "splice",
                               "tee",
                               "vmsplice",
                               "copy_file_range",
                               "sync",
                               "syncfs",
                               "fsync",
                               "fdatasync",
                               "sync_file_range",
                               "stat",
                               "stat64",
                               "lstat",
                               "lstat64",
                               "fstat",
                               "fstat64",
                               "newfstatat",
                               "fstatat64",
                               "statx",
                               "statfs",
                               "statfs64",
                               "fstatfs",
                               "fstatfs64",
                               "access",
                               "faccessat",
                               "faccessat2",
                               "chmod",
                               "fchmod",
                               "fchmodat",
                               "fchmodat2",
                               "chown",
                               "chown32",
                               "fchown",
                               "fchown32",
                               "fchownat",
                               "lchown",
                               "lchown32",
                               "utime",
                               "utimes",
                               "futimesat",
                               "utimensat",
                               "utimensat_time64",
                               "link",
                               "linkat",
                               "symlink",
                               "symlinkat",
                               "readlink",
                               "readlinkat",
                               "unlink",
                               "unlinkat",
                               "rename",
                               "renameat",
                               "renameat2",
                               "mkdir",
                               "mkdirat",
                               "rmdir",
                               "mknod",
                               "mknodat",
                               "getdents",
                               "getdents64",
                               "getcwd",
                               "chdir",
                               "fchdir",
                               "getxattr",
                               "lgetxattr",
                               "fgetxattr",
                               "setxattr",
                               "lsetxattr",
                               "fsetxattr",
                               "listxattr",
                               "llistxattr",
                               "flistxattr",
                               "removexattr",
                               "lremovexattr",
                               "fremovexattr",
                               "setxattrat",
                               "getxattrat",
                               "listxattrat",
                               "removexattrat",
                               "file_getattr",
                               "file_setattr",
                               "name_to_handle_at",
                               "inotify_init",
                               "inotify_init1",
                               "inotify_add_watch",
                               "inotify_rm_watch",
                               "fanotify_mark",
                               "statmount",
                               "listmount",
                               "cachestat"};
  return kNames;
}

const Names& wait_and_memory_calls() {
  static const Names kNames = {
      // memory
      "brk", "mmap", "mmap2", "munmap", "mprotect", "mremap", "msync", "madvise", "mincore", "mlock", "mlock2",
      "munlock", "mlockall", "munlockall", "remap_file_pages", "memfd_create", "memfd_secret", "pkey_alloc",
      "pkey_free", "pkey_mprotect", "mseal", "map_shadow_stack",
      // waiting
      "poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6", "pselect6_time64", "epoll_create",
      "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2", "futex",
      "futex_time64", "futex_waitv", "futex_wake", "futex_wait", "futex_requeue", "get_robust_list", "set_robust_list",
      "io_setup", "io_destroy", "io_submit", "io_cancel", "io_getevents", "io_pgetevents", "io_pgetevents_time64",
      // signals
      "rt_sigaction", "rt_sigprocmask", "rt_sigpending", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "rt_sigreturn",
      "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64", "sigaltstack", "sigprocmask", "sigreturn",
      "sigaction", "sigpending", "sigsuspend", "signal", "signalfd", "signalfd4",
      // time: reading it, and what adjtimex tells without CAP_SYS_TIME
      "time", "gettimeofday", "clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64",
      "clock_nanosleep", "clock_nanosleep_time64", "nanosleep", "alarm", "getitimer", "setitimer", "timer_create",
      "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64", "timer_settime", "timer_settime64",
      "timerfd_create", "timerfd_gettime", "timerfd_gettime64", "timerfd_settime", "timerfd_settime64", "adjtimex",
      "clock_adjtime", "clock_adjtime64", "getrandom"};
  return kNames;
}

const Names& ipc_and_socket_calls() {
  static const Names kNames = {"pipe",
                               "pipe2",
                               "socketpair",
                               "bind",
                               "connect",
                               "listen",
                               "accept",
                               "accept4",
                               "getsockname",
                               "getpeername",
                               "getsockopt",
                               "setsockopt",
                               "shutdown",
                               "send",
                               "sendto",
                               "sendmsg",
                               "sendmmsg",
                               "recv",
                               "recvfrom",
                               "recvmsg",
                               "recvmmsg",
                               "recvmmsg_time64",
                               "shmget",
                               "shmat",
                               "shmdt",
                               "shmctl",
                               "semget",
                               "semop",
                               "semtimedop",
                               "semtimedop_time64",
                               "semctl",
                               "msgget",
                               "msgsnd",
                               "msgrcv",
                               "msgctl",
                               "mq_open",
                               "mq_unlink",
                               "mq_notify",
                               "mq_getsetattr",
                               "mq_timedsend",
                               "mq_timedsend_time64",
                               "mq_timedreceive",
                               "mq_timedreceive_time64"};
  return kNames;
}

struct CapabilityCalls {
  const char* capability;
  Names names;
};

const std::vector<CapabilityCalls>& capability_calls() {
  static const std::vector<CapabilityCalls> kCalls = {
      {"SYS_ADMIN", {"mount",       "umount",        "umount2", "open_tree",       "open_tree_attr",
                     "move_mount",  "mount_setattr", "fsopen",  "fsconfig",        "fsmount",
                     "fspick",      "setns",         "unshare", "clone",           "clone3",
                     "sethostname", "setdomainname", "bpf",     "perf_event_open", "fanotify_init",
                     "quotactl",    "quotactl_fd",   "syslog",  "lookup_dcookie",  "socket"}},
      {"DAC_READ_SEARCH", {"open_by_handle_at"}},
      {"SYS_BOOT", {"reboot"}},
      {"SYS_CHROOT", {"chroot"}},
      {"SYS_MODULE", {"init_module", "finit_module", "delete_module"}},
      {"SYS_PACCT", {"acct"}},
      {"SYS_PTRACE", {"kcmp", "pidfd_getfd", "process_madvise"}},
      {"SYS_RAWIO", {"iopl", "ioperm"}},
      {"SYS_TIME", {"settimeofday", "stime", "clock_settime", "clock_settime64"}},
      {"SYS_TTY_CONFIG", {"vhangup"}},
      {"SYS_NICE", {"get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"}},
      {"SYSLOG", {"syslog"}},
      {"BPF", {"bpf"}},
      {"PERFMON", {"perf_event_open"}}};
  return kCalls;
}

bool has(std::uint64_t capabilities, const char* name) { return (capabilities >> *capability_number(name) & 1) != 0; }

SeccompRule allow_if(const char* name, std::vector<SeccompArg> args) {
  return {.names = {name}, .action = {}, .args = std::move(args)};
}

SeccompArg equal(unsigned index, std::uint64_t value) { return {.index = index, .value = value}; }

// Address families in daily use; the others (vsock reaches the hypervisor, AF_ALG and the rare ones have been the entry
// to the kernel) stay closed. Netfilter's netlink is useless without NET_ADMIN in the owning user namespace, so closed
// too.
void add_sockets(SeccompProfile& profile, bool net_admin) {
  constexpr std::uint64_t kNetfilter = 12;  // NETLINK_NETFILTER, linux/netlink.h
  for (int family : {AF_UNIX, AF_INET, AF_INET6, AF_PACKET, AF_CAN, AF_SMC, AF_XDP})
    profile.rules.push_back(allow_if("socket", {equal(0, static_cast<std::uint64_t>(family))}));
  std::vector<SeccompArg> netlink = {equal(0, AF_NETLINK)};
  if (!net_admin) netlink.push_back({.index = 2, .value = kNetfilter, .op = SeccompArg::Op::not_equal});
  profile.rules.push_back(allow_if("socket", netlink));
}

// clone without a new namespace. clone3 hides its flags behind a pointer: ENOSYS makes glibc fall back to clone.
void add_clone(SeccompProfile& profile) {
  constexpr std::uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                        CLONE_NEWPID | static_cast<std::uint64_t>(CLONE_NEWNET);
  profile.rules.push_back(
      allow_if("clone", {{.index = 0, .value = kNamespaces, .value_two = 0, .op = SeccompArg::Op::masked_equal}}));
  profile.rules.push_back(
      {.names = {"clone3"}, .action = {.type = SeccompAction::Type::errno_, .value = ENOSYS}, .args = {}});
}

}  // namespace

SeccompProfile default_seccomp_profile(std::uint64_t capabilities) {
  SeccompProfile out;
  out.fallback = {.type = SeccompAction::Type::errno_, .value = EPERM};
  out.architectures = {"x86", "arm"};  // of which only the native CPU's are added
  for (const auto* names : {&process_calls(), &file_calls(), &wait_and_memory_calls(), &ipc_and_socket_calls()})
    out.rules.push_back({.names = *names, .action = {}, .args = {}});
  // PER_LINUX and PER_LINUX32, each with and without UNAME26; all ones asks (personality(2)).
  for (std::uint64_t persona : {0x0UL, 0x8UL, 0x20000UL, 0x20008UL, 0xffffffffUL})
    out.rules.push_back(allow_if("personality", {equal(0, persona)}));
  for (const auto& calls : capability_calls())
    if (has(capabilities, calls.capability)) out.rules.push_back({.names = calls.names, .action = {}, .args = {}});
  if (!has(capabilities, "SYS_ADMIN")) {
    add_sockets(out, has(capabilities, "NET_ADMIN"));
    add_clone(out);
  }
  return out;
}

}  // namespace podshim
