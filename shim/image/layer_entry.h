// One entry of a layer's tar, as a value: what must be made, where, and with which attributes. Whiteouts are told by
// their names (OCI image-spec layer.md, "Whiteouts"). Paths are relative to the layer's root and normal: no "", ".",
// "..", no slash at either end; an absolute name counts from the layer's root. Pure; any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/result.h"

namespace podshim::image {

enum class EntryKind {
  directory,
  regular,
  symlink,
  hard_link,
  character,
  block,
  fifo,
  whiteout,  // `name` is the name that goes
  opaque,    // everything that lower layers have in the directory `path` goes
  ignored,   // sockets, and the notes of aufs
};

struct EntryPath {
  std::string parent;  // "" is the root
  std::string name;    // "" together with an empty parent: the root itself
  std::string text() const { return parent.empty() ? name : parent + "/" + name; }
  bool operator==(const EntryPath&) const = default;
};

struct LayerEntry {
  EntryKind kind = EntryKind::ignored;
  EntryPath path;
  EntryPath link;      // hard_link
  std::string target;  // symlink: as it stands in the tar
  mode_t mode = 0;     // permission bits, with setuid, setgid, sticky
  uid_t uid = 0;
  gid_t gid = 0;
  timespec mtime{};
  dev_t device = 0;
  std::uint64_t size = 0;
  std::vector<std::pair<std::string, std::string>> xattrs;
};

// Refuses "..", NUL and names longer than a file system takes.
Result<EntryPath> split_entry_path(std::string_view path);

// What the base name asks for, on which path: "a/.wh.b" is a whiteout of "a/b", "a/.wh..wh..opq" makes "a" opaque.
struct NameRule {
  EntryKind kind = EntryKind::regular;  // regular (= no whiteout), whiteout, opaque or ignored
  EntryPath path;
};
Result<NameRule> classify_name(EntryPath path);

// Attributes that a layer may set. overlayfs reads its own from trusted.overlay.* and user.overlay.*: a layer that
// could write them would choose which files of other layers are seen. Labels of SELinux belong to the host's policy.
bool is_allowed_xattr(std::string_view name);

}  // namespace podshim::image
