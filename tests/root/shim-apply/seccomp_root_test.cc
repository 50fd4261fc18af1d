// The kernel takes the compiled filters and does what they say: each case is a child under the filter.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

#include "shim/plan/capabilities.h"
#include "shim/plan/seccomp.h"

namespace podshim {
namespace {

// Runs `body` in a child under `filter`: its value, or 100 when the filter was not taken, 128 + signal when killed.
int under(const SeccompFilter& filter, const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    sock_fprog program{.len = static_cast<unsigned short>(filter.program.size() / sizeof(sock_filter)),
                       .filter = reinterpret_cast<sock_filter*>(const_cast<char*>(filter.program.data()))};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(100);
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter.flags, &program) != 0) ::_exit(100);
    ::_exit(body());
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int errno_of(long result) { return result < 0 ? errno : 0; }

TEST(SeccompKernel, RuntimeDefault) {
  auto filter = compile_seccomp(default_seccomp_profile(default_capabilities()));
  ASSERT_TRUE(filter) << filter.error().text();
  EXPECT_EQ(under(*filter, [] { return errno_of(::syscall(SYS_getpid)); }), 0);
  EXPECT_EQ(under(*filter, [] { return errno_of(::unshare(CLONE_NEWUSER)); }), EPERM);
  EXPECT_EQ(under(*filter, [] { return errno_of(::syscall(SYS_clone3, nullptr, 0)); }), ENOSYS);
  EXPECT_EQ(under(*filter, [] { return errno_of(::syscall(600)); }), ENOSYS);
  EXPECT_EQ(under(*filter, [] { return errno_of(::socket(AF_INET, SOCK_STREAM, 0)); }), 0);
  EXPECT_EQ(under(*filter, [] { return errno_of(::socket(AF_VSOCK, SOCK_STREAM, 0)); }), EPERM);
  EXPECT_EQ(under(*filter, [] { return errno_of(::socket(AF_NETLINK, SOCK_RAW, 0)); }), 0);
  EXPECT_EQ(under(*filter, [] { return errno_of(::socket(AF_NETLINK, SOCK_RAW, 12)); }), EPERM);
  EXPECT_EQ(under(*filter,
                  [] {  // threads and children go through clone
                    const pid_t pid = ::fork();
                    if (pid == 0) ::_exit(7);
                    int status = 0;
                    ::waitpid(pid, &status, 0);
                    return WEXITSTATUS(status);
                  }),
            7);
  EXPECT_EQ(under(*filter,
                  [] {
                    ::execl("/bin/true", "true", nullptr);
                    return 99;
                  }),
            0);
}

TEST(SeccompKernel, EveryCapabilitySetCompiles) {
  for (int cap = 0; cap <= 40; cap++) {
    auto filter = compile_seccomp(default_seccomp_profile(std::uint64_t{1} << cap));
    ASSERT_TRUE(filter) << capability_name(cap) << filter.error().text();
    EXPECT_EQ(under(*filter, [] { return 5; }), 5) << capability_name(cap);
  }
}

TEST(SeccompKernel, LocalhostProfile) {
  auto profile =
      parse_seccomp_profile(R"({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"], "syscalls": [
      {"names": ["chmod", "fchmodat", "fchmodat2", "sethostname"], "action": "SCMP_ACT_ERRNO"},
      {"names": ["getppid"], "action": "SCMP_ACT_KILL_PROCESS"}]})",
                            0);
  ASSERT_TRUE(profile) << profile.error().text();
  auto filter = compile_seccomp(*profile);
  ASSERT_TRUE(filter) << filter.error().text();
  EXPECT_EQ(under(*filter, [] { return errno_of(::chmod("/", 0755)); }), EPERM);
  EXPECT_EQ(under(*filter, [] { return errno_of(::syscall(452, -1, "/", 0755, 0)); }), EPERM);  // fchmodat2
  EXPECT_EQ(under(*filter, [] { return errno_of(::sethostname("x", 1)); }), EPERM);
  EXPECT_EQ(under(*filter, [] { return errno_of(::access("/", F_OK)); }), 0);
  EXPECT_EQ(under(*filter, [] { return errno_of(::syscall(SYS_getppid)); }), 128 + SIGSYS);
}

}  // namespace
}  // namespace podshim
