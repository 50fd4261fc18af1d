// topology: which endpoints serve each port of a Service, seen from this node. Ready ones; when none is ready, those
// that still serve while they end; all of them with publishNotReadyAddresses. Under a Local policy the same is asked of
// this node's endpoints alone. Pure; any thread.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "common/kube/endpoint_slice.h"
#include "netproxy/ruleset.h"

namespace podshim::netproxy {

struct Backend {
  IpAddress address;
  int port = 0;
  bool local = true;  // may be on this node: named, or no node is
  auto operator<=>(const Backend&) const = default;
  std::string str() const;  // "10.42.0.2:8080", "[fd00::2]:8080"
};

// One port of a Service in one family. `backends` and `local` stand in slot order.
struct PortModel {
  Family family = Family::v4;
  std::string name;
  Protocol protocol = Protocol::tcp;
  int port = 0;
  int node_port = 0;
  std::vector<Backend> backends;
  std::vector<Backend> local;       // named of this node; only where a policy of the Service is Local
  std::vector<IpAddress> withheld;  // external addresses on which another Service has this port
  bool operator==(const PortModel&) const = default;
  bool withholds(const IpAddress& ip) const { return std::ranges::find(withheld, ip) != withheld.end(); }
  bool same_port(const PortModel& o) const { return family == o.family && protocol == o.protocol && port == o.port; }
};

// All that the table says about one Service.
struct ServiceModel {
  std::string key;                                      // namespace/name
  std::vector<IpAddress> vips;                          // cluster addresses
  std::vector<IpAddress> external;                      // of load balancers, and externalIPs
  std::vector<IpAddress> fenced;                        // those of `external` that only `ranges` may reach
  std::vector<Cidr> ranges;                             // of both families; none contains another
  bool internal_local = false, external_local = false;  // policies
  std::uint32_t affinity = 0;                           // seconds; 0: none
  std::vector<PortModel> ports;
  bool operator==(const ServiceModel&) const = default;
  bool empty() const { return vips.empty() && external.empty() && ports.empty(); }
  std::size_t endpoints() const;
  // What a cluster address leads to, by internalTrafficPolicy.
  const std::vector<Backend>& internal(const PortModel& port) const {
    return internal_local ? port.local : port.backends;
  }
};

struct NodeFacts {
  std::string node_name;
  std::vector<Family> families = {Family::v4};
  // Where no external address of a Service may lie, lest it takes another one's cluster address: the range of those,
  // and where DNS is served.
  std::vector<Cidr> reserved = {};
};

// Backends come sorted and without doubles; arrange() in diff.h gives them their slots.
ServiceModel model_of(const kube::Service& service, const std::vector<const kube::EndpointSlice*>& slices,
                      const NodeFacts& facts);

// What the Service asks for and is not served yet, as field paths with values. Told to the user once per Service.
std::vector<std::string> not_served(const kube::Service& service, const NodeFacts& facts);

}  // namespace podshim::netproxy
