// ClusterIPs and NodePorts. What a Service asks for is honoured or refused; the rest is chosen by a hash of its name,
// so that even a lost state gives the same addresses mostly; what was given is kept as long as the Service lives.
// Network, broadcast, the first address (Kubernetes' own Service) and the cluster DNS address are never given. Pure;
// any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/config.h"
#include "common/kube/service.h"

namespace podshim::podlet {

struct Allocation {
  std::vector<std::string> cluster_ips;
  std::map<std::string, int> node_ports;  // "http/TCP" -> port
  bool operator==(const Allocation&) const = default;
};
using Allocations = std::map<std::string, Allocation>;  // "default/web"

struct AllocationResult {
  Allocations allocations;
  std::vector<kube::Service> services;         // filled in
  std::map<std::string, std::string> refused;  // "default/web" -> why it has no address
};

AllocationResult allocate(const std::vector<kube::Service>& wanted, const Allocations& before, const Cidr& cidr,
                          const IpAddress& cluster_dns, PortRange ports);

json::Value encode_allocations(const Allocations& allocations);
Result<Allocations> decode_allocations(const json::Value& value, const std::string& file);

}  // namespace podshim::podlet
