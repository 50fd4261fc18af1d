// The result of ADD: interfaces, addresses, routes, DNS, as values; read from any supported version of the
// specification and written in the one that the configuration asks for. Pure; any thread. CNI specification 1.1,
// section 5.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cni/skel/version.h"
#include "common/ip.h"
#include "common/json.h"

namespace podshim::cni {

struct Interface {
  std::string name;
  std::string mac;
  std::uint32_t mtu = 0;
  std::string sandbox;  // "" = on the host
  bool operator==(const Interface&) const = default;
};

struct IpConfig {
  Cidr address;
  std::optional<IpAddress> gateway;
  std::optional<int> interface;  // index into the interfaces
  bool operator==(const IpConfig&) const = default;
};

struct RouteConfig {
  Cidr dst;
  std::optional<IpAddress> gw;
  std::uint32_t mtu = 0;
  std::uint32_t advmss = 0;
  std::uint32_t priority = 0;
  std::optional<std::uint32_t> table;
  std::optional<std::uint8_t> scope;
  bool operator==(const RouteConfig&) const = default;
};

struct Dns {
  std::vector<std::string> nameservers;
  std::string domain;
  std::vector<std::string> search;
  std::vector<std::string> options;
  bool operator==(const Dns&) const = default;
  bool empty() const { return *this == Dns{}; }
};

struct AddResult {
  std::vector<Interface> interfaces;
  std::vector<IpConfig> ips;
  std::vector<RouteConfig> routes;
  Dns dns;
  bool operator==(const AddResult&) const = default;
};

// Errors name the field with `path` in front. Unknown members are left out.
Result<AddResult> parse_result(const json::Value& value, const std::string& path);
Result<std::vector<RouteConfig>> parse_routes(const json::Reader& parent, const char* name);
Result<Dns> parse_dns(const json::Reader& parent, const char* name);
json::Value encode(const AddResult& result, Version version);

}  // namespace podshim::cni
