#include "podlet/endpoints.h"

#include <algorithm>
#include <map>

namespace podshim::podlet {
namespace {

bool selected(const kube::Service& s, const Backend& p) {
  return p.name_space == s.meta.name_space && kube::has_labels(*p.labels, s.selector);
}

// nullopt: this Pod has none of the named ports.
std::vector<kube::EndpointPort> ports_of(const kube::Service& s, const Backend& p) {
  std::vector<kube::EndpointPort> out;
  for (const auto& port : s.ports) {
    int number = resolve_port(port.target_port, port.protocol, *p.spec);
    if (number != 0) out.push_back({.name = port.name, .protocol = port.protocol, .port = number});
  }
  return out;
}

std::optional<IpAddress> address_of(const Backend& p, Family family) {
  for (const auto& text : p.ips) {
    auto ip = IpAddress::parse(text);
    if (ip && ip->family() == family) return *ip;
  }
  return std::nullopt;
}

struct PortOrder {
  bool operator()(const std::vector<kube::EndpointPort>& a, const std::vector<kube::EndpointPort>& b) const {
    auto key = [](const auto& p) { return std::tie(p.name, p.protocol, p.port); };
    return std::ranges::lexicographical_compare(a, b, [&](const auto& x, const auto& y) { return key(x) < key(y); });
  }
};

kube::Endpoint endpoint_of(const kube::Service& s, const Backend& p, const IpAddress& ip,
                           const std::string& node_name) {
  kube::Endpoint e{.addresses = {ip}, .node_name = node_name, .target_name = p.name};
  // As the endpoint slice controller: "ready" is never said of a Pod that ends, unless the Service publishes all.
  e.serving = p.ready;
  e.terminating = p.deleting;
  e.ready = s.publish_not_ready || (p.ready && !p.deleting);
  if (!p.subdomain.empty() && p.subdomain == s.meta.name) e.hostname = p.hostname;
  return e;
}

}  // namespace

int resolve_port(const kube::PortRef& port, kube::Protocol protocol, const kube::PodSpec& spec) {
  if (port.name.empty()) return port.number;
  for (const auto* list : {&spec.containers, &spec.init_containers}) {
    for (const auto& c : *list) {
      if (list == &spec.init_containers && !c.restart_always) continue;
      for (const auto& p : c.ports)
        if (p.name == port.name && p.protocol == protocol) return p.container_port;
    }
  }
  return 0;
}

std::vector<kube::EndpointSlice> build_slices(const kube::Service& s, const std::vector<Backend>& pods,
                                              const std::string& node_name) {
  std::vector<kube::EndpointSlice> out;
  if (s.selector.empty() || s.type == kube::ServiceType::external_name) return out;
  for (Family family : {Family::v4, Family::v6}) {
    std::map<std::vector<kube::EndpointPort>, std::vector<kube::Endpoint>, PortOrder> groups;
    for (const auto& p : pods) {
      if (!selected(s, p) || p.ended) continue;
      auto ip = address_of(p, family);
      if (!ip) continue;
      auto ports = ports_of(s, p);
      if (ports.empty() && !s.ports.empty()) continue;
      groups[std::move(ports)].push_back(endpoint_of(s, p, *ip, node_name));
    }
    for (auto& [ports, endpoints] : groups) {
      std::ranges::sort(endpoints, {}, [](const auto& e) { return e.addresses.front(); });
      for (std::size_t i = 0; i < endpoints.size(); i += kMaxEndpoints) {
        kube::EndpointSlice slice{.service_name = s.meta.name, .family = family, .ports = ports};
        slice.meta = {.name = s.meta.name + "-" + std::to_string(out.size()), .name_space = s.meta.name_space};
        slice.meta.labels["endpointslice.kubernetes.io/managed-by"] = "podlet.podshim.dev";
        auto end = std::min(endpoints.size(), i + kMaxEndpoints);
        slice.endpoints.assign(endpoints.begin() + static_cast<std::ptrdiff_t>(i),
                               endpoints.begin() + static_cast<std::ptrdiff_t>(end));
        out.push_back(std::move(slice));
      }
    }
  }
  return out;
}

std::string endpoints_text(const std::vector<kube::EndpointSlice>& slices, std::size_t limit) {
  std::string out;
  std::size_t count = 0;
  for (const auto& slice : slices) {
    for (const auto& e : slice.endpoints) {
      if (!e.ready) continue;
      for (const auto& port : slice.ports) {
        if (limit != 0 && ++count > limit) continue;
        auto ip = e.addresses.front().is_v4() ? e.addresses.front().str() : "[" + e.addresses.front().str() + "]";
        out += (out.empty() ? "" : ",") + ip + ":" + std::to_string(port.port);
      }
      if (slice.ports.empty()) out += (out.empty() ? "" : ",") + e.addresses.front().str();
    }
  }
  if (out.empty()) return "<none>";
  if (limit != 0 && count > limit) out += " + " + std::to_string(count - limit) + " more...";
  return out;
}

}  // namespace podshim::podlet
