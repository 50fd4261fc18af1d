#include "shim/image/attributes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

namespace podshim::image {
namespace {

// A file system without user attributes loses only those; capabilities and ACLs must not get lost in silence.
bool may_miss(const std::string& name, int err, EntryKind kind) {
  bool file = kind == EntryKind::regular || kind == EntryKind::directory;
  if (name.starts_with("user.")) return err == ENOTSUP || (err == EPERM && !file);  // xattr(7): user.* on files only
  return err == ENOTSUP && kind == EntryKind::symlink;
}

Result<> set_xattr(const std::string& path, const LayerEntry& entry) {
  for (const auto& [name, value] : entry.xattrs) {
    if (::lsetxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0) != 0 &&
        !may_miss(name, errno, entry.kind)) {
      return fail(Error::sys("setxattr", entry.path.text(), name));
    }
  }
  return {};
}

}  // namespace

std::string proc_path(const Fd& at, const std::string& name) {
  return "/proc/self/fd/" + std::to_string(at.get()) + (name.empty() ? "/." : "/" + name);
}

Result<> set_attributes(const Fd& at, const std::string& name, const LayerEntry& entry, bool times) {
  const char* file = name.empty() ? "." : name.c_str();
  if (::fchownat(at.get(), file, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail(Error::sys("chown", entry.path.text()));
  }
  if (entry.kind != EntryKind::symlink && ::fchmodat(at.get(), file, entry.mode, 0) != 0) {
    return fail(Error::sys("chmod", entry.path.text()));
  }
  if (!entry.xattrs.empty()) TRY(set_xattr(proc_path(at, name), entry));
  if (!times) return {};
  timespec both[2] = {entry.mtime, entry.mtime};
  if (::utimensat(at.get(), file, both, AT_SYMLINK_NOFOLLOW) != 0)
    return fail(Error::sys("utimens", entry.path.text()));
  return {};
}

Result<> set_file_attributes(const Fd& file, const LayerEntry& entry) {
  if (::fchown(file.get(), entry.uid, entry.gid) != 0) return fail(Error::sys("chown", entry.path.text()));
  if (::fchmod(file.get(), entry.mode) != 0) return fail(Error::sys("chmod", entry.path.text()));
  for (const auto& [name, value] : entry.xattrs) {
    if (::fsetxattr(file.get(), name.c_str(), value.data(), value.size(), 0) != 0 &&
        !may_miss(name, errno, entry.kind)) {
      return fail(Error::sys("setxattr", entry.path.text(), name));
    }
  }
  timespec both[2] = {entry.mtime, entry.mtime};
  if (::futimens(file.get(), both) != 0) return fail(Error::sys("utimens", entry.path.text()));
  return {};
}

Result<> set_opaque(const Fd& at, const std::string& name) {
  if (::lsetxattr(proc_path(at, name).c_str(), "trusted.overlay.opaque", "y", 1, 0) != 0) {
    return fail(Error::sys("setxattr", name, "trusted.overlay.opaque"));
  }
  return {};
}

Result<LayerEntry> read_attributes(const Fd& file, const std::string& subject) {
  struct stat st{};
  if (::fstatat(file.get(), "", &st, AT_EMPTY_PATH) != 0) return fail(Error::sys("stat", subject));
  LayerEntry out{.kind = S_ISDIR(st.st_mode) ? EntryKind::directory : EntryKind::regular};
  out.mode = st.st_mode & 07777;
  out.uid = st.st_uid;
  out.gid = st.st_gid;
  out.mtime = st.st_mtim;
  std::string path = "/proc/self/fd/" + std::to_string(file.get());
  std::string names(64UL << 10, '\0'),
      value(64UL << 10, '\0');  // the kernel's own limits (XATTR_LIST_MAX, XATTR_SIZE_MAX)
  ssize_t size = ::listxattr(path.c_str(), names.data(), names.size());
  if (size < 0 && errno != ENOTSUP) return fail(Error::sys("listxattr", subject));
  for (ssize_t at = 0; at < size;) {
    std::string name = names.c_str() + at;
    at += static_cast<ssize_t>(name.size()) + 1;
    if (!is_allowed_xattr(name)) continue;
    ssize_t n = ::getxattr(path.c_str(), name.c_str(), value.data(), value.size());
    if (n < 0) return fail(Error::sys("getxattr", subject, name));
    out.xattrs.emplace_back(name, value.substr(0, static_cast<std::size_t>(n)));
  }
  return out;
}

}  // namespace podshim::image
