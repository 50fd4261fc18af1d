// ClusterIPs, NodePorts and load balancer addresses. What a Service asks for is honoured or refused; the rest is chosen
// by a hash of its name, so that even a lost state gives the same addresses mostly; what was given is kept as long as
// the Service lives: nobody else gets it, and a change that is refused leaves the Service as it was last accepted (as
// an API server leaves the old object); its first cluster address never changes. Reasons name the field and the value
// in the API server's words. Network, broadcast, the first address (Kubernetes' own Service) and the cluster DNS
// address are never given unasked. A Service of type LoadBalancer without an address of the pool works all the same: it
// is pending. Pure; any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/config.h"
#include "common/kube/service.h"

namespace podshim::podlet {

struct Ranges {
  Cidr service_cidr;
  IpAddress cluster_dns;
  PortRange node_ports;
  std::optional<Cidr> load_balancer_pool;
};

struct Allocation {
  std::vector<std::string> cluster_ips, load_balancer_ips;
  std::map<std::string, int> node_ports;  // "http/TCP" -> port; "healthCheck/TCP"
  bool operator==(const Allocation&) const = default;
};
using Allocations = std::map<std::string, Allocation>;  // "default/web"

struct AllocationResult {
  Allocations allocations;
  std::vector<kube::Service> services;                // filled in
  std::map<std::string, std::string> refused;         // "default/web" -> why it is not served, or not as it says now
  std::map<std::string, std::string> pending;         // why it has no load balancer address; it is served all the same
  std::map<std::string, std::string> health_pending;  // the same of a health check port that nobody asked for
};

// `accepted`: the services of the last result.
AllocationResult allocate(const std::vector<kube::Service>& wanted, const Allocations& before, const Ranges& ranges,
                          const std::vector<kube::Service>& accepted = {});

json::Value encode_allocations(const Allocations& allocations);
Result<Allocations> decode_allocations(const json::Value& value, const std::string& file);

}  // namespace podshim::podlet
