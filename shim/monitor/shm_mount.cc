#include "shim/monitor/shm_mount.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/sys/file.h"
#include "common/sys/mount.h"

namespace podshim {
namespace {

constexpr int kDetach = 2;              // MNT_DETACH, umount2(2)
constexpr const char* kSpot = "/proc";  // any directory that is always there; only seen inside the holder

Result<> enter(const Fd& ns) {
  if (::setns(ns.get(), CLONE_NEWNS) != 0) return fail(Error::sys("setns", "mnt"));
  return {};
}

// In a fresh mount namespace: `mount` becomes its root and everything else goes.
Result<> become_root(const Fd& mount) {
  if (::syscall(SYS_mount, "", "/", "", MS_PRIVATE | MS_REC, nullptr) != 0) return fail(Error::sys("mount", "/"));
  if (::syscall(SYS_move_mount, mount.get(), "", AT_FDCWD, kSpot, MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return fail(Error::sys("move_mount", "shm"));
  if (::fchdir(mount.get()) != 0) return fail(Error::sys("fchdir", "shm"));
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return fail(Error::sys("pivot_root", "shm"));
  if (::syscall(SYS_umount2, ".", kDetach) != 0) return fail(Error::sys("umount", "shm"));
  return {};
}

}  // namespace

void ShmMount::set(Fd mount) {
  mount_ = std::move(mount);
  holder_.reset();
}

Result<> ShmMount::hold() {
  Fd names = TRY(sys::open("/proc/self/ns", O_PATH | O_DIRECTORY));  // reachable when /proc no longer is
  Fd own = TRY(sys::open_at(names, "mnt", O_RDONLY));
  if (::unshare(CLONE_NEWNS) != 0) return fail(Error::sys("unshare", "mnt"));
  auto made = become_root(mount_);
  auto holder = made ? sys::open_at(names, "mnt", O_RDONLY) : Result<Fd>(fail(made.error()));
  TRY(enter(own));
  holder_ = TRY(std::move(holder));
  mount_.reset();
  return {};
}

Result<Fd> ShmMount::copy() {
  if (empty()) return fail(Error::of(ErrorKind::failed_precondition, "copy", "shm", "the sandbox has none"));
  if (!holder_ && detached_copy_) {
    auto copied = sys::copy_mount(mount_, "", false);
    if (copied || !copied.error().is(EINVAL)) return copied;
    detached_copy_ = false;
  }
  if (!holder_) TRY(hold());
  Fd own = TRY(sys::open("/proc/self/ns/mnt", O_RDONLY));
  TRY(enter(holder_));
  auto copied = sys::copy_mount(Fd(), "/", false);
  TRY(enter(own));
  return copied;
}

}  // namespace podshim
