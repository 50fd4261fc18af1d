#include "netproxy/dns/lookup.h"

#include <algorithm>

#include "netproxy/dns/ldns.h"

namespace podshim::netproxy::dns {
namespace {

constexpr std::string_view kSchema = "1.1.0";  // of the Kubernetes DNS specification
constexpr Ref kLastRef = 0x3fff;               // RFC 1035 4.1.4: 14 bits

Found when(bool there) { return {.what = there ? Found::data : Found::no_data}; }

std::optional<kube::Protocol> protocol_of(std::string_view label) {
  if (label == "_tcp") return kube::Protocol::tcp;
  if (label == "_udp") return kube::Protocol::udp;
  if (label == "_sctp") return kube::Protocol::sctp;
  return std::nullopt;
}

// A name in the making. Too long a one is empty.
class WireName {
 public:
  WireName& label(std::string_view text) {
    if (text.empty() || size_ + 1 + text.size() > bytes_.size()) too_long_ = true;
    if (too_long_) return *this;
    bytes_[size_++] = static_cast<char>(text.size());
    std::ranges::copy(text, bytes_.begin() + size_);
    size_ += text.size();
    return *this;
  }
  WireName& rest(std::string_view wire) {
    if (size_ + wire.size() > bytes_.size()) too_long_ = true;
    if (too_long_) return *this;
    std::ranges::copy(wire, bytes_.begin() + size_);
    size_ += wire.size();
    return *this;
  }
  std::string_view wire() const { return too_long_ ? std::string_view() : std::string_view(bytes_.data(), size_); }

 private:
  std::array<char, kMaxName> bytes_;
  std::size_t size_ = 0;
  bool too_long_ = false;
};

}  // namespace

bool Lookup::asks(std::uint16_t type) const { return p_.type == type || p_.type == LDNS_RR_TYPE_ANY; }

bool Lookup::addresses(Section section, const std::vector<IpAddress>& list, Ref owner) {
  bool any = false;
  for (const auto& ip : list) {
    // Beside an SRV record both families are of use.
    if (section == Section::answer && !asks(ip.is_v4() ? LDNS_RR_TYPE_A : LDNS_RR_TYPE_AAAA)) continue;
    any = true;
    if (!p_.reply.address(section, owner, ip, kTtl)) break;
  }
  return any;
}

Found Lookup::in_domain(const Name& name, Ref owner) {
  std::size_t depth = name.labels() - p_.facts.domain.labels();
  if (depth == 0) return apex(owner);
  auto kind = name.label(depth - 1);
  if (kind == "svc") return below_svc(name, depth - 1, owner);
  if (kind == "pod") return below_pod(name, depth - 1, owner);
  if (kind == "dns-version" && depth == 1)
    return when(asks(LDNS_RR_TYPE_TXT) && (p_.reply.text(owner, kSchema, kTtl), true));
  if (kind == "dns" && depth == 1) return {.what = Found::no_data};
  if (kind == "dns" && depth == 2 && name.label(0) == "ns")
    return when(addresses(Section::answer, p_.facts.servers, owner));
  return {};
}

Found Lookup::apex(Ref owner) {
  bool any = false;
  if (asks(LDNS_RR_TYPE_SOA)) {
    any = true;
    p_.reply.soa(Section::answer, owner, p_.facts.primary, p_.facts.mailbox, p_.zone.serial(), kTtl);
  }
  if (asks(LDNS_RR_TYPE_NS)) {
    any = true;
    Ref target = 0;
    if (p_.reply.name(Section::answer, owner, LDNS_RR_TYPE_NS, p_.facts.primary, kTtl, &target))
      addresses(Section::additional, p_.facts.servers, target);
  }
  return when(any);
}

Found Lookup::below_pod(const Name& name, std::size_t depth, Ref owner) {
  if (depth == 0) return {.what = Found::no_data};
  if (depth > 2 || !p_.zone.has_namespace(name.label(depth - 1))) return {};
  if (depth == 1) return {.what = Found::no_data};
  auto ip = undashed(name.label(0));
  if (!ip || std::ranges::none_of(p_.facts.pods, [&](const Cidr& c) { return c.contains(*ip); })) return {};
  bool asked = asks(ip->is_v4() ? LDNS_RR_TYPE_A : LDNS_RR_TYPE_AAAA);
  if (asked) p_.reply.address(Section::answer, owner, *ip, kTtl);
  return when(asked);
}

Found Lookup::below_svc(const Name& name, std::size_t depth, Ref owner) {
  if (depth == 0) return {.what = Found::no_data};
  auto name_space = name.label(depth - 1);
  if (depth == 1) return p_.zone.has_namespace(name_space) ? when(false) : Found{};
  const auto* records = p_.zone.find(name_space, name.label(depth - 2));
  if (records == nullptr || !records->exists()) return {};
  if (depth == 2) return service(*records, owner);
  auto protocol = protocol_of(name.label(depth - 3));
  if (depth == 3) {
    if (protocol) return records->has_protocol(*protocol) ? when(false) : Found{};
    return endpoint(*records, name.label(0), owner);
  }
  if (depth == 4 && protocol) return ports(*records, name, owner);
  return {};
}

Found Lookup::service(const ServiceRecords& records, Ref owner) {
  if (!records.external_name.empty()) {
    Found out{.what = Found::alias};
    p_.reply.name(Section::answer, owner, LDNS_RR_TYPE_CNAME, records.external_name, kTtl, &out.target);
    return out;
  }
  bool any = addresses(Section::answer, records.addresses, owner);
  for (std::size_t i = 0, n = records.endpoints.size(); i < n && !p_.reply.truncated(); i++)
    any = addresses(Section::answer, records.endpoints[(p_.spin + i) % n].addresses, owner) || any;
  return when(any);
}

Found Lookup::endpoint(const ServiceRecords& records, std::string_view label, Ref owner) {
  const auto* found = records.endpoint(label);
  if (found == nullptr) return {};
  return when(addresses(Section::answer, found->addresses, owner));
}

Found Lookup::ports(const ServiceRecords& records, const Name& name, Ref owner) {
  auto label = name.label(0);
  auto protocol = protocol_of(name.label(1));
  if (!label.starts_with('_') || !records.has_port(*protocol, label.substr(1))) return {};
  if (!asks(LDNS_RR_TYPE_SRV)) return when(false);
  auto service_wire = name.wire().substr(name.suffix_offset(name.labels() - 2));
  struct Extra {
    const std::vector<IpAddress>* addresses;
    Ref target;
  };
  // The answer section must be whole before the first extra; more of them fill no datagram.
  std::array<Extra, 64> extras;
  std::size_t n_extras = 0;
  std::size_t shares = std::max<std::size_t>(records.endpoints.size(), 1);
  auto add = [&](const std::vector<Port>& list, std::string_view target, const std::vector<IpAddress>& at) {
    for (const auto& port : list) {
      if (port.protocol != *protocol || port.name != label.substr(1)) continue;
      Ref where = 0;
      auto weight = static_cast<std::uint16_t>(std::max<std::size_t>(100 / shares, 1));
      bool far = p_.reply.size() > kLastRef - kMaxName;
      if (target.empty() || !p_.reply.service(owner, weight, port.port, target, kTtl, &where)) return;
      if (n_extras < extras.size() && !far) extras[n_extras++] = {&at, where};
    }
  };
  add(records.ports, service_wire, records.addresses);
  for (std::size_t i = 0, n = records.endpoints.size(); i < n && !p_.reply.truncated(); i++) {
    const auto& e = records.endpoints[(p_.spin + i) % n];
    add(e.ports, WireName().label(e.name).rest(service_wire).wire(), e.addresses);
  }
  for (std::size_t i = 0; i < n_extras; i++) addresses(Section::additional, *extras[i].addresses, extras[i].target);
  return when(true);
}

bool Lookup::pointers(const std::vector<AddressOwner>& owners, Ref owner) {
  for (const auto& o : owners) {
    auto slash = o.key.find('/');
    std::string_view key = o.key;
    WireName name;
    if (!o.endpoint.empty()) name.label(o.endpoint);
    name.label(key.substr(slash + 1)).label(key.substr(0, slash)).label("svc").rest(p_.facts.domain_wire);
    if (name.wire().empty()) continue;
    if (!p_.reply.name(Section::answer, owner, LDNS_RR_TYPE_PTR, name.wire(), kTtl)) break;
  }
  return !owners.empty();
}

}  // namespace podshim::netproxy::dns
