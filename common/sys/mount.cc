#include "common/sys/mount.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

namespace podshim::sys {
namespace {

// The context's fd tells in words what it disliked: "e overlay: ..." (fsopen(2), message retrieval).
Error explain(const Fd& context, const char* op, const std::string& type, const std::string& on) {
  Error error = Error::sys(op, type, on);
  char text[512];
  ssize_t n = ::read(context.get(), text, sizeof text);
  if (n > 2) error.detail.assign(text + 2, static_cast<std::size_t>(n - 2));
  while (!error.detail.empty() && error.detail.back() == '\n') error.detail.pop_back();
  return error;
}

long configure(const Fd& context, unsigned command, const char* key, const char* value) {
  return ::syscall(SYS_fsconfig, context.get(), command, key, value, 0);
}

}  // namespace

Result<Fd> new_mount(const std::string& type, std::span<const MountOption> options, std::uint64_t attributes) {
  Fd context(static_cast<int>(::syscall(SYS_fsopen, type.c_str(), FSOPEN_CLOEXEC)));
  if (!context) return fail(Error::sys("fsopen", type));
  for (const auto& [key, value] : options) {
    bool flag = value.empty();
    if (configure(context, flag ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, key.c_str(),
                  flag ? nullptr : value.c_str()) != 0)
      return fail(explain(context, "fsconfig", type, key));
  }
  if (configure(context, FSCONFIG_CMD_CREATE, nullptr, nullptr) != 0)
    return fail(explain(context, "fsconfig", type, "create"));
  Fd mount(static_cast<int>(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, attributes)));
  if (!mount) return fail(explain(context, "fsmount", type, ""));
  return mount;
}

Result<Fd> copy_mount(const Fd& at, const std::string& path, bool recursive) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
  if (path.empty()) flags |= AT_EMPTY_PATH;
  int from = at ? at.get() : AT_FDCWD;
  Fd mount(static_cast<int>(::syscall(SYS_open_tree, from, path.c_str(), flags)));
  if (!mount) return fail(Error::sys("open_tree", path));
  return mount;
}

Result<> attach_mount(const Fd& mount, const std::string& path) {
  if (::syscall(SYS_move_mount, mount.get(), "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return fail(Error::sys("move_mount", path));
  return {};
}

}  // namespace podshim::sys
