#include "shim/image/layer_root.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/sys/file.h"
#include "common/sys/retry.h"
#include "shim/image/attributes.h"

namespace podshim::image {
namespace {

constexpr std::uint64_t kBlock = 4096;
constexpr int kDirectory = O_PATH | O_DIRECTORY;

bool is_whiteout(const struct stat& st) { return S_ISCHR(st.st_mode) && st.st_rdev == 0; }

Error not_a_directory(const std::string& path) {
  return Error::of(ErrorKind::invalid_argument, "layer entry", path, "something on the way is not a directory");
}

}  // namespace

void LayerRoot::count(std::uint64_t blocks) {
  totals_.blocks += blocks * kBlock;
  totals_.inodes++;
}

Result<const Fd*> LayerRoot::parent(const std::string& path) {
  if (path.empty()) return &root_;
  if (cached_ && cached_path_ == path) return &cached_;
  auto dir = sys::open_in_root(root_, path, kDirectory);
  if (!dir && (dir.error().is(ENOENT) || dir.error().is(ENOTDIR))) {
    TRY(make_parents(path));
    dir = sys::open_in_root(root_, path, kDirectory);
  }
  if (!dir && (dir.error().is(ELOOP) || dir.error().is(ENOTDIR))) return fail(not_a_directory(path));
  cached_ = TRY(std::move(dir));
  cached_path_ = path;
  return &cached_;
}

Result<> LayerRoot::make_parents(const std::string& path) {
  Fd current = TRY(sys::open_in_root(root_, ".", kDirectory));
  for (std::size_t start = 0; start < path.size();) {
    std::size_t end = std::min(path.find('/', start), path.size());
    std::string prefix = path.substr(0, end), name = path.substr(start, end - start);
    start = end + 1;
    auto next = sys::open_in_root(root_, prefix, kDirectory);
    if (!next) {
      TRY(make_implied(current, name, prefix));
      next = sys::open_in_root(root_, prefix, kDirectory);
    }
    current = TRY(std::move(next));
  }
  return {};
}

Result<> LayerRoot::make_implied(const Fd& at, const std::string& name, const std::string& path) {
  struct stat st{};
  bool hidden = false;  // what is below was whited out: the new directory shows nothing of it
  if (::fstatat(at.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
    if (!is_whiteout(st)) return fail(not_a_directory(path));
    if (::unlinkat(at.get(), name.c_str(), 0) != 0) return fail(Error::sys("unlink", path));
    hidden = true;
  }
  if (::mkdirat(at.get(), name.c_str(), 0755) != 0) return fail(Error::sys("mkdir", path));
  if (::fchmodat(at.get(), name.c_str(), 0755, 0) != 0) return fail(Error::sys("chmod", path));  // whatever the umask
  count(1);
  if (hidden) return set_opaque(at, name);
  implied_.insert(path);
  return {};
}

// Makes room for an entry: what an earlier entry of the same name left is replaced, a directory is kept for a
// directory.
Result<LayerRoot::Way> LayerRoot::clear_way(const Fd& at, const EntryPath& path, bool keep_directory) {
  struct stat st{};
  if (::fstatat(at.get(), path.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? Result<Way>(Way::free) : fail(Error::sys("stat", path.text()));
  }
  if (S_ISDIR(st.st_mode)) {
    if (keep_directory) return Way::directory;
    TRY(sys::remove_tree(proc_path(at, path.name)));
    cached_.reset();  // may have been inside
    return Way::free;
  }
  if (::unlinkat(at.get(), path.name.c_str(), 0) != 0) return fail(Error::sys("unlink", path.text()));
  if (S_ISLNK(st.st_mode)) cached_.reset();
  return is_whiteout(st) ? Way::whiteout : Way::free;
}

Result<> LayerRoot::add(const LayerEntry& entry) {
  switch (entry.kind) {
    case EntryKind::ignored:
    case EntryKind::regular:
      return {};
    case EntryKind::directory:
      return entry.path.name.empty() ? set_root(entry) : make_directory(entry);
    case EntryKind::hard_link:
      return make_hard_link(entry);
    case EntryKind::whiteout:
      return make_whiteout(entry);
    case EntryKind::opaque:
      return make_opaque(entry.path);
    case EntryKind::symlink:
    case EntryKind::character:
    case EntryKind::block:
    case EntryKind::fifo:
      return make_node(entry);
  }
  return {};
}

Result<> LayerRoot::set_root(const LayerEntry& entry) {
  root_seen_ = true;
  directory_times_[""] = entry.mtime;
  return set_attributes(root_, "", entry, false);
}

Result<> LayerRoot::make_directory(const LayerEntry& entry) {
  const Fd& at = *TRY(parent(entry.path.parent));
  const char* name = entry.path.name.c_str();
  if (::mkdirat(at.get(), name, 0700) != 0) {
    if (errno != EEXIST) return fail(Error::sys("mkdir", entry.path.text()));
    Fd held = TRY(sys::open_at(at, ".", kDirectory));  // clear_way may drop the cached one
    Way way = TRY(clear_way(held, entry.path, true));
    if (way != Way::directory) {
      if (::mkdirat(held.get(), name, 0700) != 0) return fail(Error::sys("mkdir", entry.path.text()));
      count(1);
    }
    if (way == Way::whiteout) TRY(set_opaque(held, entry.path.name));
    TRY(set_attributes(held, entry.path.name, entry, false));
  } else {
    count(1);
    TRY(set_attributes(at, entry.path.name, entry, false));
  }
  implied_.erase(entry.path.text());
  directory_times_[entry.path.text()] = entry.mtime;
  return {};
}

Result<> LayerRoot::make_node(const LayerEntry& entry) {
  const Fd& at = *TRY(parent(entry.path.parent));
  Fd held = TRY(sys::open_at(at, ".", kDirectory));
  const char* name = entry.path.name.c_str();
  auto make = [&] {
    if (entry.kind == EntryKind::symlink) return ::symlinkat(entry.target.c_str(), held.get(), name);
    mode_t type = entry.kind == EntryKind::character ? S_IFCHR : entry.kind == EntryKind::block ? S_IFBLK : S_IFIFO;
    return ::mknodat(held.get(), name, type | 0600, entry.device);
  };
  if (make() != 0) {
    if (errno != EEXIST) return fail(Error::sys("mknod", entry.path.text()));
    TRY(clear_way(held, entry.path, false));
    if (make() != 0) return fail(Error::sys("mknod", entry.path.text()));
  }
  count(entry.kind == EntryKind::symlink ? 1 : 0);
  return set_attributes(held, entry.path.name, entry, true);
}

Result<Fd> LayerRoot::create_file(const LayerEntry& entry) {
  const Fd& at = *TRY(parent(entry.path.parent));
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
  auto file = sys::open_at(at, entry.path.name, kFlags, 0600);
  if (file || !file.error().is(EEXIST)) return file;
  Fd held = TRY(sys::open_at(at, ".", kDirectory));
  TRY(clear_way(held, entry.path, false));
  return sys::open_at(held, entry.path.name, kFlags, 0600);
}

Result<> LayerRoot::close_file(const Fd& file, const LayerEntry& entry, std::uint64_t written) {
  totals_.bytes += written;
  count((written + kBlock - 1) / kBlock);
  return set_file_attributes(file, entry);
}

Result<> LayerRoot::make_hard_link(const LayerEntry& entry) {
  if (entry.link == entry.path) return {};
  Fd held = TRY(sys::open_at(*TRY(parent(entry.path.parent)), ".", kDirectory));
  auto from = entry.link.parent.empty() ? sys::open_in_root(root_, ".", kDirectory)
                                        : sys::open_in_root(root_, entry.link.parent, kDirectory);
  struct stat st{};
  bool here =
      from && ::fstatat(from->get(), entry.link.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && !is_whiteout(st);
  if (!here) {
    lower_links_.push_back(entry);
    return {};
  }
  if (S_ISDIR(st.st_mode)) {
    return fail(Error::of(ErrorKind::invalid_argument, "layer entry", entry.path.text(), "a hard link to a directory"));
  }
  TRY(clear_way(held, entry.path, false));
  if (::linkat(from->get(), entry.link.name.c_str(), held.get(), entry.path.name.c_str(), 0) != 0) {
    return fail(Error::sys("link", entry.link.text(), entry.path.text()));
  }
  return {};
}

Result<> LayerRoot::make_whiteout(const LayerEntry& entry) {
  const Fd& at = *TRY(parent(entry.path.parent));
  if (::mknodat(at.get(), entry.path.name.c_str(), S_IFCHR, 0) == 0) {
    count(0);
    return {};
  }
  if (errno != EEXIST) return fail(Error::sys("mknod", entry.path.text()));
  // This layer has the name itself: that one stays and hides what is below. A directory must be told so.
  struct stat st{};
  if (::fstatat(at.get(), entry.path.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail(Error::sys("stat", entry.path.text()));
  }
  if (!S_ISDIR(st.st_mode)) return {};
  implied_.erase(entry.path.text());
  return set_opaque(at, entry.path.name);
}

Result<> LayerRoot::make_opaque(const EntryPath& path) {
  if (path.name.empty()) {
    opaque_root_ = true;
    return {};
  }
  const Fd& dir = *TRY(parent(path.text()));
  return set_opaque(dir, "");
}

Result<> LayerRoot::settle(const Fd& lower) {
  for (const auto& path : implied_) TRY(settle_directory(lower, path));
  implied_.clear();
  auto links = std::move(lower_links_);
  lower_links_.clear();
  for (const auto& entry : links) {
    // An earlier one may have brought the file, or the target may have come after the link in the tar.
    TRY(make_hard_link(entry));
    if (lower_links_.empty()) continue;
    lower_links_.clear();
    TRY(settle_link(lower, entry));
  }
  return {};
}

Result<> LayerRoot::settle_root(const Fd& lower_root) {
  if (root_seen_) return {};
  LayerEntry attributes = TRY(read_attributes(lower_root, "/"));
  return set_root(attributes);
}

Result<> LayerRoot::settle_directory(const Fd& lower, const std::string& path) {
  auto below = sys::open_in_root(lower, path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (!below) return {};  // new with this layer, or no directory below: 0755 root stays
  LayerEntry attributes = TRY(read_attributes(*below, path));
  attributes.path = TRY(split_entry_path(path));
  auto dir = sys::open_in_root(root_, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!dir) return {};  // replaced by a later entry
  directory_times_[path] = attributes.mtime;
  return set_attributes(*dir, "", attributes, false);
}

// overlayfs would copy the file up at the first write through either name; a layer that links to it gets its copy now.
Result<> LayerRoot::settle_link(const Fd& lower, const LayerEntry& entry) {
  auto from = sys::open_in_root(lower, entry.link.text(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  struct stat st{};
  if (!from || ::fstat(from->get(), &st) != 0 || !S_ISREG(st.st_mode)) {
    return fail(
        Error::of(ErrorKind::invalid_argument, "layer entry", entry.path.text(),
                  "a hard link to '" + entry.link.text() + "', which is no file of this layer or of one below"));
  }
  LayerEntry attributes = TRY(read_attributes(*from, entry.link.text()));
  attributes.path = entry.path;
  Fd to = TRY(create_file(attributes));
  off_t left = st.st_size;
  while (left > 0) {
    ssize_t n = sys::retry([&] { return ::sendfile(to.get(), from->get(), nullptr, static_cast<std::size_t>(left)); });
    if (n <= 0) return fail(Error::sys("copy", entry.link.text(), entry.path.text(), n == 0 ? EIO : errno));
    left -= n;
  }
  return close_file(to, attributes, static_cast<std::uint64_t>(st.st_size));
}

Result<> LayerRoot::finish() {
  for (const auto& entry : std::exchange(lower_links_, {})) {
    TRY(make_hard_link(entry));  // the target may have come after the link in the tar
    if (lower_links_.empty()) continue;
    return fail(Error::of(ErrorKind::invalid_argument, "layer entry", entry.path.text(),
                          "a hard link to '" + entry.link.text() + "', which is no file of this layer"));
  }
  for (const auto& [path, mtime] : directory_times_) {
    auto dir = path.empty() ? sys::open_in_root(root_, ".", O_RDONLY | O_DIRECTORY)
                            : sys::open_in_root(root_, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!dir) continue;  // a later entry took its place
    timespec both[2] = {mtime, mtime};
    if (::futimens(dir->get(), both) != 0) return fail(Error::sys("utimens", path));
  }
  return {};
}

}  // namespace podshim::image
