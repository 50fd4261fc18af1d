// What a CNI plugin answered to ADD, decoded: result formats 0.3.0 to 1.1.0 (spec, "Success"). Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/ip.h"
#include "common/json.h"
#include "common/result.h"
#include "shim/cni_client/conflist.h"

namespace podshim::cni {

struct Interface {
  std::string name, mac, sandbox;  // sandbox: the netns path; "" = an interface of the node
  bool operator==(const Interface&) const = default;
};

struct IpConfig {
  Cidr address;
  std::optional<IpAddress> gateway;
  std::optional<std::size_t> interface;  // index
  bool operator==(const IpConfig&) const = default;
};

struct Route {
  Cidr destination;
  std::optional<IpAddress> gateway;
  bool operator==(const Route&) const = default;
};

struct Answer {
  Version version;
  std::vector<Interface> interfaces;
  std::vector<IpConfig> ips;
  std::vector<Route> routes;
  std::vector<std::string> dns_servers, dns_searches;
  bool operator==(const Answer&) const = default;

  // Addresses of `ifname` in the sandbox, in the plugin's order; all of them when the plugin names no interface.
  std::vector<IpAddress> addresses(const std::string& ifname) const;
};

// unavailable: not what the spec says; the error names the field.
Result<Answer> decode_answer(const json::Value& value);

}  // namespace podshim::cni
