#include "cni/portmap/plan.h"

#include "cni/rules/ruleset.h"

namespace podshim::cni::portmap {
namespace {

std::string at(const IpAddress& ip, std::uint16_t port) {
  return (ip.is_v4() ? ip.str() : "[" + ip.str() + "]") + ":" + std::to_string(port);
}

// The first address of a family on the Pod's own interface.
std::optional<IpAddress> pod_address(const AddResult& prev, const std::string& ifname, Family family) {
  for (const auto& ip : prev.ips) {
    if (ip.address.address.family() != family) continue;
    if (ip.interface && static_cast<std::size_t>(*ip.interface) < prev.interfaces.size()) {
      const auto& i = prev.interfaces[static_cast<std::size_t>(*ip.interface)];
      if (i.name != ifname || i.sandbox.empty()) continue;
    }
    return ip.address.address;
  }
  return std::nullopt;
}

std::size_t padded(Family family) { return family == Family::v4 ? 4 : 16; }
std::uint16_t be16_at(netlink::Bytes b, std::size_t at) { return static_cast<std::uint16_t>(b[at] << 8 | b[at + 1]); }

}  // namespace

std::string HostPort::set() const { return host_ip ? rules::host_ip_ports(family) : rules::host_ports(family); }

std::string HostPort::str() const {
  std::string from = host_ip ? at(*host_ip, host_port) : std::to_string(host_port);
  return std::string(name_of(protocol)) + " " + from + " -> " + at(target, target_port);
}

nft::Element to_element(const HostPort& p, const std::string& comment) {
  nft::Fields key;
  if (p.host_ip) key.bytes(p.host_ip->bytes());
  key.u8(static_cast<std::uint8_t>(p.protocol)).be16(p.host_port);
  return nft::element(key, nft::Fields().bytes(p.target.bytes()).be16(p.target_port), comment);
}

std::optional<HostPort> from_element(const nft::Element& e, Family family, bool single_address) {
  std::size_t address = padded(family);
  std::size_t skip = single_address ? address : 0;
  if (e.key.size() < skip + 8 || e.data.size() < address + 4) return std::nullopt;
  HostPort out{.family = family};
  netlink::Bytes key = e.key;
  netlink::Bytes data = e.data;
  if (single_address) out.host_ip = IpAddress::from_bytes(family, key);
  out.protocol = static_cast<Protocol>(key[skip]);
  out.host_port = be16_at(key, skip + 4);
  out.target = IpAddress::from_bytes(family, data);
  out.target_port = be16_at(data, address);
  return out;
}

Result<Plan> plan_add(const NetConf& conf, const Attachment& attachment, const AddResult& prev) {
  Plan out{.comment = rules::owner_comment(conf.network, attachment)};
  for (auto family : {Family::v4, Family::v6}) {
    auto target = pod_address(prev, attachment.ifname, family);
    bool used = false;
    for (std::size_t i = 0; i < conf.mappings.size(); i++) {
      const auto& m = conf.mappings[i];
      if (m.host_ip && m.host_ip->family() != family) continue;
      if (!target && m.host_ip)
        return fail(Error::invalid("runtimeConfig.portMappings[" + std::to_string(i) + "].hostIP",
                                   m.host_ip->str() + " is of a family of which the Pod has no address"));
      if (!target) continue;
      HostPort p{.protocol = m.protocol, .family = family, .host_port = m.host_port};
      if (m.host_ip && !m.host_ip->is_unspecified()) p.host_ip = m.host_ip;
      p.target = *target;
      p.target_port = m.container_port;
      out.ports.push_back(p);
      used = true;
    }
    if (used && conf.snat) out.hairpins.push_back(*target);
  }
  if (out.ports.empty() && !conf.mappings.empty())
    return fail(Error::invalid("prevResult.ips", "has no address on " + attachment.ifname));
  if (conf.snat && !out.ports.empty() && out.ports.front().family == Family::v4)
    for (const auto& i : prev.interfaces)
      if (i.sandbox.empty() && out.loopback_link.empty()) out.loopback_link = i.name;
  return out;
}

std::string print(const Plan& p) {
  std::string out;
  for (const auto& port : p.ports) out += "map " + port.set() + ": " + port.str() + " for " + p.comment + "\n";
  for (const auto& ip : p.hairpins) out += "set " + rules::hairpins(ip.family()) + ": " + ip.str() + "\n";
  if (!p.loopback_link.empty()) out += "sysctl net/ipv4/conf/" + p.loopback_link + "/route_localnet = 1\n";
  return out;
}

}  // namespace podshim::cni::portmap
