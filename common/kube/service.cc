#include "common/kube/service.h"

#include <algorithm>

#include "common/kube/service_check.h"
#include "common/kube/wording.h"

namespace podshim::kube {
namespace {

constexpr int kMaxPort = 65535;
constexpr int kAffinityDefault = 10800;  // Kubernetes: three hours
constexpr int kAffinityMax = 86400;

// One word of a closed list; the first is the default.
template <typename T>
struct Word {
  std::string_view text;
  T value;
};

constexpr Word<ServiceType> kTypes[] = {{"ClusterIP", ServiceType::cluster_ip},
                                        {"NodePort", ServiceType::node_port},
                                        {"LoadBalancer", ServiceType::load_balancer},
                                        {"ExternalName", ServiceType::external_name}};
constexpr Word<TrafficPolicy> kPolicies[] = {{"Cluster", TrafficPolicy::cluster}, {"Local", TrafficPolicy::local}};
constexpr Word<bool> kAffinities[] = {{"None", false}, {"ClientIP", true}};

template <typename T, std::size_t N>
Result<T> word(const json::Reader& r, std::string_view name, const Word<T> (&words)[N]) {
  auto text = TRY(r.string_or(name, std::string(words[0].text)));
  std::string known;
  for (const auto& w : words) {
    if (w.text == text) return w.value;
    known += (known.empty() ? "" : ", ") + quoted(w.text);
  }
  return fail(r.error(name, "Unsupported value: " + quoted(text) + ": supported values: " + known));
}

template <typename T, std::size_t N>
std::string_view text_of(T value, const Word<T> (&words)[N]) {
  return std::ranges::find(words, value, &Word<T>::value)->text;
}

Result<IpAddress> address(const json::Reader& r, std::string_view name, const std::string& text) {
  auto ip = IpAddress::parse(text);
  if (!ip) return fail(invalid_value(r, name, quoted(text), "must be a valid IP address, (e.g. 10.9.8.7)"));
  TRY(check_address(r, name, *ip));
  return *ip;
}

Result<std::vector<IpAddress>> addresses(const json::Reader& r, std::string_view name) {
  std::vector<IpAddress> out;
  for (const auto& text : TRY(r.strings(name))) {
    auto path = std::string(name) + "[" + std::to_string(out.size()) + "]";
    out.push_back(TRY(address(r, path, text)));
  }
  return out;
}

Result<ServicePort> decode_port(const json::Reader& r, Unknowns& unknowns) {
  ServicePort port;
  port.name = TRY(r.string_or("name", ""));
  if (!port.name.empty() && !is_dns_label(port.name))
    return fail(invalid_value(r, "name", quoted(port.name), "must be a DNS label (RFC 1123)"));
  port.protocol = TRY(decode_protocol(r));
  port.port = static_cast<int>(TRY(r.integer("port", 1, kMaxPort)));
  port.target_port = TRY(decode_port_ref(r, "targetPort", {.number = port.port}));
  port.node_port = static_cast<int>(TRY(r.integer_or("nodePort", 0, 0, kMaxPort)));
  r.ignore("appProtocol");
  note_unknown(r, unknowns);
  return port;
}

Result<> decode_cluster_ips(const json::Reader& spec, Service& s) {
  auto one = TRY(spec.string_or("clusterIP", ""));
  auto all = TRY(spec.strings("clusterIPs"));
  if (one.empty() && !all.empty() && all.front() != "None")
    return fail(required_value(spec, "clusterIP", "must be set together with clusterIPs"));
  s.headless = one == "None" || (all.size() == 1 && all.front() == "None");
  if (s.headless) return {};
  if (!one.empty() && !all.empty() && all.front() != one)
    return fail(invalid_value(spec, "clusterIPs", quoted(all.front()), "first value must match `clusterIP`"));
  if (!one.empty()) s.cluster_ips.push_back(TRY(address(spec, "clusterIP", one)));
  if (!all.empty()) s.cluster_ips = TRY(addresses(spec, "clusterIPs"));
  return {};
}

Result<> decode_affinity(const json::Reader& spec, Service& s, Unknowns& unknowns) {
  std::int64_t seconds = kAffinityDefault;
  bool on = TRY(word(spec, "sessionAffinity", kAffinities));
  if (auto config = TRY(spec.opt_object("sessionAffinityConfig"))) {
    if (!on) return fail(forbidden(spec, "sessionAffinityConfig", "must not be set when session affinity is None"));
    if (auto client = TRY(config->opt_object("clientIP"))) {
      seconds = TRY(client->integer_or("timeoutSeconds", seconds));
      if (seconds < 1 || seconds > kAffinityMax)
        return fail(invalid_value(*client, "timeoutSeconds", std::to_string(seconds),
                                  "must be greater than 0 and less than " + std::to_string(kAffinityMax)));
      note_unknown(*client, unknowns);
    }
    note_unknown(*config, unknowns);
  }
  if (on) s.affinity_seconds = static_cast<int>(seconds);
  return {};
}

// Decoded to nothing: one family is served, so asking for another is told to the user.
Result<> decode_families(const json::Reader& spec, Unknowns& unknowns) {
  auto policy = TRY(spec.string_or("ipFamilyPolicy", "SingleStack"));
  if (policy != "SingleStack") note_unused(spec, "ipFamilyPolicy", unknowns);
  for (const auto& family : TRY(spec.strings("ipFamilies"))) {
    if (family != "IPv4" && family != "IPv6")
      return fail(
          spec.error("ipFamilies", "Unsupported value: " + quoted(family) + ": supported values: \"IPv4\", \"IPv6\""));
  }
  return {};
}

Result<> decode_balancer(const json::Reader& spec, Service& s) {
  for (const auto& text : TRY(spec.strings("loadBalancerSourceRanges"))) {
    auto name = "loadBalancerSourceRanges[" + std::to_string(s.source_ranges.size()) + "]";
    auto first = text.find_first_not_of(' '), last = text.find_last_not_of(' ');  // blanks are allowed around it
    auto cidr = Cidr::parse(first == std::string::npos ? "" : text.substr(first, last - first + 1));
    if (!cidr) return fail(invalid_value(spec, name, quoted(text), "must be a valid CIDR value, (e.g. 10.9.8.0/24)"));
    s.source_ranges.push_back(*cidr);
  }
  if (auto wish = TRY(spec.string_or("loadBalancerIP", "")); !wish.empty())
    s.load_balancer_ip = TRY(address(spec, "loadBalancerIP", wish));
  s.load_balancer_class = TRY(spec.string_or("loadBalancerClass", ""));
  s.allocate_node_ports = TRY(spec.boolean_or("allocateLoadBalancerNodePorts", true));
  return {};
}

Result<> decode_spec(const json::Reader& spec, Service& s, Unknowns& unknowns) {
  s.type = TRY(word(spec, "type", kTypes));
  s.selector = TRY(decode_labels(spec, "selector"));
  TRY(decode_cluster_ips(spec, s));
  for (const auto& port : TRY(spec.objects("ports"))) s.ports.push_back(TRY(decode_port(port, unknowns)));
  s.external_ips = TRY(addresses(spec, "externalIPs"));
  TRY(decode_balancer(spec, s));
  s.external_policy = TRY(word(spec, "externalTrafficPolicy", kPolicies));
  s.internal_policy = TRY(word(spec, "internalTrafficPolicy", kPolicies));
  TRY(decode_affinity(spec, s, unknowns));
  TRY(decode_families(spec, unknowns));
  s.health_check_node_port = static_cast<int>(TRY(spec.integer_or("healthCheckNodePort", 0, 0, kMaxPort)));
  s.external_name = TRY(spec.string_or("externalName", ""));
  if (s.external_name.ends_with('.')) s.external_name.pop_back();  // as the API server reads it
  s.publish_not_ready = TRY(spec.boolean_or("publishNotReadyAddresses", false));
  spec.ignore("trafficDistribution");  // a wish for near endpoints; on one node all are
  note_unknown(spec, unknowns);
  return check_service(spec, s);
}

Result<> decode_status(const json::Reader& object, Service& s, Unknowns& unknowns) {
  auto status = TRY(object.opt_object("status"));
  if (!status) return {};
  status->ignore("conditions");
  if (auto balancer = TRY(status->opt_object("loadBalancer"))) {
    for (const auto& ingress : TRY(balancer->objects("ingress"))) {
      ingress.ignore("hostname");
      ingress.ignore("ports");
      // ipMode Proxy: packets come with the node's address, the VIP must not be short-cut here.
      auto mode = TRY(ingress.string_or("ipMode", "VIP"));
      if (auto ip = TRY(ingress.opt_string("ip")); ip && mode == "VIP")
        s.load_balancer_ips.push_back(TRY(address(ingress, "ip", *ip)));
      note_unknown(ingress, unknowns);
    }
    note_unknown(*balancer, unknowns);
  }
  note_unknown(*status, unknowns);
  return {};
}

json::Value texts(const std::vector<IpAddress>& list) {
  auto out = json::Value::array();
  for (const auto& ip : list) out.push(ip.str());
  return out;
}

json::Value encode_port(const ServicePort& p) {
  auto out = json::Value::object();
  if (!p.name.empty()) out.set("name", p.name);
  out.set("protocol", protocol_name(p.protocol)).set("port", p.port).set("targetPort", encode_port_ref(p.target_port));
  if (p.node_port != 0) out.set("nodePort", p.node_port);
  return out;
}

void encode_addresses(const Service& s, json::Value& spec) {
  if (s.headless) {
    spec.set("clusterIP", "None").set("clusterIPs", json::Value::strings({"None"}));
  } else if (!s.cluster_ips.empty()) {
    spec.set("clusterIP", s.cluster_ips.front().str()).set("clusterIPs", texts(s.cluster_ips));
  }
  if (!s.external_ips.empty()) spec.set("externalIPs", texts(s.external_ips));
  if (!s.source_ranges.empty()) {
    auto ranges = json::Value::array();
    for (const auto& cidr : s.source_ranges) ranges.push(cidr.str());
    spec.set("loadBalancerSourceRanges", std::move(ranges));
  }
  if (s.load_balancer_ip) spec.set("loadBalancerIP", s.load_balancer_ip->str());
  if (!s.load_balancer_class.empty()) spec.set("loadBalancerClass", s.load_balancer_class);
  if (!s.allocate_node_ports) spec.set("allocateLoadBalancerNodePorts", false);
}

}  // namespace

std::string_view service_type_text(ServiceType type) { return text_of(type, kTypes); }

std::string_view protocol_name(Protocol p) {
  switch (p) {
    case Protocol::tcp:
      return "TCP";
    case Protocol::udp:
      return "UDP";
    case Protocol::sctp:
      return "SCTP";
  }
  return "?";
}

Result<Protocol> decode_protocol(const json::Reader& r) {
  static constexpr Word<Protocol> kProtocols[] = {
      {"TCP", Protocol::tcp}, {"UDP", Protocol::udp}, {"SCTP", Protocol::sctp}};
  return word(r, "protocol", kProtocols);
}

Result<PortRef> decode_port_ref(const json::Reader& r, std::string_view name, PortRef fallback) {
  const auto* value = r.get(name);
  if (value == nullptr) return fallback;
  if (value->is_string()) {
    if (!is_port_name(value->as_string()))
      return fail(r.error(name, "\"" + value->as_string() + "\" is not a port name (at most 15 of a-z 0-9 -)"));
    return PortRef{.name = value->as_string()};
  }
  return PortRef{.number = static_cast<int>(TRY(r.integer(name, 1, kMaxPort)))};
}

json::Value encode_port_ref(const PortRef& port) {
  return port.name.empty() ? json::Value(port.number) : json::Value(port.name);
}

Result<Service> decode_service(const json::Reader& object, Unknowns& unknowns) {
  TRY(expect_type(object, "v1", "Service"));
  Service s;
  s.meta = TRY(decode_meta(object, unknowns));
  auto spec = TRY(object.object("spec"));
  TRY(decode_spec(spec, s, unknowns));
  TRY(decode_status(object, s, unknowns));
  note_unknown(object, unknowns);
  return s;
}

json::Value encode_service(const Service& s) {
  auto spec = json::Value::object();
  spec.set("type", text_of(s.type, kTypes));
  encode_addresses(s, spec);
  if (!s.selector.empty()) spec.set("selector", json::Value::string_map(s.selector));
  if (!s.ports.empty()) {
    auto ports = json::Value::array();
    for (const auto& p : s.ports) ports.push(encode_port(p));
    spec.set("ports", std::move(ports));
  }
  spec.set("externalTrafficPolicy", text_of(s.external_policy, kPolicies));
  spec.set("internalTrafficPolicy", text_of(s.internal_policy, kPolicies));
  spec.set("sessionAffinity", text_of(s.affinity_seconds.has_value(), kAffinities));
  if (s.affinity_seconds) {
    auto client = json::Value::object().set("timeoutSeconds", *s.affinity_seconds);
    spec.set("sessionAffinityConfig", json::Value::object().set("clientIP", client));
  }
  if (s.health_check_node_port != 0) spec.set("healthCheckNodePort", s.health_check_node_port);
  if (!s.external_name.empty()) spec.set("externalName", s.external_name);
  if (s.publish_not_ready) spec.set("publishNotReadyAddresses", true);

  auto out = json::Value::object();
  out.set("apiVersion", "v1").set("kind", "Service").set("metadata", encode_meta(s.meta)).set("spec", std::move(spec));
  if (!s.load_balancer_ips.empty()) {
    auto ingress = json::Value::array();
    for (const auto& ip : s.load_balancer_ips) ingress.push(json::Value::object().set("ip", ip.str()));
    auto balancer = json::Value::object().set("ingress", std::move(ingress));
    out.set("status", json::Value::object().set("loadBalancer", std::move(balancer)));
  }
  return out;
}

}  // namespace podshim::kube
