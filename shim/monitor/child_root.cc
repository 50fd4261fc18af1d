#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>

#include "shim/monitor/child_path.h"
#include "shim/monitor/child_steps.h"

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000  // open_tree(2), mount_setattr(2)
#endif

namespace podshim::child {

using sys::raw;

namespace {

constexpr unsigned kCloneByFd = AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
constexpr unsigned kMoveByFd = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
constexpr unsigned kMaskAttributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
constexpr int kDetach = 2;                    // MNT_DETACH, umount2(2)
constexpr unsigned kNullDevice = 1 << 8 | 3;  // makedev(1, 3), Documentation/admin-guide/devices.txt

// Opens the directory of `path` below the root, made when missing.
int parent_of(const ChildPlan& plan, const char* path, SplitPath* parts) noexcept {
  int err = split(path, parts);
  return err != 0 ? err : ensure_dir(plan, parts->directory, 0755);
}

int existing_is_fine(long result) noexcept { return result == -EEXIST ? 0 : as_errno(result); }

int give_node(int parent, const char* name, const ChildStep& s) noexcept {
  if (long r = raw(__NR_fchownat, parent, name, s.z, s.w, AT_SYMLINK_NOFOLLOW); r < 0) return as_errno(r);
  // The umask of the child is 0, but an image may hold the node with another mode.
  return as_errno(raw(__NR_fchmodat, parent, name, s.x & 07777));
}

// An attached empty tmpfs is cloned for each further directory: one super block for all masks of a container.
long empty_dir(const ChildPlan& plan) noexcept {
  if (plan.scratch->empty_dir >= 0) return raw(__NR_open_tree, plan.scratch->empty_dir, "", kCloneByFd);
  long context = raw(__NR_fsopen, "tmpfs", FSOPEN_CLOEXEC);
  if (context < 0) return context;
  raw(__NR_fsconfig, context, FSCONFIG_SET_STRING, "size", "0k", 0);
  raw(__NR_fsconfig, context, FSCONFIG_SET_STRING, "mode", "0555", 0);
  long mount = raw(__NR_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
  if (mount == 0) mount = raw(__NR_fsmount, context, FSMOUNT_CLOEXEC, kMaskAttributes);
  close_fd(context);
  return mount;
}

// The host's /dev/null, or the container's once its root was entered: then an image or a racing container may have
// put something else there, and a mask that is a symlink or a file would be a hole (CVE-2025-31133).
long null_device() noexcept {
  long fd = raw(__NR_open_tree, AT_FDCWD, "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
  if (fd < 0) return fd;
  struct stat st;
  long result = raw(__NR_newfstatat, fd, "", &st, AT_EMPTY_PATH);
  if (result == 0 && S_ISCHR(st.st_mode) && st.st_rdev == kNullDevice) return fd;
  close_fd(fd);
  return result < 0 ? result : -ENODEV;
}

}  // namespace

int make_dir(const ChildPlan& plan, const ChildStep& s) noexcept {
  int fd = ensure_dir(plan, s.b, static_cast<unsigned>(s.x));
  close_fd(fd);
  return as_errno(fd);
}

int make_symlink(const ChildPlan& plan, const ChildStep& s) noexcept {
  SplitPath parts;
  int parent = parent_of(plan, s.b, &parts);
  if (parent < 0) return -parent;
  long made = raw(__NR_symlinkat, s.a, parent, parts.name);
  close_fd(parent);
  return existing_is_fine(made);
}

int make_node(const ChildPlan& plan, const ChildStep& s) noexcept {
  SplitPath parts;
  int parent = parent_of(plan, s.b, &parts);
  if (parent < 0) return -parent;
  long made = raw(__NR_mknodat, parent, parts.name, s.x, s.y);
  int err = made == 0 ? give_node(parent, parts.name, s) : existing_is_fine(made);
  close_fd(parent);
  return err;
}

int mask_path(const ChildPlan& plan, const ChildStep& s) noexcept {
  int target = open_below(plan, s.b, O_PATH);
  if (target == -ENOENT || target == -ENOTDIR) return 0;
  if (target < 0) return -target;
  struct stat st;
  long result = raw(__NR_newfstatat, target, "", &st, AT_EMPTY_PATH);
  bool directory = result == 0 && S_ISDIR(st.st_mode);
  long cover = result < 0 ? result : directory ? empty_dir(plan) : null_device();
  if (cover >= 0) result = raw(__NR_move_mount, cover, "", target, "", kMoveByFd);
  close_fd(target);
  if (cover < 0) return as_errno(cover);
  if (directory && result == 0 && plan.scratch->empty_dir < 0) {
    plan.scratch->empty_dir = static_cast<int>(cover);
  } else {
    close_fd(cover);
  }
  return as_errno(result);
}

int readonly_path(const ChildPlan& plan, const ChildStep& s) noexcept {
  int target = open_below(plan, s.b, O_PATH);
  if (target == -ENOENT || target == -ENOTDIR) return 0;
  if (target < 0) return -target;
  long tree = raw(__NR_open_tree, target, "", kCloneByFd | AT_RECURSIVE);
  long result = tree;
  if (tree >= 0) {
    struct mount_attr attr{};
    attr.attr_set = MOUNT_ATTR_RDONLY;
    result = raw(__NR_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr);
    if (result == 0) result = raw(__NR_move_mount, tree, "", target, "", kMoveByFd);
    close_fd(tree);
  }
  close_fd(target);
  return as_errno(result);
}

int readonly_root(const ChildPlan& plan, const ChildStep&) noexcept {
  int root = root_fd(plan);
  if (root < 0) return -root;
  struct mount_attr attr{};
  attr.attr_set = MOUNT_ATTR_RDONLY;
  return as_errno(raw(__NR_mount_setattr, root, "", AT_EMPTY_PATH, &attr, sizeof attr));
}

// pivot_root(".", ".") stacks the old root over the new one; it is then made a slave, so that its detaching does not
// reach the host, and detached (pivot_root(2), NOTES).
int enter_root(const ChildPlan& plan, const ChildStep&) noexcept {
  if (plan.scratch->root < 0) return EBADF;
  long old = raw(__NR_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (old < 0) return as_errno(old);
  long result = raw(__NR_fchdir, plan.scratch->root);
  if (result == 0) result = raw(__NR_pivot_root, ".", ".");
  if (result == 0) result = raw(__NR_fchdir, old);
  if (result == 0) result = raw(__NR_mount, "", ".", "", MS_SLAVE | MS_REC, nullptr);
  if (result == 0) result = raw(__NR_umount2, ".", kDetach);
  if (result == 0) result = raw(__NR_chdir, "/");
  close_fd(old);
  return as_errno(result);
}

}  // namespace podshim::child
