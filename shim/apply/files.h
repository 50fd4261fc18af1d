// Files and detached mounts of a sandbox. Any thread. Everything below the sandbox's state directory; remove_tree() of
// it is the undo.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/fd.h"
#include "common/result.h"
#include "shim/plan/mounts.h"
#include "shim/plan/sandbox_files.h"
#include "shim/plan/usage.h"

namespace podshim {

// dir/{hosts,hostname,resolv.conf}, 0644. Sets the three paths in the facts given.
Result<> write_sandbox_files(const std::string& dir, const SandboxFiles& files, SandboxFacts& facts);
// A detached tmpfs for /dev/shm: mode 1777, nosuid, nodev, noexec. In no mount table; goes with its last reference.
Result<Fd> make_shm(std::uint64_t size_bytes = 64UL << 20);
// dir/<name> for each, mode 0777 (fsGroup and users are the workload's matter, as for an emptyDir).
Result<> make_volumes(const std::string& dir, const std::vector<std::string>& names);
// Removes the tree; what somebody mounted below it (a container with Bidirectional propagation) is detached first and
// keeps its files. Gone already is success.
Result<> remove_with_mounts(const std::string& dir);

// Blocks and entries below `dir`, itself not counted: what can be read of them. Follows no symlink.
struct TreeUse {
  std::uint64_t bytes = 0, inodes = 0;
};
TreeUse measure_tree(const std::string& dir);
// Of the file system that holds `path`.
Result<FilesystemSpace> space_of(const std::string& path);
// "" when missing.
std::string read_host_file(const std::string& path);

}  // namespace podshim
