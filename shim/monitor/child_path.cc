#include "shim/monitor/child_path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>

namespace podshim::child {

using sys::raw;

int slot_fd(const ChildPlan& plan, std::int64_t slot) noexcept {
  if (slot < 0 || slot >= kSlots || plan.scratch->slots[slot] < 0) return -EBADF;
  return plan.scratch->slots[slot];
}

int fill_slot(const ChildPlan& plan, std::int64_t slot, long fd) noexcept {
  if (fd < 0) return static_cast<int>(-fd);
  if (slot < 0 || slot >= kSlots) return EBADF;
  close_fd(plan.scratch->slots[slot]);
  plan.scratch->slots[slot] = static_cast<int>(fd);
  return 0;
}

int open_in(int root, const char* path, int flags) noexcept {
  open_how how{};
  how.flags = static_cast<__u64>(flags) | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  long fd = -EAGAIN;
  // EAGAIN: a rename or mount raced with the walk; the kernel asks to try again (openat2(2)).
  for (int tries = 0; tries < 32 && fd == -EAGAIN; tries++) fd = raw(__NR_openat2, root, path, &how, sizeof how);
  return static_cast<int>(fd);
}

int root_fd(const ChildPlan& plan) noexcept {
  if (plan.scratch->root < 0)
    plan.scratch->root = static_cast<int>(raw(__NR_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  return plan.scratch->root;
}

int open_below(const ChildPlan& plan, const char* path, int flags) noexcept {
  int root = root_fd(plan);
  return root < 0 ? root : open_in(root, path, flags);
}

int split(const char* path, SplitPath* out) noexcept {
  std::size_t length = strlen(path);
  while (length > 1 && path[length - 1] == '/') length--;
  if (length + 1 > sizeof out->directory) return -ENAMETOOLONG;
  if (length == 0) return -ENOENT;
  // The directory's slash becomes its end, so that both halves live in one buffer: "/a/b" -> "/a\0b".
  out->directory[0] = '/';
  out->directory[1] = '\0';
  std::size_t cut = length;
  while (cut > 0 && path[cut - 1] != '/') cut--;
  if (cut == length) return -EISDIR;  // "/": there is no name
  static_assert(sizeof out->directory >= 2);
  char* name = out->directory + (cut > 1 ? cut : 2);
  if (cut > 1) {
    memcpy(out->directory, path, cut - 1);
    out->directory[cut - 1] = '\0';
  }
  if (static_cast<std::size_t>(name - out->directory) + (length - cut) + 1 > sizeof out->directory)
    return -ENAMETOOLONG;
  memcpy(name, path + cut, length - cut);
  name[length - cut] = '\0';
  out->name = name;
  return 0;
}

namespace {

// One level: `path` is a directory below `parent` (whose last name is `name`), or is made there.
int step_into(const ChildPlan& plan, int parent, const char* path, const char* name, unsigned mode) noexcept {
  int fd = open_below(plan, path, O_PATH | O_DIRECTORY);
  if (fd != -ENOENT) return fd;
  long made = raw(__NR_mkdirat, parent, name, mode);
  if (made < 0 && made != -EEXIST) return static_cast<int>(made);
  return open_below(plan, path, O_PATH | O_DIRECTORY);
}

}  // namespace

int ensure_dir(const ChildPlan& plan, const char* path, unsigned mode) noexcept {
  int fd = open_below(plan, path, O_PATH | O_DIRECTORY);
  if (fd != -ENOENT) return fd;
  char walked[PATH_MAX];
  std::size_t length = strlen(path);
  if (length + 1 > sizeof walked) return -ENAMETOOLONG;
  memcpy(walked, path, length + 1);
  int parent = open_below(plan, "/", O_PATH | O_DIRECTORY);
  std::size_t at = 0;
  while (parent >= 0) {
    while (walked[at] == '/') at++;
    if (at >= length) return parent;
    std::size_t end = at;
    while (end < length && walked[end] != '/') end++;
    walked[end] = '\0';
    int next = step_into(plan, parent, walked, walked + at, mode);
    close_fd(parent);
    parent = next;
    if (end < length) walked[end] = '/';
    at = end;
  }
  return parent;
}

}  // namespace podshim::child
