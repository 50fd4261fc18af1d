// Owner, mode, times and extended attributes of a file below a held directory: what a tar entry sets, and a copy of
// what another file has. Order: owner, mode, xattrs, times, since chown(2) clears setuid bits and file capabilities.
// Needs CAP_CHOWN, CAP_FOWNER, CAP_SETFCAP and /proc. Any thread.
#pragma once

#include <string>

#include "common/fd.h"
#include "common/result.h"
#include "shim/image/layer_entry.h"

namespace podshim::image {

// "/proc/self/fd/<at>/<name>": for calls that have no *at form. `name` is a single name or empty (= the directory).
std::string proc_path(const Fd& at, const std::string& name);

// `entry` gives mode, owner, mtime and xattrs; its kind tells what cannot be set (modes of symlinks). `name` = "" is
// the directory itself.
Result<> set_attributes(const Fd& at, const std::string& name, const LayerEntry& entry, bool times);
Result<> set_file_attributes(const Fd& file, const LayerEntry& entry);
Result<> set_opaque(const Fd& at, const std::string& name);

// Attributes of an open file (O_PATH is enough) in the form that the above take.
Result<LayerEntry> read_attributes(const Fd& file, const std::string& subject);

}  // namespace podshim::image
