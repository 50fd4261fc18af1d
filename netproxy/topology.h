// topology: which endpoints serve each port of a Service, seen from this node. Ready ones; when none is ready, those
// that still serve while they end; all of them with publishNotReadyAddresses. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "common/kube/endpoint_slice.h"
#include "netproxy/ruleset.h"

namespace podshim::netproxy {

struct Backend {
  IpAddress address;
  int port = 0;
  bool local = true;  // on this node; unknown nodes count as this one
  auto operator<=>(const Backend&) const = default;
  std::string str() const;  // "10.42.0.2:8080", "[fd00::2]:8080"
};

// One port of a Service in one family. `backends` stand in slot order.
struct PortModel {
  Family family = Family::v4;
  std::string name;
  Protocol protocol = Protocol::tcp;
  int port = 0;
  int node_port = 0;
  std::vector<Backend> backends;
  bool operator==(const PortModel&) const = default;
  bool same_port(const PortModel& o) const { return family == o.family && protocol == o.protocol && port == o.port; }
};

// All that the table says about one Service.
struct ServiceModel {
  std::string key;  // namespace/name
  std::vector<IpAddress> vips;
  std::vector<PortModel> ports;
  bool operator==(const ServiceModel&) const = default;
  bool empty() const { return vips.empty() && ports.empty(); }
  std::size_t endpoints() const;
};

struct NodeFacts {
  std::string node_name;
  std::vector<Family> families = {Family::v4};
};

// Backends come sorted and without doubles; arrange() in diff.h gives them their slots.
ServiceModel model_of(const kube::Service& service, const std::vector<const kube::EndpointSlice*>& slices,
                      const NodeFacts& facts);

// What the Service asks for and is not served yet, as field paths with values. Told to the user once per Service.
std::vector<std::string> not_served(const kube::Service& service, const NodeFacts& facts);

}  // namespace podshim::netproxy
