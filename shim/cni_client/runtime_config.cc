#include "shim/cni_client/runtime_config.h"

#include <charconv>
#include <cmath>

namespace podshim::cni {
namespace {

constexpr const char* kIngress = "kubernetes.io/ingress-bandwidth";
constexpr const char* kEgress = "kubernetes.io/egress-bandwidth";
constexpr const char* kIps = "podshim.dev/ips";

const char* protocol_name(PortMapping::Protocol p) {
  switch (p) {
    case PortMapping::Protocol::tcp:
      return "tcp";
    case PortMapping::Protocol::udp:
      return "udp";
    case PortMapping::Protocol::sctp:
      return "sctp";
  }
  return "tcp";
}

json::Value port_mappings(const std::vector<PortMapping>& ports) {
  json::Value out = json::Value::array();
  for (const auto& p : ports) {
    if (p.host_port == 0) continue;
    json::Value one = json::Value::object();
    one.set("hostPort", p.host_port).set("containerPort", p.container_port).set("protocol", protocol_name(p.protocol));
    if (!p.host_ip.empty()) one.set("hostIP", p.host_ip);
    out.push(std::move(one));
  }
  return out;
}

// The bandwidth plugin refuses a rate without a burst; this burst (the kubelet's choice, too) limits nothing more.
json::Value bandwidth(const Bandwidth& b) {
  constexpr std::int64_t kBurst = INT32_MAX;
  json::Value out = json::Value::object();
  if (b.ingress_rate > 0) out.set("ingressRate", b.ingress_rate).set("ingressBurst", kBurst);
  if (b.egress_rate > 0) out.set("egressRate", b.egress_rate).set("egressBurst", kBurst);
  return out;
}

json::Value dns(const DnsConfig& d) {
  json::Value out = json::Value::object();
  return out.set("servers", json::Value::strings(d.servers))
      .set("searches", json::Value::strings(d.searches))
      .set("options", json::Value::strings(d.options));
}

// A Kubernetes quantity in bits a second: 1000, 10M, 1Gi. 1k to 1P, as the kubelet demands.
Result<std::int64_t> rate(const std::string& field, const std::string& text) {
  double number = 0;
  auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view suffix(end, static_cast<std::size_t>(text.data() + text.size() - end));
  static constexpr std::pair<std::string_view, double> kSuffixes[] = {
      {"", 1},     {"k", 1e3},     {"M", 1e6},        {"G", 1e9},           {"T", 1e12},
      {"P", 1e15}, {"Ki", 1024.0}, {"Mi", 1048576.0}, {"Gi", 1073741824.0}, {"Ti", 1099511627776.0}};
  for (const auto& [name, factor] : kSuffixes) {
    if (err != std::errc{} || name != suffix) continue;
    double bits = number * factor;
    if (!(bits >= 1e3 && bits <= 1e15)) break;
    return static_cast<std::int64_t>(bits);
  }
  return fail(Error::invalid(field, "\"" + text + "\" is no bandwidth between 1k and 1P"));
}

}  // namespace

json::Value runtime_config(const std::vector<std::string>& capabilities, const Attachment& a) {
  json::Value out = json::Value::object();
  for (const auto& name : capabilities) {
    if (name == "portMappings") {
      if (json::Value list = port_mappings(a.ports); !list.as_array().empty()) out.set(name, std::move(list));
    } else if (name == "ips" && !a.ips.empty()) {
      out.set(name, json::Value::strings(a.ips));
    } else if (name == "bandwidth" && (a.bandwidth.ingress_rate > 0 || a.bandwidth.egress_rate > 0)) {
      out.set(name, bandwidth(a.bandwidth));
    } else if (name == "dns" && a.dns) {
      out.set(name, dns(*a.dns));
    } else if (name == "ipRanges" && !a.pod_cidr.empty()) {
      json::Value range = json::Value::object().set("subnet", a.pod_cidr);
      out.set(name, json::Value::array().push(json::Value::array().push(std::move(range))));
    }
  }
  return out;
}

Result<Bandwidth> bandwidth_of(const std::map<std::string, std::string>& annotations) {
  Bandwidth out;
  if (auto at = annotations.find(kIngress); at != annotations.end()) out.ingress_rate = TRY(rate(kIngress, at->second));
  if (auto at = annotations.find(kEgress); at != annotations.end()) out.egress_rate = TRY(rate(kEgress, at->second));
  return out;
}

Result<std::vector<std::string>> wanted_ips(const std::map<std::string, std::string>& annotations) {
  std::vector<std::string> out;
  auto at = annotations.find(kIps);
  if (at == annotations.end()) return out;
  for (std::size_t from = 0; from <= at->second.size();) {
    std::size_t comma = std::min(at->second.find(',', from), at->second.size());
    std::string one = at->second.substr(from, comma - from);
    if (!IpAddress::parse(one) && !Cidr::parse(one))
      return fail(Error::invalid(kIps, "\"" + one + "\" is no IP address"));
    out.push_back(std::move(one));
    from = comma + 1;
  }
  return out;
}

Result<std::string> cni_args(const Attachment& a) {
  std::string out = "IgnoreUnknown=1";
  const std::pair<const char*, const std::string*> parts[] = {{"K8S_POD_NAMESPACE", &a.pod.name_space},
                                                              {"K8S_POD_NAME", &a.pod.name},
                                                              {"K8S_POD_INFRA_CONTAINER_ID", &a.container_id},
                                                              {"K8S_POD_UID", &a.pod.uid}};
  for (const auto& [key, value] : parts) {
    if (value->find_first_of(";=") != std::string::npos)
      return fail(Error::invalid(key, "\"" + *value + "\" must not hold ';' or '='"));
    out += std::string(";") + key + "=" + *value;
  }
  if (a.drops_netns) out += ";podshim.dev/drops-netns=1";
  return out;
}

}  // namespace podshim::cni
