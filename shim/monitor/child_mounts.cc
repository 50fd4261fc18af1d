#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/stat.h>

#include "shim/monitor/child_path.h"
#include "shim/monitor/child_steps.h"

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000  // open_tree(2), mount_setattr(2)
#endif

namespace podshim::child {

using sys::raw;

namespace {

constexpr unsigned kClone = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
constexpr unsigned kMoveByFd = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
constexpr std::size_t kMaxKey = 64, kMaxValue = 256;  // fsconfig(2) refuses longer values

unsigned recursive(std::uint64_t x) noexcept { return x != 0 ? AT_RECURSIVE : 0; }

// One "key=value" or "flag" of a mount's options.
int configure(long context, const char* option, std::size_t length) noexcept {
  const char* equals = static_cast<const char*>(memchr(option, '=', length));
  std::size_t key_length = equals != nullptr ? static_cast<std::size_t>(equals - option) : length;
  char key[kMaxKey], value[kMaxValue];
  if (key_length == 0 || key_length >= sizeof key) return EINVAL;
  memcpy(key, option, key_length);
  key[key_length] = '\0';
  if (equals == nullptr) return as_errno(raw(__NR_fsconfig, context, FSCONFIG_SET_FLAG, key, nullptr, 0));
  std::size_t value_length = length - key_length - 1;
  if (value_length >= sizeof value) return EINVAL;
  memcpy(value, equals + 1, value_length);
  value[value_length] = '\0';
  return as_errno(raw(__NR_fsconfig, context, FSCONFIG_SET_STRING, key, value, 0));
}

int configure_all(long context, const char* options) noexcept {
  while (*options != '\0') {
    const char* end = options;
    while (*end != '\0' && *end != ',') end++;
    if (end != options)
      if (int err = configure(context, options, static_cast<std::size_t>(end - options)); err != 0) return err;
    options = *end == ',' ? end + 1 : end;
  }
  return 0;
}

int make_mount_point(const ChildPlan& plan, const char* path, bool directory) noexcept {
  if (directory) return ensure_dir(plan, path, 0755);
  SplitPath parts;
  if (int err = split(path, &parts); err != 0) return err;
  int parent = ensure_dir(plan, parts.directory, 0755);
  if (parent < 0) return parent;
  long made = raw(__NR_mknodat, parent, parts.name, S_IFREG | 0644, 0);
  close_fd(parent);
  if (made < 0 && made != -EEXIST) return static_cast<int>(made);
  return open_below(plan, path, O_PATH);
}

// /dev/console: the slave, taken from the tty's own devpts. That mount must be attached: a clone is only made of what
// is in the child's mount namespace (before 6.15).
int console_source(const ChildPlan& plan) noexcept {
  int pts = slot_fd(plan, static_cast<int>(Slot::pts));
  return pts < 0 ? pts : static_cast<int>(raw(__NR_open_tree, pts, "0", kClone));
}

}  // namespace

int open_tree(const ChildPlan& plan, const ChildStep& s) noexcept {
  return fill_slot(plan, s.slot, raw(__NR_open_tree, AT_FDCWD, s.b, kClone | recursive(s.x)));
}

int open_tree_at(const ChildPlan& plan, const ChildStep& s) noexcept {
  int base = slot_fd(plan, static_cast<std::int64_t>(s.y));
  if (base < 0) return -base;
  int source = open_in(base, s.b, O_PATH);
  if (source < 0) return -source;
  long tree = raw(__NR_open_tree, source, "", AT_EMPTY_PATH | kClone | recursive(s.x));
  close_fd(source);
  return fill_slot(plan, s.slot, tree);
}

int new_mount(const ChildPlan& plan, const ChildStep& s) noexcept {
  long context = raw(__NR_fsopen, s.a, FSOPEN_CLOEXEC);
  if (context < 0) return as_errno(context);
  int err = configure_all(context, s.b);
  if (err == 0) err = as_errno(raw(__NR_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0));
  long mount = err == 0 ? raw(__NR_fsmount, context, FSMOUNT_CLOEXEC, s.x) : -err;
  close_fd(context);
  return fill_slot(plan, s.slot, mount);
}

int mount_attr(const ChildPlan& plan, const ChildStep& s) noexcept {
  int fd = slot_fd(plan, s.slot);
  if (fd < 0) return -fd;
  struct mount_attr attr{};
  attr.attr_set = s.x;
  attr.attr_clr = s.y;
  attr.propagation = s.z;
  return as_errno(raw(__NR_mount_setattr, fd, "", AT_EMPTY_PATH | recursive(s.w), &attr, sizeof attr));
}

int propagation(const ChildPlan&, const ChildStep& s) noexcept {
  return as_errno(raw(__NR_mount, "", "/", "", s.x | MS_REC, nullptr));
}

int attach_root(const ChildPlan& plan, const ChildStep& s) noexcept {
  int fd = slot_fd(plan, s.slot);
  if (fd < 0) return -fd;
  long moved = raw(__NR_move_mount, fd, "", AT_FDCWD, s.b, MOVE_MOUNT_F_EMPTY_PATH);
  // The fd of the mount is its root directory: what comes resolves below it.
  if (moved == 0) plan.scratch->root = fd;
  return as_errno(moved);
}

int attach(const ChildPlan& plan, const ChildStep& s) noexcept {
  if (s.slot == static_cast<int>(Slot::console) && slot_fd(plan, s.slot) < 0)
    if (int err = fill_slot(plan, s.slot, console_source(plan)); err != 0) return err;
  int source = slot_fd(plan, s.slot);
  if (source < 0) return -source;
  int target = open_below(plan, s.b, O_PATH);
  if (target == -ENOENT) {
    struct stat st;
    if (long result = raw(__NR_newfstatat, source, "", &st, AT_EMPTY_PATH); result < 0) return as_errno(result);
    target = make_mount_point(plan, s.b, S_ISDIR(st.st_mode));
  }
  if (target < 0) return -target;
  long moved = raw(__NR_move_mount, source, "", target, "", kMoveByFd);
  close_fd(target);
  if (moved == 0 && s.x == 0 && s.slot != static_cast<int>(Slot::pts)) {
    close_fd(source);
    plan.scratch->slots[s.slot] = -1;
  }
  return as_errno(moved);
}

}  // namespace podshim::child
