#include "shim/apply/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <memory>

#include "common/fault.h"
#include "common/sys/file.h"
#include "common/sys/mount.h"
#include "shim/apply/cgroup_detail.h"
#include "shim/apply/mountinfo.h"

namespace podshim {
namespace {

constexpr std::size_t kMaxMountinfo = 64UL << 20;

// The mode as said, whatever the daemon's umask.
Result<> set_mode(const std::string& path, mode_t mode) {
  if (::chmod(path.c_str(), mode) != 0) return fail(Error::sys("chmod", path));
  return {};
}

// In place, not by rename: a running container has this very file mounted.
Result<std::string> write_one(const std::string& path, const std::string& text) {
  TRY(sys::write_file(path, text, 0644));
  TRY(set_mode(path, 0644));
  return path;
}

}  // namespace

Result<> write_sandbox_files(const std::string& dir, const SandboxFiles& files, SandboxFacts& facts) {
  facts.hosts_path = TRY(write_one(dir + "/hosts", files.hosts));
  facts.hostname_path = TRY(write_one(dir + "/hostname", files.hostname));
  facts.resolv_conf_path = TRY(write_one(dir + "/resolv.conf", files.resolv_conf));
  return {};
}

Result<Fd> make_shm(std::uint64_t size_bytes) {
  const std::array<sys::MountOption, 2> options = {{{"size", std::to_string(size_bytes)}, {"mode", "1777"}}};
  return sys::new_mount("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

Result<> make_volumes(const std::string& dir, const std::vector<std::string>& names) {
  if (names.empty()) return {};
  TRY(sys::make_dirs(dir));
  for (const auto& name : names) {
    TRY(sys::make_dir(dir + "/" + name));
    TRY(set_mode(dir + "/" + name, 0777));
  }
  return {};
}

Result<> remove_with_mounts(const std::string& dir) {
  auto removed = sys::remove_tree(dir);
  if (removed || !(removed.error().is(EXDEV) || removed.error().is(EBUSY))) return removed;
  auto mounts = parse_mountinfo(TRY(sys::read_file("/proc/self/mountinfo", kMaxMountinfo)));
  std::reverse(mounts.begin(), mounts.end());  // the newest first: they may be stacked
  fault_point("unmount below directory");
  for (const auto& mount : mounts)
    if (mount.mount_point.starts_with(dir + "/") &&
        ::umount2(mount.mount_point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL && errno != ENOENT)
      return fail(Error::sys("umount", mount.mount_point));
  return sys::remove_tree(dir);
}

namespace {

struct Close {
  void operator()(DIR* d) const { ::closedir(d); }
};

// One directory; those below it are added to `todo` as paths from the top.
void measure_one(const Fd& top, const std::string& path, TreeUse& use, std::vector<std::string>& todo) {
  auto fd = sys::open_beneath(top, path.empty() ? "." : path, O_RDONLY | O_DIRECTORY);
  if (!fd) return;
  const int raw = fd->get();
  std::unique_ptr<DIR, Close> entries(::fdopendir(raw));
  if (!entries) return;
  fd->release();
  while (const dirent* entry = ::readdir(entries.get())) {
    const std::string_view name = entry->d_name;
    struct stat st{};
    if (name == "." || name == ".." || ::fstatat(raw, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    use.bytes += static_cast<std::uint64_t>(st.st_blocks) * 512;
    use.inodes++;
    if (S_ISDIR(st.st_mode)) todo.push_back(path.empty() ? std::string(name) : path + "/" + std::string(name));
  }
}

}  // namespace

// By paths from the top, so that neither depth nor breadth costs stack or descriptors; what is deeper than a path can
// say is not counted.
TreeUse measure_tree(const std::string& dir) {
  TreeUse use;
  auto top = sys::open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (!top) return use;
  std::vector<std::string> todo = {""};
  while (!todo.empty()) {
    const std::string path = std::move(todo.back());
    todo.pop_back();
    measure_one(*top, path, use, todo);
  }
  return use;
}

Result<FilesystemSpace> space_of(const std::string& path) {
  struct statvfs space{};
  struct stat st{};
  if (::statvfs(path.c_str(), &space) != 0 || ::stat(path.c_str(), &st) != 0) return fail(Error::sys("statvfs", path));
  return FilesystemSpace{.device = block_device_name(::major(st.st_dev), ::minor(st.st_dev)),
                         .bytes = space.f_blocks * space.f_frsize,
                         .inodes = space.f_files,
                         .inodes_free = space.f_favail};
}

std::string read_host_file(const std::string& path) { return sys::read_file(path, 1UL << 20).value_or(""); }

}  // namespace podshim
