#include "shim/apply/netns.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/sys/file.h"

namespace podshim {
namespace {

bool same_file(const std::string& a, const std::string& b) {
  struct stat x{}, y{};
  return ::stat(a.c_str(), &x) == 0 && ::stat(b.c_str(), &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool is_netns(const std::string& path) {
  struct stat file{}, ours{};
  return ::stat(path.c_str(), &file) == 0 && ::stat("/proc/self/ns/net", &ours) == 0 && file.st_dev == ours.st_dev;
}

}  // namespace

std::string netns_name(const std::string& instance, const std::string& sandbox_id) {
  return "podshim-" + instance + "-" + sandbox_id;
}

Result<> prepare_netns_dir(const std::string& dir) {
  TRY(sys::make_dirs(dir));
  fault_point("share netns directory");
  if (::mount("", dir.c_str(), "none", MS_SHARED | MS_REC, nullptr) == 0) return {};
  if (errno != EINVAL) return fail(Error::sys("mount shared", dir));
  // EINVAL: no mount point yet (ip-netns(8) makes it one in the same way).
  fault_point("bind netns directory");
  if (::mount(dir.c_str(), dir.c_str(), "none", MS_BIND | MS_REC, nullptr) != 0)
    return fail(Error::sys("mount bind", dir, dir));
  // Private for a moment: else it stays in the peer group of a shared /run, and every netns would be mounted twice.
  fault_point("make netns directory private");
  if (::mount("", dir.c_str(), "none", MS_PRIVATE, nullptr) != 0) return fail(Error::sys("mount private", dir));
  fault_point("share bound netns directory");
  if (::mount("", dir.c_str(), "none", MS_SHARED | MS_REC, nullptr) != 0) return fail(Error::sys("mount shared", dir));
  return {};
}

Result<std::string> bind_netns(pid_t pid, const std::string& dir, const std::string& name) {
  const std::string source = "/proc/" + std::to_string(pid) + "/ns/net", target = dir + "/" + name;
  fault_point("make netns file");
  if (auto made = sys::open(target, O_RDONLY | O_CREAT | O_EXCL, 0444); !made) {
    if (!made.error().is(EEXIST)) return fail(std::move(made).error());
    if (same_file(source, target)) return target;
    if (is_netns(target)) return fail(Error::sys("bind netns", source, target, EEXIST));
  }
  fault_point("bind netns");
  if (::mount(source.c_str(), target.c_str(), "none", MS_BIND, nullptr) != 0) {
    Error error = Error::sys("bind netns", source, target);
    ::unlink(target.c_str());
    return fail(std::move(error));
  }
  return target;
}

Result<> unbind_netns(const std::string& dir, const std::string& name) {
  const std::string target = dir + "/" + name;
  fault_point("unmount netns");
  // More than one mount can lie there; EINVAL says that none does any more.
  while (::umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
  if (errno != EINVAL && errno != ENOENT) return fail(Error::sys("umount", target));
  return sys::remove_file(target);  // a fault point: unmounted, the file still there
}

}  // namespace podshim
