#include "shim/monitor/pty.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include "common/sys/file.h"
#include "common/sys/mount.h"

namespace podshim {
namespace {

constexpr unsigned kNoSuid = 0x2, kNoExec = 0x8;  // MOUNT_ATTR_*, mount_setattr(2)

}  // namespace

Result<Pty> make_pty() {
  // gid 5 is the group "tty" of every distribution; the slave is its, writable (Documentation/filesystems/devpts.rst).
  const sys::MountOption options[] = {{"ptmxmode", "0666"}, {"mode", "0620"}, {"gid", "5"}};
  Pty pty;
  pty.instance = TRY(sys::new_mount("devpts", options, kNoSuid | kNoExec));
  pty.master = TRY(sys::open_at(pty.instance, "ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK));
  int unlock = 0;
  if (::ioctl(pty.master.get(), TIOCSPTLCK, &unlock) != 0) return fail(Error::sys("ioctl TIOCSPTLCK", "ptmx"));
  pty.slave = Fd(::ioctl(pty.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pty.slave) return fail(Error::sys("ioctl TIOCGPTPEER", "ptmx"));
  return pty;
}

}  // namespace podshim
