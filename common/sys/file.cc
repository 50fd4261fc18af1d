#include "common/sys/file.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "common/fault.h"
#include "common/ids.h"
#include "common/sys/retry.h"

namespace podshim::sys {

Result<Fd> open(const std::string& path, int flags, mode_t mode) {
  int fd = retry([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); });
  if (fd < 0) return fail(Error::sys("open", path));
  return Fd(fd);
}

Result<Fd> open_at(const Fd& dir, const std::string& path, int flags, mode_t mode) {
  int fd = retry([&] { return ::openat(dir.get(), path.c_str(), flags | O_CLOEXEC, mode); });
  if (fd < 0) return fail(Error::sys("openat", path));
  return Fd(fd);
}

Result<Fd> open_in_root(const Fd& root, const std::string& path, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<__u64>(flags) | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  int fd = -1;
  // EAGAIN: a rename raced with the walk (openat2(2)); the kernel asks to try again.
  for (int tries = 0; tries < 32; tries++) {
    fd = static_cast<int>(retry([&] { return ::syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how); }));
    if (fd >= 0 || errno != EAGAIN) break;
  }
  if (fd < 0) return fail(Error::sys("openat2", path));
  return Fd(fd);
}

Result<Fd> open_beneath(const Fd& dir, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<__u64>(flags) | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  const int fd =
      static_cast<int>(retry([&] { return ::syscall(SYS_openat2, dir.get(), path.c_str(), &how, sizeof how); }));
  if (fd < 0) return fail(Error::sys("openat2", path));
  return Fd(fd);
}

Result<std::string> read_all(const Fd& fd, const std::string& subject, std::size_t limit) {
  std::string out;
  char buffer[16384];
  for (;;) {
    ssize_t n = retry([&] { return ::read(fd.get(), buffer, sizeof buffer); });
    if (n < 0) return fail(Error::sys("read", subject));
    if (n == 0) return out;
    if (out.size() + static_cast<std::size_t>(n) > limit) return fail(Error::sys("read", subject, {}, EFBIG));
    out.append(buffer, static_cast<std::size_t>(n));
  }
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  Fd fd = TRY(open(path, O_RDONLY));
  return read_all(fd, path, limit);
}

Result<> write_all(const Fd& fd, std::string_view data, const std::string& subject) {
  while (!data.empty()) {
    ssize_t n = retry([&] { return ::write(fd.get(), data.data(), data.size()); });
    if (n < 0) return fail(Error::sys("write", subject));
    data.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<> write_file(const std::string& path, std::string_view text, mode_t mode) {
  fault_point("write file");
  Fd fd = TRY(open(path, O_WRONLY | (mode != 0 ? O_CREAT | O_TRUNC : 0), mode));
  return write_all(fd, text, path);
}

Result<> write_file_atomic(const std::string& path, std::string_view text, mode_t mode, bool durable) {
  std::string temporary = path + ".new-" + random_hex(4);
  fault_point("write new file");
  auto result = [&]() -> Result<> {
    Fd fd = TRY(open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode));
    TRY(write_all(fd, text, temporary));
    if (durable && ::fsync(fd.get()) != 0) return fail(Error::sys("fsync", temporary));
    fault_point("rename new file");
    if (::rename(temporary.c_str(), path.c_str()) != 0) return fail(Error::sys("rename", temporary, path));
    return {};
  }();
  if (!result) ::unlink(temporary.c_str());
  if (result && durable) {
    auto slash = path.rfind('/');
    Fd dir = TRY(open(slash == std::string::npos ? "." : path.substr(0, slash + 1), O_RDONLY | O_DIRECTORY));
    fault_point("sync directory");
    if (::fsync(dir.get()) != 0) return fail(Error::sys("fsync", path));
  }
  return result;
}

Result<> make_dir(const std::string& path, mode_t mode) {
  fault_point("make directory");
  if (::mkdir(path.c_str(), mode) == 0) return {};
  int err = errno;
  struct stat st{};
  if (err == EEXIST && ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) return {};
  return fail(Error::sys("mkdir", path, {}, err));
}

Result<> make_dirs(const std::string& path, mode_t mode) {
  if (auto r = make_dir(path, mode); r || !r.error().is(ENOENT)) return r;
  auto slash = path.find_last_not_of('/');
  slash = slash == std::string::npos ? slash : path.rfind('/', slash);
  if (slash == std::string::npos || slash == 0) return make_dir(path, mode);
  TRY(make_dirs(path.substr(0, slash), mode));
  return make_dir(path, mode);
}

Result<> remove_file(const std::string& path) {
  fault_point("remove file");
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return fail(Error::sys("unlink", path));
}

Result<> remove_dir(const std::string& path) {
  fault_point("remove directory");
  if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return {};
  return fail(Error::sys("rmdir", path));
}

bool exists(const std::string& path) {
  struct stat st{};
  return ::lstat(path.c_str(), &st) == 0;
}

namespace {

using Dir = std::unique_ptr<DIR, decltype([](DIR* d) { ::closedir(d); })>;

template <typename Subject>  // told on failure only: at each level of a deep tree its path would take long
Result<Dir> open_dir(int at, const char* name, const Subject& subject) {
  // NO_XDEV: a mount below, also a bind mount of the same file system, is an error (EXDEV), not something to empty.
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = at == AT_FDCWD ? 0 : RESOLVE_NO_XDEV;
  int fd = static_cast<int>(::syscall(SYS_openat2, at, name, &how, sizeof how));
  if (const int err = errno; fd < 0) return fail(Error::sys("open", subject(), {}, err));
  return Dir(::fdopendir(fd));
}

// What stands between the top and where we are: a tree may be deeper than a stack or a table of descriptors, so both
// stay small and the way back is "..".
struct Above {
  std::string name;  // of the child we are in
  dev_t device;
  ino_t inode;
};

std::string path_of(const std::string& top, const std::vector<Above>& way, const std::string& name) {
  std::string out = top;
  for (const auto& above : way) out += "/" + above.name;
  return name.empty() ? out : out + "/" + name;
}

// Removes what can be unlinked; the name of the first directory met, "" when nothing is left.
Result<std::string> empty_until_directory(DIR* dir, const std::string& top, const std::vector<Above>& way) {
  while (const dirent* entry = ::readdir(dir)) {
    const std::string name = entry->d_name;
    fault_point("unlink entry");
    if (name == "." || name == ".." || ::unlinkat(::dirfd(dir), name.c_str(), 0) == 0 || errno == ENOENT) continue;
    const int err = errno;
    struct stat st{};
    if (err != EISDIR && err != EPERM) return fail(Error::sys("unlink", path_of(top, way, name), {}, err));
    if (::fstatat(::dirfd(dir), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
      return fail(Error::sys("stat", path_of(top, way, name)));
    if (!S_ISDIR(st.st_mode)) return fail(Error::sys("unlink", path_of(top, way, name), {}, EPERM));
    return name;
  }
  return std::string();
}

Result<Dir> back_up(DIR* dir, const std::string& top, const std::vector<Above>& way, const Above& parent) {
  const auto path = [&] { return path_of(top, way, parent.name); };
  Dir up = TRY(open_dir(::dirfd(dir), "..", path));
  struct stat st{};
  if (::fstat(::dirfd(up.get()), &st) != 0) return fail(Error::sys("stat", path()));
  if (st.st_dev != parent.device || st.st_ino != parent.inode) return fail(Error::sys("remove", path(), {}, ESTALE));
  return up;
}

Result<> empty_tree(const std::string& top) {
  std::vector<Above> way;
  Dir dir = TRY(open_dir(AT_FDCWD, top.c_str(), [&] { return top; }));
  for (;;) {
    std::string below = TRY(empty_until_directory(dir.get(), top, way));
    if (!below.empty()) {
      struct stat st{};
      if (::fstat(::dirfd(dir.get()), &st) != 0) return fail(Error::sys("stat", path_of(top, way, "")));
      Dir child = TRY(open_dir(::dirfd(dir.get()), below.c_str(), [&] { return path_of(top, way, below); }));
      way.push_back({std::move(below), st.st_dev, st.st_ino});
      dir = std::move(child);
      continue;
    }
    if (way.empty()) return {};
    const Above parent = std::move(way.back());
    way.pop_back();
    dir = TRY(back_up(dir.get(), top, way, parent));
    fault_point("remove emptied directory");
    if (::unlinkat(::dirfd(dir.get()), parent.name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
      return fail(Error::sys("rmdir", path_of(top, way, parent.name)));
    ::rewinddir(dir.get());
  }
}

}  // namespace

Result<> remove_tree(const std::string& path) {
  struct stat st{};
  if (::lstat(path.c_str(), &st) != 0) {
    if (errno == ENOENT) return {};
    return fail(Error::sys("stat", path));
  }
  fault_point("remove tree");
  if (!S_ISDIR(st.st_mode)) return remove_file(path);
  TRY(empty_tree(path));
  return remove_dir(path);
}

Result<std::vector<std::string>> list_dir(const std::string& path) {
  Dir dir(::opendir(path.c_str()));
  if (!dir) return fail(Error::sys("open", path));
  std::vector<std::string> names;
  for (errno = 0; dirent* entry = ::readdir(dir.get()); errno = 0) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  if (errno != 0) return fail(Error::sys("read", path));  // not the end: what was not told is not gone
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace podshim::sys
