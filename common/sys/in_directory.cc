#include "common/sys/in_directory.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <exception>
#include <thread>

namespace podshim::sys {
namespace {

Result<> enter(const Fd& dir, bool own_mounts) {
  if (::unshare(CLONE_FS) != 0) return fail(Error::sys("unshare", "helper thread", "fs"));
  // Before the new namespace: it takes the working directory along, a later fchdir would lead back into the old one.
  if (::fchdir(dir.get()) != 0) return fail(Error::sys("fchdir", "helper thread"));
  if (!own_mounts) return {};
  if (::unshare(CLONE_NEWNS) != 0) return fail(Error::sys("unshare", "helper thread", "mnt"));
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return fail(Error::sys("mount", "/", "rslave"));
  return {};
}

}  // namespace

Result<> in_directory(const Fd& dir, bool own_mounts, const std::function<Result<>()>& fn) {
  Result<> result;
  std::thread([&] {
    result = enter(dir, own_mounts);
    if (!result) return;
    try {
      result = fn();
    } catch (const std::exception& e) {
      result = fail(Error::of(ErrorKind::internal, "in_directory", "exception", e.what()));
    }
  }).join();
  return result;
}

}  // namespace podshim::sys
