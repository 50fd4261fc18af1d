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

namespace podshim {

// dir/{hosts,hostname,resolv.conf}, 0644. Sets the three paths in the facts given.
Result<> write_sandbox_files(const std::string& dir, const SandboxFiles& files, SandboxFacts& facts);
// A detached tmpfs for /dev/shm: mode 1777, nosuid, nodev, noexec. In no mount table; goes with its last reference.
Result<Fd> make_shm(std::uint64_t size_bytes = 64UL << 20);
// dir/<name> for each, mode 0777 (fsGroup and users are the workload's matter, as for an emptyDir).
Result<> make_volumes(const std::string& dir, const std::vector<std::string>& names);
// "" when missing.
std::string read_host_file(const std::string& path);

}  // namespace podshim
