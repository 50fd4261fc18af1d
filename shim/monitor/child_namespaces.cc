#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/socket.h>

#include "shim/monitor/child_path.h"
#include "shim/monitor/child_steps.h"

namespace podshim::child {

using sys::raw;

int write_file(const ChildPlan&, const ChildStep& s) noexcept {
  long fd = raw(__NR_openat, AT_FDCWD, s.b, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return as_errno(fd);
  // Kernel files take the whole text in one write.
  long n = raw(__NR_write, fd, s.a, s.a_length);
  close_fd(fd);
  if (n >= 0 && n != static_cast<long>(s.a_length)) return EIO;
  return as_errno(n);
}

int set_ns(const ChildPlan& plan, const ChildStep& s) noexcept {
  int fd = slot_fd(plan, s.slot);
  return fd < 0 ? -fd : as_errno(raw(__NR_setns, fd, s.x));
}

int unshare(const ChildPlan&, const ChildStep& s) noexcept { return as_errno(raw(__NR_unshare, s.x)); }

int set_hostname(const ChildPlan&, const ChildStep& s) noexcept {
  return as_errno(raw(__NR_sethostname, s.a, s.a_length));
}

int loopback_up(const ChildPlan&, const ChildStep&) noexcept {
  long fd = raw(__NR_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC);
  if (fd < 0) return as_errno(fd);
  ifreq request;
  memset(&request, 0, sizeof request);
  memcpy(request.ifr_name, "lo", 3);
  long result = raw(__NR_ioctl, fd, SIOCGIFFLAGS, &request);
  if (result == 0) {
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    result = raw(__NR_ioctl, fd, SIOCSIFFLAGS, &request);
  }
  close_fd(fd);
  return as_errno(result);
}

}  // namespace podshim::child
