#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sys/stat.h>

#include "shim/monitor/child_path.h"
#include "shim/monitor/child_steps.h"

namespace podshim::child {

using sys::raw;

namespace {

constexpr unsigned kCapabilityWords = 64;
constexpr unsigned kMemoryDevices =
    1;  // major of /dev/null and its kin: never given away; bits 8-19 of dev_t (makedev(3))

// A program that opens /dev/stdout by name needs to own the pipe or tty behind it.
void give_stdio(std::uint64_t uid) noexcept {
  for (int fd = 0; fd < 3; fd++) {
    struct stat st;
    if (raw(__NR_newfstatat, fd, "", &st, AT_EMPTY_PATH) < 0) continue;
    bool tty = S_ISCHR(st.st_mode) && (st.st_rdev >> 8 & 0xfff) != kMemoryDevices;
    if ((tty || S_ISFIFO(st.st_mode)) && st.st_uid != uid) raw(__NR_fchown, fd, uid, -1);
  }
}

}  // namespace

int bound_caps(const ChildPlan&, const ChildStep& s) noexcept {
  for (unsigned cap = 0; cap < kCapabilityWords; cap++) {
    if ((s.x >> cap & 1) != 0) continue;
    long held = raw(__NR_prctl, PR_CAPBSET_READ, cap);
    if (held == -EINVAL) break;  // beyond the kernel's last capability
    if (held == 1)
      if (long r = raw(__NR_prctl, PR_CAPBSET_DROP, cap); r < 0) return as_errno(r);
  }
  return 0;
}

int set_groups(const ChildPlan&, const ChildStep& s) noexcept {
  return as_errno(raw(__NR_setgroups, s.a_length / sizeof(std::uint32_t), s.a));
}

int set_gid(const ChildPlan&, const ChildStep& s) noexcept { return as_errno(raw(__NR_setresgid, s.x, s.x, s.x)); }

int set_uid(const ChildPlan&, const ChildStep& s) noexcept {
  give_stdio(s.x);
  raw(__NR_prctl, PR_SET_KEEPCAPS, 1);
  long result = raw(__NR_setresuid, s.x, s.x, s.x);
  raw(__NR_prctl, PR_SET_KEEPCAPS, 0);
  return as_errno(result);
}

int set_caps(const ChildPlan&, const ChildStep& s) noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  for (unsigned word = 0; word < 2; word++) {
    data[word].effective = static_cast<__u32>(s.x >> (32 * word));
    data[word].permitted = static_cast<__u32>(s.y >> (32 * word));
    data[word].inheritable = static_cast<__u32>(s.z >> (32 * word));
  }
  if (long r = raw(__NR_capset, &header, data); r < 0) return as_errno(r);
  raw(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
  for (unsigned cap = 0; cap < kCapabilityWords; cap++)
    if ((s.w >> cap & 1) != 0)
      if (long r = raw(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap); r < 0) return as_errno(r);
  return 0;
}

int no_new_privs(const ChildPlan&, const ChildStep&) noexcept {
  return as_errno(raw(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1));
}

int seccomp(const ChildPlan&, const ChildStep& s) noexcept {
  sock_fprog program{};
  program.len = static_cast<unsigned short>(s.a_length / sizeof(sock_filter));
  program.filter = reinterpret_cast<sock_filter*>(const_cast<char*>(s.a));
  return as_errno(raw(__NR_seccomp, SECCOMP_SET_MODE_FILTER, s.x, &program));
}

}  // namespace podshim::child
