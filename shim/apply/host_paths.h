// What a container's request points at on the host: mount sources, device nodes. Observed at CreateContainer, so that a
// missing source is an error there. Any thread; statx(2) with AT_STATX_DONT_SYNC, which asks no network file server.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "shim/plan/devices.h"
#include "shim/plan/mounts.h"
#include "shim/plan/spec.h"

namespace podshim {

// Every source exists (ENOENT names mounts[i] and the path); Bidirectional ones are on a shared mount.
Result<> check_mount_sources(const SandboxSpec& sandbox, const ContainerSpec& container, const SandboxFacts& facts);
// The request's devices with type and numbers (a directory gives every node below it); privileged: all of the host's
// as well. `dev_dir` is /dev but in tests.
Result<std::vector<DeviceNode>> observe_devices(const ContainerSpec& container, const std::string& dev_dir = "/dev");

}  // namespace podshim
