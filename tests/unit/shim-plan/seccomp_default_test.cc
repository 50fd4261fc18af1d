#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "shim/plan/capabilities.h"
#include "tests/unit/shim-plan/filter_machine.h"
#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

constexpr long kFchmodat2 = 452, kOpenTreeAttr = 467, kUnheardOf = 600;

std::string filter(std::uint64_t capabilities) {
  auto got = compile_seccomp(default_seccomp_profile(capabilities));
  EXPECT_TRUE(got) << error_text(got);
  return got ? got->program : std::string();
}

std::uint64_t with(const char* capability) {
  return default_capabilities() | std::uint64_t{1} << *capability_number(capability);
}

bool allowed(const std::string& program, const seccomp_data& data) {
  return run_filter(program, data) == SECCOMP_RET_ALLOW;
}

TEST(RuntimeDefault, OrdinaryCalls) {
  const auto f = filter(default_capabilities());
  for (long nr : std::initializer_list<long>{SYS_read,
                                             SYS_write,
                                             SYS_openat,
                                             SYS_openat2,
                                             SYS_execve,
                                             SYS_mmap,
                                             SYS_futex,
                                             SYS_epoll_wait,
                                             SYS_accept4,
                                             SYS_sendmsg,
                                             SYS_clock_gettime,
                                             SYS_rt_sigreturn,
                                             SYS_exit_group,
                                             SYS_wait4,
                                             SYS_prctl,
                                             SYS_capset,
                                             SYS_setuid,
                                             SYS_setgroups,
                                             SYS_chdir,
                                             SYS_seccomp,
                                             SYS_arch_prctl,
                                             SYS_rseq,
                                             SYS_close_range,
                                             SYS_statx,
                                             SYS_chroot,
                                             SYS_shmget,
                                             SYS_mq_open,
                                             SYS_ptrace,
                                             SYS_pidfd_open,
                                             SYS_faccessat2,
                                             SYS_getrandom,
                                             SYS_memfd_create,
                                             SYS_inotify_add_watch,
                                             SYS_sched_setaffinity,
                                             SYS_name_to_handle_at,
                                             kFchmodat2})
    EXPECT_TRUE(allowed(f, call(nr))) << nr;
}

TEST(RuntimeDefault, WhatChangesTheNodeIsRefused) {
  const auto f = filter(default_capabilities());
  for (long nr : std::initializer_list<long>{SYS_mount,
                                             SYS_umount2,
                                             SYS_unshare,
                                             SYS_setns,
                                             SYS_bpf,
                                             SYS_perf_event_open,
                                             SYS_io_uring_setup,
                                             SYS_userfaultfd,
                                             SYS_keyctl,
                                             SYS_add_key,
                                             SYS_request_key,
                                             SYS_init_module,
                                             SYS_finit_module,
                                             SYS_kexec_load,
                                             SYS_reboot,
                                             SYS_swapon,
                                             SYS_settimeofday,
                                             SYS_clock_settime,
                                             SYS_acct,
                                             SYS_quotactl,
                                             SYS_open_by_handle_at,
                                             SYS_syslog,
                                             SYS_iopl,
                                             SYS_fsopen,
                                             SYS_move_mount,
                                             SYS_open_tree,
                                             SYS_sethostname,
                                             SYS_vhangup,
                                             SYS_pivot_root,
                                             SYS_nfsservctl,
                                             SYS_kcmp})
    EXPECT_EQ(run_filter(f, call(nr)), errno_action(EPERM)) << nr;
}

TEST(RuntimeDefault, CapabilitiesOpenTheirCalls) {
  struct Case {
    const char* capability;
    long number;
  } cases[] = {{"SYS_ADMIN", SYS_mount},         {"SYS_ADMIN", SYS_unshare},
               {"SYS_ADMIN", SYS_setns},         {"SYS_ADMIN", SYS_bpf},
               {"SYS_ADMIN", SYS_sethostname},   {"SYS_ADMIN", SYS_clone3},
               {"SYS_ADMIN", kOpenTreeAttr},     {"BPF", SYS_bpf},
               {"PERFMON", SYS_perf_event_open}, {"DAC_READ_SEARCH", SYS_open_by_handle_at},
               {"SYS_BOOT", SYS_reboot},         {"SYS_MODULE", SYS_finit_module},
               {"SYS_PACCT", SYS_acct},          {"SYS_PTRACE", SYS_kcmp},
               {"SYS_RAWIO", SYS_iopl},          {"SYS_TIME", SYS_settimeofday},
               {"SYS_TTY_CONFIG", SYS_vhangup},  {"SYS_NICE", SYS_mbind},
               {"SYSLOG", SYS_syslog},           {"SYS_CHROOT", SYS_chroot}};
  for (const auto& c : cases) {
    const std::uint64_t bit = std::uint64_t{1} << *capability_number(c.capability);
    EXPECT_TRUE(allowed(filter(with(c.capability)), call(c.number))) << c.capability << " " << c.number;
    EXPECT_FALSE(allowed(filter(default_capabilities() & ~bit), call(c.number))) << c.capability << " " << c.number;
  }
}

TEST(RuntimeDefault, CloneMakesThreadsButNoNamespaces) {
  const auto f = filter(default_capabilities());
  EXPECT_TRUE(allowed(f, call(SYS_clone, {CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD})));
  EXPECT_TRUE(allowed(f, call(SYS_clone, {SIGCHLD})));
  for (std::uint64_t flag : std::initializer_list<std::uint64_t>{
           CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET})
    EXPECT_EQ(run_filter(f, call(SYS_clone, {flag | SIGCHLD})), errno_action(EPERM)) << flag;
  EXPECT_EQ(run_filter(f, call(SYS_clone3)), errno_action(ENOSYS));
  EXPECT_TRUE(allowed(filter(with("SYS_ADMIN")), call(SYS_clone, {CLONE_NEWUSER})));
}

TEST(RuntimeDefault, SocketFamilies) {
  constexpr std::uint64_t kRoute = 0, kNetfilter = 12;
  const auto f = filter(default_capabilities()), net = filter(with("NET_ADMIN")), admin = filter(with("SYS_ADMIN"));
  for (std::uint64_t family : std::initializer_list<std::uint64_t>{AF_UNIX, AF_INET, AF_INET6, AF_PACKET})
    EXPECT_TRUE(allowed(f, call(SYS_socket, {family}))) << family;
  EXPECT_TRUE(allowed(f, call(SYS_socket, {AF_NETLINK, SOCK_RAW, kRoute})));
  EXPECT_FALSE(allowed(f, call(SYS_socket, {AF_NETLINK, SOCK_RAW, kNetfilter})));
  EXPECT_TRUE(allowed(net, call(SYS_socket, {AF_NETLINK, SOCK_RAW, kNetfilter})));
  for (std::uint64_t family : std::initializer_list<std::uint64_t>{AF_VSOCK, AF_ALG, AF_TIPC, AF_RDS, AF_KEY}) {
    EXPECT_FALSE(allowed(f, call(SYS_socket, {family}))) << family;
    EXPECT_TRUE(allowed(admin, call(SYS_socket, {family}))) << family;
  }
}

TEST(RuntimeDefault, OtherInstructionSets) {
  const auto f = filter(default_capabilities());
  constexpr long kRead = 3, kMount = 21, kSocketcall = 102, kSocket = 359, kTime64 = 403;
  EXPECT_TRUE(allowed(f, call(kRead, {}, AUDIT_ARCH_I386)));
  EXPECT_TRUE(allowed(f, call(kTime64, {}, AUDIT_ARCH_I386)));
  EXPECT_TRUE(allowed(f, call(kSocket, {AF_INET}, AUDIT_ARCH_I386)));
  EXPECT_FALSE(allowed(f, call(kSocket, {AF_VSOCK}, AUDIT_ARCH_I386)));
  EXPECT_FALSE(allowed(f, call(kMount, {}, AUDIT_ARCH_I386)));
  EXPECT_EQ(run_filter(f, call(kSocketcall, {1}, AUDIT_ARCH_I386)), errno_action(EPERM));  // socket(), family unseen
  EXPECT_TRUE(allowed(f, call(kSocketcall, {2}, AUDIT_ARCH_I386)));                        // bind()
  EXPECT_EQ(run_filter(f, call(SYS_read | 0x40000000)), errno_action(ENOSYS));             // x32
  EXPECT_EQ(run_filter(f, call(63, {}, AUDIT_ARCH_AARCH64)), errno_action(ENOSYS));
}

// A program falls back from ENOSYS, not from EPERM: calls nobody knows yet must look absent.
TEST(RuntimeDefault, CallsOfTheFutureAreAbsent) {
  for (std::uint64_t capabilities : {std::uint64_t{0}, default_capabilities(), kAllCapabilities}) {
    const auto f = filter(capabilities);
    for (long nr : std::initializer_list<long>{kUnheardOf, 470L, 1000L, 0x3fffffffL})
      EXPECT_EQ(run_filter(f, call(nr)), errno_action(ENOSYS)) << nr;
  }
}

TEST(RuntimeDefault, Personality) {
  const auto f = filter(default_capabilities());
  for (std::uint64_t persona : std::initializer_list<std::uint64_t>{0x0UL, 0x8UL, 0x20000UL, 0x20008UL, 0xffffffffUL})
    EXPECT_TRUE(allowed(f, call(SYS_personality, {persona}))) << persona;
  EXPECT_FALSE(allowed(f, call(SYS_personality, {0x0040000})));  // ADDR_NO_RANDOMIZE
}

// What runs after the filter is in (credentials.cc) must get through it.
TEST(RuntimeDefault, TheStepsAfterItMayRun) {
  const auto f = filter(0);
  for (long nr : std::initializer_list<long>{SYS_capset, SYS_prctl, SYS_execve, SYS_write, SYS_close, SYS_exit_group,
                                             SYS_getppid})
    EXPECT_TRUE(allowed(f, call(nr))) << nr;
}

}  // namespace
}  // namespace podshim::testing
