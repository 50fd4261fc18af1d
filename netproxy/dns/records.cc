#include "netproxy/dns/records.h"

#include <algorithm>
#include <map>
#include <memory>

#include "netproxy/dns/ldns.h"

namespace podshim::netproxy::dns {
namespace {

bool has(const std::vector<Port>& ports, kube::Protocol protocol, std::string_view name) {
  return std::ranges::any_of(ports, [&](const Port& p) { return p.protocol == protocol && p.name == name; });
}

// Every port list of a headless Service is looked at: slices of one Service may differ in theirs.
template <typename Test>
bool any_ports(const ServiceRecords& r, Test test) {
  return test(r.ports) || std::ranges::any_of(r.endpoints, [&](const Endpoint& e) { return test(e.ports); });
}

void add_port(std::vector<Port>& to, const std::string& name, kube::Protocol protocol, int port) {
  if (name.empty() || has(to, protocol, name)) return;
  to.push_back({.name = name, .protocol = protocol, .port = static_cast<std::uint16_t>(port)});
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  return text;
}

void add_endpoints(const kube::EndpointSlice& slice, bool publish_not_ready, std::map<std::string, Endpoint>& out) {
  for (const auto& e : slice.endpoints) {
    if (!e.ready && !publish_not_ready) continue;
    for (const auto& address : e.addresses) {
      auto name = lower(e.hostname);
      if (!kube::is_dns_label(name)) name = dashed(address);
      auto& entry = out[name];
      entry.name = name;
      if (std::ranges::find(entry.addresses, address) == entry.addresses.end()) entry.addresses.push_back(address);
      for (const auto& p : slice.ports) add_port(entry.ports, p.name, p.protocol, p.port);
    }
  }
}

}  // namespace

const Endpoint* ServiceRecords::endpoint(std::string_view name) const {
  auto it = std::ranges::lower_bound(endpoints, name, {}, [](const Endpoint& e) { return std::string_view(e.name); });
  return it != endpoints.end() && it->name == name ? &*it : nullptr;
}

bool ServiceRecords::has_protocol(kube::Protocol protocol) const {
  return any_ports(*this,
                   [&](const auto& list) { return std::ranges::find(list, protocol, &Port::protocol) != list.end(); });
}

bool ServiceRecords::has_port(kube::Protocol protocol, std::string_view name) const {
  return any_ports(*this, [&](const auto& list) { return has(list, protocol, name); });
}

ServiceRecords records_of(const kube::Service& service, const std::vector<const kube::EndpointSlice*>& slices) {
  ServiceRecords out;
  if (service.type == kube::ServiceType::external_name) {
    out.external_name = wire_name(service.external_name).value_or("");
    return out;
  }
  out.headless = service.headless;
  if (!service.headless) {
    out.addresses = service.cluster_ips;
    for (const auto& p : service.ports) add_port(out.ports, p.name, p.protocol, p.port);
    return out;
  }
  std::map<std::string, Endpoint> endpoints;
  for (const auto* slice : slices) add_endpoints(*slice, service.publish_not_ready, endpoints);
  for (auto& [name, endpoint] : endpoints) out.endpoints.push_back(std::move(endpoint));
  return out;
}

std::string dashed(const IpAddress& address) {
  auto out = address.str();
  std::ranges::replace(out, address.is_v4() ? '.' : ':', '-');
  // A label neither begins nor ends with a dash: ::1 is 0--1.
  if (out.starts_with('-')) out.insert(0, "0");
  if (out.ends_with('-')) out += '0';
  return out;
}

std::optional<IpAddress> undashed(std::string_view label) {
  for (char separator : {'.', ':'}) {
    std::string text(label);
    std::ranges::replace(text, '-', separator);
    if (auto ip = IpAddress::parse(text); ip && (ip->is_v4() == (separator == '.'))) return *ip;
  }
  return std::nullopt;
}

std::optional<std::string> wire_name(const std::string& text) {
  if (text.empty() || text.find('\0') != std::string::npos) return std::nullopt;
  std::unique_ptr<ldns_rdf, decltype(&ldns_rdf_deep_free)> name(ldns_dname_new_frm_str(text.c_str()),
                                                                &ldns_rdf_deep_free);
  if (!name) return std::nullopt;
  ldns_dname2canonical(name.get());
  return std::string(reinterpret_cast<const char*>(ldns_rdf_data(name.get())), ldns_rdf_size(name.get()));
}

}  // namespace podshim::netproxy::dns
