#include "shim/image/layer_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/sysmacros.h>

namespace podshim::image {
namespace {

Error bad_entry(const std::string& path, std::string why) {
  return Error::of(ErrorKind::invalid_argument, "layer entry", path, std::move(why));
}

Result<EntryKind> kind_of(archive_entry* e, const std::string& path) {
  if (archive_entry_hardlink(e) != nullptr) return EntryKind::hard_link;
  switch (archive_entry_filetype(e)) {
    case AE_IFREG:
      return EntryKind::regular;
    case AE_IFDIR:
      return EntryKind::directory;
    case AE_IFLNK:
      return EntryKind::symlink;
    case AE_IFCHR:
      return EntryKind::character;
    case AE_IFBLK:
      return EntryKind::block;
    case AE_IFIFO:
      return EntryKind::fifo;
    case AE_IFSOCK:
      return EntryKind::ignored;
    default:
      return fail(bad_entry(path, "of a type that no layer has"));
  }
}

Result<> read_owner(archive_entry* e, LayerEntry* out) {
  la_int64_t uid = archive_entry_uid(e), gid = archive_entry_gid(e);
  // (uid_t)-1 means "leave it" to chown(2).
  if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX) {
    return fail(bad_entry(out->path.text(), "owner " + std::to_string(uid) + ":" + std::to_string(gid)));
  }
  out->uid = static_cast<uid_t>(uid);
  out->gid = static_cast<gid_t>(gid);
  return {};
}

void read_xattrs(archive_entry* e, LayerEntry* out) {
  archive_entry_xattr_reset(e);
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  while (archive_entry_xattr_next(e, &name, &value, &size) == ARCHIVE_OK) {
    if (name == nullptr || !is_allowed_xattr(name)) continue;
    out->xattrs.emplace_back(name, std::string(static_cast<const char*>(value), size));
  }
}

Result<LayerEntry> read_entry(archive_entry* e) {
  LayerEntry out;
  const char* path = archive_entry_pathname(e);
  if (path == nullptr) return fail(bad_entry("", "a name that cannot be represented"));
  NameRule rule = TRY(classify_name(TRY(split_entry_path(path))));
  out.path = std::move(rule.path);
  out.kind = rule.kind;
  if (rule.kind != EntryKind::regular) return out;
  out.kind = TRY(kind_of(e, path));
  if (out.path.name.empty() && out.kind != EntryKind::directory)
    return fail(bad_entry(path, "the root is a directory"));
  if (out.kind == EntryKind::hard_link) {
    out.link = TRY(split_entry_path(archive_entry_hardlink(e)));
    if (out.link.name.empty()) return fail(bad_entry(path, "a hard link to the root"));
    return out;
  }
  if (out.kind == EntryKind::symlink) {
    const char* target = archive_entry_symlink(e);
    if (target == nullptr || *target == '\0') return fail(bad_entry(path, "a symbolic link to nothing"));
    out.target = target;
  }
  out.mode = static_cast<mode_t>(archive_entry_mode(e)) & 07777;
  TRY(read_owner(e, &out));
  out.mtime = {.tv_sec = archive_entry_mtime(e), .tv_nsec = archive_entry_mtime_nsec(e)};
  out.device = makedev(archive_entry_rdevmajor(e), archive_entry_rdevminor(e));
  if (archive_entry_size(e) > 0) out.size = static_cast<std::uint64_t>(archive_entry_size(e));
  read_xattrs(e, &out);
  return out;
}

}  // namespace

Result<LayerReader> LayerReader::of(std::unique_ptr<Inflate> inflate) {
  LayerReader reader;
  reader.locale_ = std::make_unique<Utf8Thread>();
  reader.inflate_ = std::move(inflate);
  reader.tar_ = TRY(TarStream::open(*reader.inflate_));
  return reader;
}

Result<LayerReader> LayerReader::open(std::unique_ptr<ByteSource> blob, std::string subject, std::uint64_t limit) {
  return of(TRY(Inflate::open(std::move(blob), std::move(subject), limit)));
}

Result<LayerReader> LayerReader::open_bytes(std::string_view bytes, std::string subject, std::uint64_t limit) {
  return of(TRY(Inflate::open_bytes(bytes, std::move(subject), limit)));
}

Result<std::optional<LayerEntry>> LayerReader::next() {
  archive_entry* entry = TRY(tar_->next());
  if (entry == nullptr) return std::optional<LayerEntry>();
  return std::optional<LayerEntry>(TRY(read_entry(entry)));
}

}  // namespace podshim::image
