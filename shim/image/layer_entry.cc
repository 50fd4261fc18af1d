#include "shim/image/layer_entry.h"

namespace podshim::image {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kMeta = ".wh..wh.";  // aufs: .wh..wh.plnk, .wh..wh.aufs, .wh..wh.orph
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::size_t kNameMax = 255, kPathMax = 4095;

Error bad_path(std::string_view path, std::string why) {
  return Error::of(ErrorKind::invalid_argument, "layer entry", std::string(path.substr(0, 300)), std::move(why));
}

}  // namespace

Result<EntryPath> split_entry_path(std::string_view path) {
  if (path.find('\0') != std::string_view::npos) return fail(bad_path(path, "a NUL in the name"));
  if (path.size() > kPathMax) return fail(bad_path(path, "the path is longer than 4095 bytes"));
  EntryPath out;
  std::size_t at = 0;
  while (at <= path.size()) {
    std::size_t slash = path.find('/', at);
    if (slash == std::string_view::npos) slash = path.size();
    std::string_view part = path.substr(at, slash - at);
    at = slash + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") return fail(bad_path(path, "'..' could leave the layer"));
    if (part.size() > kNameMax) return fail(bad_path(path, "a name is longer than 255 bytes"));
    if (!out.name.empty()) out.parent = out.text();
    out.name = part;
  }
  return out;
}

Result<NameRule> classify_name(EntryPath path) {
  auto is_meta = [](std::string_view parent) {
    return parent.starts_with(kMeta) || parent.find("/.wh..wh.") != std::string_view::npos;
  };
  if (is_meta(path.parent)) return NameRule{EntryKind::ignored, std::move(path)};
  if (path.parent.starts_with(kWhiteout) || path.parent.find("/.wh.") != std::string_view::npos) {
    return fail(bad_path(path.text(), "a whiteout is not a directory"));
  }
  if (!path.name.starts_with(kWhiteout)) return NameRule{EntryKind::regular, std::move(path)};
  if (path.name == kOpaque) {
    NameRule rule{EntryKind::opaque, TRY(split_entry_path(path.parent))};
    return rule;
  }
  if (path.name.starts_with(kMeta)) return NameRule{EntryKind::ignored, std::move(path)};
  std::string name = path.name.substr(kWhiteout.size());
  if (name.empty() || name == "." || name == "..") return fail(bad_path(path.text(), "a whiteout of no name"));
  path.name = std::move(name);
  return NameRule{EntryKind::whiteout, std::move(path)};
}

bool is_allowed_xattr(std::string_view name) {
  if (name.starts_with("user.")) return !name.starts_with("user.overlay.");
  if (name.starts_with("security.")) return name != "security.selinux";
  return name == "system.posix_acl_access" || name == "system.posix_acl_default";
}

}  // namespace podshim::image
