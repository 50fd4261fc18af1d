#include "netproxy/topology.h"

#include <algorithm>

namespace podshim::netproxy {
namespace {

bool serves(Family family, const NodeFacts& facts) {
  return std::ranges::find(facts.families, family) != facts.families.end();
}

void collect(const kube::EndpointSlice& slice, int port, const NodeFacts& facts, bool (*wanted)(const kube::Endpoint&),
             std::vector<Backend>& out) {
  for (const auto& e : slice.endpoints) {
    // The addresses of an endpoint are interchangeable (API documentation): the first is used.
    if (!wanted(e) || e.addresses.empty()) continue;
    bool local = e.node_name.empty() || e.node_name == facts.node_name;
    out.push_back({.address = e.addresses.front(), .port = port, .local = local});
  }
}

std::vector<Backend> backends_of(const kube::Service& service, const kube::ServicePort& port, Family family,
                                 const std::vector<const kube::EndpointSlice*>& slices, const NodeFacts& facts) {
  auto gather = [&](bool (*wanted)(const kube::Endpoint&)) {
    std::vector<Backend> out;
    for (const auto* slice : slices) {
      if (slice->family != family) continue;
      for (const auto& p : slice->ports)
        if (p.name == port.name && p.protocol == port.protocol) collect(*slice, p.port, facts, wanted, out);
    }
    std::ranges::sort(out);
    // One endpoint may stand in two slices while it moves between them.
    auto same = [](const Backend& a, const Backend& b) { return a.address == b.address && a.port == b.port; };
    out.erase(std::unique(out.begin(), out.end(), same), out.end());
    return out;
  };
  if (service.publish_not_ready) return gather([](const kube::Endpoint&) { return true; });
  auto ready = gather([](const kube::Endpoint& e) { return e.ready; });
  if (!ready.empty()) return ready;
  return gather([](const kube::Endpoint& e) { return e.serving && e.terminating; });
}

}  // namespace

std::string Backend::str() const {
  auto host = address.is_v4() ? address.str() : "[" + address.str() + "]";
  return host + ":" + std::to_string(port);
}

std::size_t ServiceModel::endpoints() const {
  std::size_t n = 0;
  for (const auto& port : ports) n += port.backends.size();
  return n;
}

ServiceModel model_of(const kube::Service& service, const std::vector<const kube::EndpointSlice*>& slices,
                      const NodeFacts& facts) {
  ServiceModel model{.key = service.meta.key()};
  if (service.headless || service.type == kube::ServiceType::external_name) return model;
  for (const auto& ip : service.cluster_ips)
    if (serves(ip.family(), facts)) model.vips.push_back(ip);
  for (auto family : facts.families) {
    bool has_vip = std::ranges::any_of(model.vips, [&](const auto& ip) { return ip.family() == family; });
    for (const auto& port : service.ports) {
      if (port.protocol == Protocol::sctp || (!has_vip && port.node_port == 0)) continue;
      model.ports.push_back({.family = family,
                             .name = port.name,
                             .protocol = port.protocol,
                             .port = port.port,
                             .node_port = port.node_port,
                             .backends = backends_of(service, port, family, slices, facts)});
    }
  }
  return model;
}

std::vector<std::string> not_served(const kube::Service& s, const NodeFacts& facts) {
  std::vector<std::string> out;
  if (s.external_policy == kube::TrafficPolicy::local) out.emplace_back("spec.externalTrafficPolicy: Local");
  if (s.internal_policy == kube::TrafficPolicy::local) out.emplace_back("spec.internalTrafficPolicy: Local");
  if (s.affinity_seconds) out.emplace_back("spec.sessionAffinity: ClientIP");
  if (!s.external_ips.empty()) out.emplace_back("spec.externalIPs");
  if (!s.load_balancer_ips.empty()) out.emplace_back("status.loadBalancer.ingress");
  if (!s.source_ranges.empty()) out.emplace_back("spec.loadBalancerSourceRanges");
  if (s.health_check_node_port != 0) out.emplace_back("spec.healthCheckNodePort");
  for (const auto& ip : s.cluster_ips)
    if (!serves(ip.family(), facts)) out.push_back("spec.clusterIPs: " + ip.str());
  for (const auto& p : s.ports)
    if (p.protocol == Protocol::sctp) out.push_back("spec.ports: SCTP " + std::to_string(p.port));
  return out;
}

}  // namespace podshim::netproxy
