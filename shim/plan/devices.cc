#include "shim/plan/devices.h"

#include <algorithm>

namespace podshim {
namespace {

DeviceNode node(const char* path, std::uint32_t major, std::uint32_t minor) {
  return {.host_path = path, .container_path = path, .type = 'c', .major = major, .minor = minor, .mode = 0666};
}

// What every container may use: making nodes at all (the node alone opens nothing), the standard ones, console, ptys.
std::vector<DeviceRule> standard_rules() {
  std::vector<DeviceRule> out = {{.type = 'c', .access = "m"}, {.type = 'b', .access = "m"}};
  for (const auto& device : standard_devices())
    out.push_back({.type = 'c', .major = device.major, .minor = device.minor});
  out.push_back({.type = 'c', .major = 5, .minor = 1});  // console
  out.push_back({.type = 'c', .major = 5, .minor = 2});  // ptmx
  out.push_back({.type = 'c', .major = 136});            // pts/*
  return out;
}

std::string number(std::int64_t n) { return n < 0 ? "*" : std::to_string(n); }

}  // namespace

std::string DeviceRule::print() const {
  return std::string(1, type) + " " + number(major) + ":" + number(minor) + " " + access;
}

std::vector<DeviceNode> standard_devices() {
  return {node("/dev/null", 1, 3),   node("/dev/zero", 1, 5),    node("/dev/full", 1, 7),
          node("/dev/random", 1, 8), node("/dev/urandom", 1, 9), node("/dev/tty", 5, 0)};
}

Result<> check_devices(const std::vector<Device>& devices) {
  for (std::size_t i = 0; i < devices.size(); i++) {
    const auto& device = devices[i];
    const std::string field = "config.devices[" + std::to_string(i) + "]";
    if (device.permissions.empty() || device.permissions.find_first_not_of("rwm") != std::string::npos)
      return fail(Error::invalid(field + ".permissions", "\"" + device.permissions + "\" is not made of r, w and m"));
    if (!device.container_path.starts_with('/'))
      return fail(Error::invalid(field + ".container_path", "\"" + device.container_path + "\" is not absolute"));
    if (!device.host_path.starts_with('/'))
      return fail(Error::invalid(field + ".host_path", "\"" + device.host_path + "\" is not absolute"));
  }
  return {};
}

DevicePlan plan_devices(const std::vector<DeviceNode>& observed, bool privileged) {
  DevicePlan out{.nodes = standard_devices(), .allow_all = privileged};
  for (const auto& device : observed) {
    auto same = [&](const DeviceNode& n) { return n.container_path == device.container_path; };
    if (auto it = std::find_if(out.nodes.begin(), out.nodes.end(), same); it != out.nodes.end()) {
      *it = device;  // the request's device in place of the standard one
    } else {
      out.nodes.push_back(device);
    }
  }
  if (privileged) return out;
  out.rules = standard_rules();
  for (const auto& device : observed)
    out.rules.push_back(
        {.type = device.type, .major = device.major, .minor = device.minor, .access = device.permissions});
  return out;
}

}  // namespace podshim
