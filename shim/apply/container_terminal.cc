#include "shim/apply/container_terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "common/sys/file.h"

namespace podshim {
namespace {

constexpr const char* kPtmx = "/dev/pts/ptmx";
constexpr long kDevptsMagic = 0x1cd1;               // statfs(2): DEVPTS_SUPER_MAGIC
constexpr unsigned kPtmxMajor = 5, kPtmxMinor = 2;  // Documentation/admin-guide/devices.txt

Error refused(std::string why) {
  return Error::of(ErrorKind::failed_precondition, "open terminal", kPtmx, std::move(why));
}

// While the pidfd says that the process has not ended, what /proc/<pid> gave before was of that process.
Result<Fd> root_of(const sys::ProcessId& process) {
  auto pidfd = sys::pidfd_open(process);
  if (!pidfd) return fail(refused("the container has ended"));
  auto root = sys::open("/proc/" + std::to_string(process.pid) + "/root", O_PATH | O_DIRECTORY);
  if (TRY(sys::pidfd_wait(*pidfd, std::chrono::milliseconds(0)))) return fail(refused("the container has ended"));
  return root;
}

}  // namespace

Result<Terminal> open_container_terminal(const sys::ProcessId& process) {
  const Fd root = TRY(root_of(process));
  auto found = sys::open_in_root(root, kPtmx, O_PATH);
  if (!found) return fail(refused("the container has no devpts: " + errno_name(found.error().code)));
  struct statfs fs{};
  struct stat st{};
  if (::fstatfs(found->get(), &fs) != 0 || ::fstat(found->get(), &st) != 0) return fail(Error::sys("stat", kPtmx));
  if (fs.f_type != kDevptsMagic || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(kPtmxMajor, kPtmxMinor))
    return fail(refused("is not that of a devpts"));

  Terminal out;
  out.master = TRY(sys::open("/proc/self/fd/" + std::to_string(found->get()), O_RDWR | O_NOCTTY | O_NONBLOCK));
  int unlock = 0;
  if (::ioctl(out.master.get(), TIOCSPTLCK, &unlock) != 0) return fail(Error::sys("ioctl TIOCSPTLCK", kPtmx));
  out.slave = Fd(::ioctl(out.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!out.slave) return fail(Error::sys("ioctl TIOCGPTPEER", kPtmx));
  return out;
}

}  // namespace podshim
