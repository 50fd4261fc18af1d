// Devices of a container: the standard nodes, those of the request, all of the host's when privileged; and the rules of
// the devices controller. What the host has is observed by apply/host_paths and comes in as values. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"
#include "shim/plan/spec.h"

namespace podshim {

// A device node of the host, as stat(2) says.
struct DeviceNode {
  std::string host_path;       // as observed
  std::string container_path;  // where it goes
  char type = 'c';             // c or b
  std::uint32_t major = 0, minor = 0;
  std::uint32_t mode = 0666;  // permission bits
  std::uint32_t uid = 0, gid = 0;
  std::string permissions = "rwm";
  bool operator==(const DeviceNode&) const = default;
};

struct DeviceRule {
  char type = 'c';                      // a: everything
  std::int64_t major = -1, minor = -1;  // -1 = any
  std::string access = "rwm";
  bool operator==(const DeviceRule&) const = default;
  std::string print() const;  // "c 1:3 rwm", "c *:* m", "a *:* rwm"
};

struct DevicePlan {
  std::vector<DeviceNode> nodes;  // made below the root after /dev is mounted
  std::vector<DeviceRule> rules;  // allowed; all else is denied. Empty with allow_all
  bool allow_all = false;
  bool operator==(const DevicePlan&) const = default;
};

std::vector<DeviceNode> standard_devices();
// permissions must be of r, w, m; container_path absolute; the error names devices[i].
Result<> check_devices(const std::vector<Device>& devices);
DevicePlan plan_devices(const std::vector<DeviceNode>& observed, bool privileged);

}  // namespace podshim
