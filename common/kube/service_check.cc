#include "common/kube/service_check.h"

#include <set>

#include "common/kube/wording.h"

namespace podshim::kube {
namespace {

bool has_node_ports(const Service& s) {
  return s.type == ServiceType::node_port || s.type == ServiceType::load_balancer;
}

// Told apart by name, and by protocol and port.
Result<> check_ports(const json::Reader& spec, const Service& s) {
  if (s.ports.empty() && !s.headless && s.type != ServiceType::external_name)
    return fail(required_value(spec, "ports"));
  std::set<std::string> names;
  std::set<std::pair<Protocol, int>> numbers, node_ports;
  for (std::size_t i = 0; i < s.ports.size(); i++) {
    const auto& p = s.ports[i];
    auto at = [&](const char* field) { return "ports[" + std::to_string(i) + "]." + field; };
    auto shown = [&](int number) { return std::string(protocol_name(p.protocol)) + " " + std::to_string(number); };
    if (p.name.empty() && s.ports.size() > 1)
      return fail(required_value(spec, at("name"), "ports have names where there is more than one"));
    if (!names.insert(p.name).second) return fail(duplicate_value(spec, at("name"), quoted(p.name)));
    if (!numbers.emplace(p.protocol, p.port).second) return fail(duplicate_value(spec, at("port"), shown(p.port)));
    if (p.node_port == 0) continue;
    if (!has_node_ports(s))
      return fail(forbidden(spec, at("nodePort"),
                            "may not be used when `type` is '" + std::string(service_type_text(s.type)) + "'"));
    if (!node_ports.emplace(p.protocol, p.node_port).second)
      return fail(duplicate_value(spec, at("nodePort"), shown(p.node_port)));
  }
  return {};
}

Result<> check_type(const json::Reader& spec, const Service& s) {
  auto services = std::string(service_type_text(s.type)) + " services";
  if (s.headless && has_node_ports(s))
    return fail(invalid_value(spec, "clusterIP", "\"None\"", "may not be set to 'None' for " + services));
  if (s.type != ServiceType::external_name) return {};
  if (s.headless || !s.cluster_ips.empty()) return fail(forbidden(spec, "clusterIP", "may not be set for " + services));
  if (s.external_name.empty()) return fail(required_value(spec, "externalName"));
  if (!is_dns_subdomain(s.external_name))
    return fail(invalid_value(spec, "externalName", quoted(s.external_name), "must be a DNS name (RFC 1123)"));
  return {};
}

Result<> check_external_policy(const json::Reader& spec, const Service& s) {
  bool local = s.external_policy == TrafficPolicy::local;
  bool external = has_node_ports(s) || (s.type == ServiceType::cluster_ip && !s.external_ips.empty());
  if (local && !external)
    return fail(invalid_value(spec, "externalTrafficPolicy", "\"Local\"",
                              "may only be set for externally-accessible services"));
  if (s.health_check_node_port != 0 && !(s.type == ServiceType::load_balancer && local))
    return fail(invalid_value(spec, "healthCheckNodePort", std::to_string(s.health_check_node_port),
                              "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"));
  return {};
}

Result<> check_balancer(const json::Reader& spec, const Service& s) {
  if (s.type == ServiceType::load_balancer) return {};
  for (auto [name, set] : {std::pair{"loadBalancerSourceRanges", !s.source_ranges.empty()},
                           std::pair{"loadBalancerClass", !s.load_balancer_class.empty()},
                           std::pair{"allocateLoadBalancerNodePorts", !s.allocate_node_ports}})
    if (set) return fail(forbidden(spec, name, "may only be used when `type` is 'LoadBalancer'"));
  return {};
}

}  // namespace

Result<> check_service(const json::Reader& spec, const Service& s) {
  TRY(check_type(spec, s));
  TRY(check_ports(spec, s));
  TRY(check_external_policy(spec, s));
  return check_balancer(spec, s);
}

Result<> check_address(const json::Reader& r, std::string_view name, const IpAddress& ip) {
  auto b = ip.bytes();
  const char* why = nullptr;
  if (ip.is_unspecified()) why = "may not be unspecified (0.0.0.0 or ::)";
  if (ip.is_loopback()) why = "may not be in the loopback range (127.0.0.0/8, ::1/128)";
  bool link_local = ip.is_v4() ? b[0] == 169 && b[1] == 254 : b[0] == 0xfe && (b[1] & 0xc0) == 0x80;
  if (link_local) why = "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
  bool multicast = ip.is_v4() ? b[0] >= 224 : b[0] == 0xff;
  if (multicast) why = "may not be a multicast or reserved address (224.0.0.0/3, ff00::/8)";
  if (why != nullptr) return fail(invalid_value(r, name, quoted(ip.str()), why));
  return {};
}

}  // namespace podshim::kube
