// Mounts held by fd: fsopen(2), fsmount(2), open_tree(2). They are in no mount table; closing the last fd of an
// unattached one undoes it. CAP_SYS_ADMIN; any thread. All fds close-on-exec.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "common/fd.h"
#include "common/result.h"

namespace podshim::sys {

using MountOption = std::pair<std::string, std::string>;  // an empty value = a flag

// A new instance of file system `type`; `attributes` = MOUNT_ATTR_*. The kernel's own message is in the error's detail.
Result<Fd> new_mount(const std::string& type, std::span<const MountOption> options, std::uint64_t attributes);
// A detached copy of the mount at `path` below `at` ("" = at itself, AT_FDCWD as Fd() with an absolute path). Before
// 6.15 EINVAL for a source that is itself detached or in another mount namespace.
Result<Fd> copy_mount(const Fd& at, const std::string& path, bool recursive);

// Puts a detached mount on the directory `path`.
Result<> attach_mount(const Fd& mount, const std::string& path);

}  // namespace podshim::sys
