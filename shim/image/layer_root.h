// LayerRoot: makes the entries of one layer below a held directory, in overlayfs' form (whiteout = character device
// 0:0, opaque directory = xattr trusted.overlay.opaque). Every path is resolved with the directory as root (openat2
// RESOLVE_IN_ROOT), so neither a symlink of the layer nor a hard link leaves it.
//
// Needs CAP_SYS_ADMIN, CAP_CHOWN, CAP_FOWNER, CAP_MKNOD, /proc and Linux 5.8. One thread, and nobody else writes below
// the directory. On failure the directory is half made: the caller removes it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/fd.h"
#include "common/result.h"
#include "shim/image/layer_entry.h"

namespace podshim::image {

struct LayerTotals {
  std::uint64_t bytes = 0;   // of data
  std::uint64_t blocks = 0;  // bytes of whole 4 KiB blocks, directories and symlinks as one
  std::uint64_t inodes = 0;
};

class LayerRoot {
 public:
  explicit LayerRoot(Fd root) : root_(std::move(root)) {}

  // Everything but the data of a regular file.
  Result<> add(const LayerEntry& entry);
  // A regular file: open, write at offsets, close with its attributes (writing would drop setuid and capabilities).
  Result<Fd> create_file(const LayerEntry& entry);
  Result<> close_file(const Fd& file, const LayerEntry& entry, std::uint64_t written);

  // Takes from the merged view of the lower layers what this layer only implies: attributes of directories that it has
  // no entry for, and files that it hard-links without having them. `missing()` tells whether there is anything to
  // take.
  bool missing() const { return !implied_.empty() || !lower_links_.empty(); }
  Result<> settle(const Fd& lower);
  // The same for the root, from the root of the layer below: it needs no merged view.
  Result<> settle_root(const Fd& lower_root);
  // Last: times of directories. Without settle(), links to files of lower layers are an error.
  Result<> finish();

  const LayerTotals& totals() const { return totals_; }
  bool opaque_root() const { return opaque_root_; }  // an overlay cannot hide what is below its root: leave it out

 private:
  Result<const Fd*> parent(const std::string& path);
  Result<> make_parents(const std::string& path);
  Result<> make_implied(const Fd& at, const std::string& name, const std::string& path);
  enum class Way { free, directory, whiteout };
  Result<Way> clear_way(const Fd& at, const EntryPath& path, bool keep_directory);
  Result<> make_node(const LayerEntry& entry);
  Result<> make_directory(const LayerEntry& entry);
  Result<> make_hard_link(const LayerEntry& entry);
  Result<> make_whiteout(const LayerEntry& entry);
  Result<> make_opaque(const EntryPath& path);
  Result<> set_root(const LayerEntry& entry);
  void count(std::uint64_t blocks);
  Result<> settle_directory(const Fd& lower, const std::string& path);
  Result<> settle_link(const Fd& lower, const LayerEntry& entry);

  Fd root_;
  std::string cached_path_;
  Fd cached_;
  std::map<std::string, timespec> directory_times_;
  std::set<std::string> implied_;
  bool root_seen_ = false;
  std::vector<LayerEntry> lower_links_;
  LayerTotals totals_;
  bool opaque_root_ = false;
};

}  // namespace podshim::image
