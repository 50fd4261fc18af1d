// What a container's request points at on the host: mount sources, device nodes, the log. Observed at CreateContainer,
// so that a missing source is an error there. Any thread; statx(2) with AT_STATX_DONT_SYNC, which asks no network file
// server, but for the log's.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"
#include "shim/plan/devices.h"
#include "shim/plan/mounts.h"
#include "shim/plan/spec.h"

namespace podshim {

// A look at one path of the host. It may wait for ever, on a file server that is dead, and owns what it needs.
struct MountLook {
  std::string path;
  std::function<Result<>()> look;
  const char* what = nullptr;  // for the errors; null: what all of its round are
};
// One a source: it exists (ENOENT names mounts[i] and the path), a Bidirectional one is on a shared mount. The
// container's images are not among them. Touches nothing.
Result<std::vector<MountLook>> mount_looks(const SandboxSpec& sandbox, const ContainerSpec& container,
                                           const SandboxFacts& facts);
// The request's devices with type and numbers (a directory gives every node below it); privileged: all of the host's
// as well. `dev_dir` is /dev but in tests. One a path, each adds to `out`: to be run in their order.
std::vector<MountLook> device_looks(const ContainerSpec& container, const std::shared_ptr<std::vector<DeviceNode>>& out,
                                    const std::string& dev_dir = "/dev");

// Whether the file system of the log answers, and nothing else: a directory that is missing is made at the start.
MountLook log_look(const std::string& log_path);

}  // namespace podshim
