#include "netproxy/topology.h"

#include <algorithm>

namespace podshim::netproxy {
namespace {

bool serves(Family family, const NodeFacts& facts) {
  return std::ranges::find(facts.families, family) != facts.families.end();
}

bool is_here(const kube::Endpoint& e, const NodeFacts& facts) {
  return !e.node_name.empty() && e.node_name == facts.node_name;
}

bool is_reserved(const IpAddress& ip, const NodeFacts& facts) {
  return std::ranges::any_of(facts.reserved, [&](const Cidr& c) { return c.contains(ip); });
}

// What backends_of() looks through: the slices of one port of a Service.
struct Candidates {
  const kube::Service& service;
  const kube::ServicePort& port;
  Family family;
  const std::vector<const kube::EndpointSlice*>& slices;
  const NodeFacts& facts;
};

template <typename Wanted>
std::vector<Backend> gather(const Candidates& c, bool local_only, Wanted wanted) {
  std::vector<Backend> out;
  for (const auto* slice : c.slices) {
    if (slice->family != c.family) continue;
    for (const auto& p : slice->ports) {
      if (p.name != c.port.name || p.protocol != c.port.protocol) continue;
      for (const auto& e : slice->endpoints) {
        // The addresses of an endpoint are interchangeable (API documentation): the first is used.
        if (!wanted(e) || e.addresses.empty()) continue;
        bool here = is_here(e, c.facts);
        if (here || !local_only)
          out.push_back({.address = e.addresses.front(), .port = p.port, .local = here || e.node_name.empty()});
      }
    }
  }
  std::ranges::sort(out);
  // One endpoint may stand in two slices while it moves between them.
  auto same = [](const Backend& a, const Backend& b) { return a.address == b.address && a.port == b.port; };
  out.erase(std::unique(out.begin(), out.end(), same), out.end());
  out.shrink_to_fit();  // it is kept, ten thousand times
  return out;
}

std::vector<Backend> backends_of(const Candidates& c, bool local_only) {
  if (c.service.publish_not_ready) return gather(c, local_only, [](const kube::Endpoint&) { return true; });
  auto ready = gather(c, local_only, [](const kube::Endpoint& e) { return e.ready; });
  if (!ready.empty()) return ready;
  return gather(c, local_only, [](const kube::Endpoint& e) { return e.serving && e.terminating; });
}

// Ranges that lie in another are left out: the kernel's interval set takes no overlap.
std::vector<Cidr> disjoint(const std::vector<Cidr>& ranges) {
  std::vector<Cidr> all;
  for (const auto& r : ranges) all.push_back({.address = r.network(), .prefix = r.prefix});
  std::ranges::sort(all, {}, [](const Cidr& c) { return std::pair(c.prefix, c.address); });
  std::vector<Cidr> out;
  for (const auto& r : all)
    if (std::ranges::none_of(out, [&](const Cidr& o) { return o.contains(r.address); })) out.push_back(r);
  return out;
}

void add_addresses(const kube::Service& service, const NodeFacts& facts, ServiceModel& model) {
  for (const auto& ip : service.cluster_ips)
    if (serves(ip.family(), facts)) model.vips.push_back(ip);
  // Ranges are of the addresses of their own family, as under kube-proxy (newBaseServiceInfo): where all are IPv6, an
  // IPv4 address is open.
  auto has_ranges = [&](const IpAddress& ip) {
    return std::ranges::any_of(service.source_ranges, [&](const Cidr& c) { return c.address.family() == ip.family(); });
  };
  auto external = [&](const std::vector<IpAddress>& from, bool balancer) {
    for (const auto& ip : from) {
      if (!serves(ip.family(), facts) || std::ranges::find(model.vips, ip) != model.vips.end()) continue;
      if (is_reserved(ip, facts)) continue;
      if (std::ranges::find(model.external, ip) == model.external.end()) {
        model.external.push_back(ip);
        if (balancer && has_ranges(ip)) model.fenced.push_back(ip);
      }
    }
  };
  if (service.type == kube::ServiceType::load_balancer) external(service.load_balancer_ips, true);
  external(service.external_ips, false);
  if (!model.fenced.empty()) model.ranges = disjoint(service.source_ranges);
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
  add_addresses(service, facts, model);
  model.internal_local = service.internal_policy == kube::TrafficPolicy::local;
  model.external_local = service.external_policy == kube::TrafficPolicy::local;
  model.affinity = static_cast<std::uint32_t>(service.affinity_seconds.value_or(0));
  for (auto family : facts.families) {
    auto of_family = [&](const IpAddress& ip) { return ip.family() == family; };
    // A Service is of the families of its cluster addresses; one without any may be of each.
    if (!service.cluster_ips.empty() && std::ranges::none_of(service.cluster_ips, of_family)) continue;
    bool has_address = std::ranges::any_of(model.vips, of_family) || std::ranges::any_of(model.external, of_family);
    for (const auto& port : service.ports) {
      if (port.protocol == Protocol::sctp || (!has_address && port.node_port == 0)) continue;
      Candidates candidates{service, port, family, slices, facts};
      PortModel out{.family = family,
                    .name = port.name,
                    .protocol = port.protocol,
                    .port = port.port,
                    .node_port = port.node_port,
                    .backends = backends_of(candidates, false)};
      if (model.internal_local || model.external_local) out.local = backends_of(candidates, true);
      model.ports.push_back(std::move(out));
    }
  }
  return model;
}

std::vector<std::string> not_served(const kube::Service& s, const NodeFacts& facts) {
  std::vector<std::string> out;
  auto unserved = [&](const char* field, const std::vector<IpAddress>& list) {
    for (const auto& ip : list)
      if (!serves(ip.family(), facts)) out.push_back(field + (": " + ip.str()));
  };
  unserved("spec.clusterIPs", s.cluster_ips);
  unserved("spec.externalIPs", s.external_ips);
  unserved("status.loadBalancer.ingress", s.load_balancer_ips);
  auto withheld = [&](const char* field, const std::vector<IpAddress>& list) {
    for (const auto& ip : list)
      if (is_reserved(ip, facts) && std::ranges::find(s.cluster_ips, ip) == s.cluster_ips.end())
        out.push_back(field + (": " + ip.str()) + " is kept for cluster addresses");
  };
  withheld("spec.externalIPs", s.external_ips);
  withheld("status.loadBalancer.ingress", s.load_balancer_ips);
  for (const auto& p : s.ports)
    if (p.protocol == Protocol::sctp) out.push_back("spec.ports: SCTP " + std::to_string(p.port));
  return out;
}

}  // namespace podshim::netproxy
