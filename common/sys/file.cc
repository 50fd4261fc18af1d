#include "common/sys/file.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>

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
  Fd fd = TRY(open(path, O_WRONLY | (mode != 0 ? O_CREAT | O_TRUNC : 0), mode));
  return write_all(fd, text, path);
}

Result<> write_file_atomic(const std::string& path, std::string_view text, mode_t mode, bool durable) {
  std::string temporary = path + ".new-" + random_hex(4);
  auto result = [&]() -> Result<> {
    Fd fd = TRY(open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode));
    TRY(write_all(fd, text, temporary));
    if (durable && ::fsync(fd.get()) != 0) return fail(Error::sys("fsync", temporary));
    if (::rename(temporary.c_str(), path.c_str()) != 0) return fail(Error::sys("rename", temporary, path));
    return {};
  }();
  if (!result) ::unlink(temporary.c_str());
  if (result && durable) {
    auto slash = path.rfind('/');
    Fd dir = TRY(open(slash == std::string::npos ? "." : path.substr(0, slash + 1), O_RDONLY | O_DIRECTORY));
    if (::fsync(dir.get()) != 0) return fail(Error::sys("fsync", path));
  }
  return result;
}

Result<> make_dir(const std::string& path, mode_t mode) {
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
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return fail(Error::sys("unlink", path));
}

Result<> remove_dir(const std::string& path) {
  if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return {};
  return fail(Error::sys("rmdir", path));
}

bool exists(const std::string& path) {
  struct stat st{};
  return ::lstat(path.c_str(), &st) == 0;
}

namespace {

using Dir = std::unique_ptr<DIR, decltype([](DIR* d) { ::closedir(d); })>;

Result<Dir> open_dir(int at, const char* name, const std::string& subject) {
  // NO_XDEV: a mount below, also a bind mount of the same file system, is an error (EXDEV), not something to empty.
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = at == AT_FDCWD ? 0 : RESOLVE_NO_XDEV;
  int fd = static_cast<int>(::syscall(SYS_openat2, at, name, &how, sizeof how));
  if (fd < 0) return fail(Error::sys("open", subject));
  return Dir(::fdopendir(fd));
}

Result<> remove_children(DIR* dir, const std::string& path, dev_t device);

Result<> remove_entry(int at, const char* name, const std::string& path, dev_t device) {
  if (::unlinkat(at, name, 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return fail(Error::sys("unlink", path));
  struct stat st{};
  if (::fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return fail(Error::sys("stat", path));
  if (!S_ISDIR(st.st_mode)) return fail(Error::sys("unlink", path, {}, EPERM));
  if (st.st_dev != device) return fail(Error::sys("remove", path, {}, EXDEV));
  {
    Dir dir = TRY(open_dir(at, name, path));
    TRY(remove_children(dir.get(), path, device));
  }
  if (::unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  return fail(Error::sys("rmdir", path));
}

Result<> remove_children(DIR* dir, const std::string& path, dev_t device) {
  while (dirent* entry = ::readdir(dir)) {
    std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    TRY(remove_entry(::dirfd(dir), name.c_str(), path + "/" + name, device));
  }
  return {};
}

}  // namespace

Result<> remove_tree(const std::string& path) {
  struct stat st{};
  if (::lstat(path.c_str(), &st) != 0) {
    if (errno == ENOENT) return {};
    return fail(Error::sys("stat", path));
  }
  return remove_entry(AT_FDCWD, path.c_str(), path, st.st_dev);
}

Result<std::vector<std::string>> list_dir(const std::string& path) {
  Dir dir(::opendir(path.c_str()));
  if (!dir) return fail(Error::sys("open", path));
  std::vector<std::string> names;
  while (dirent* entry = ::readdir(dir.get())) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace podshim::sys
