#include "cni/bridge/plan.h"

#include <algorithm>

#include "cni/rules/ruleset.h"
#include "cni/skel/hash.h"

namespace podshim::cni::bridge {
namespace {

using netlink::Mac;

Mac hashed_mac(std::uint8_t first, std::string_view text) {
  std::uint64_t h = stable_hash(text);
  Mac out{.bytes = {first}};
  for (int i = 1; i < 6; i++) out.bytes[i] = static_cast<std::uint8_t>(h >> (8 * i));
  return out;
}

Cidr default_route(Family family) {
  static constexpr std::uint8_t kZero[16] = {};
  return {.address = IpAddress::from_bytes(family, kZero), .prefix = 0};
}

// Gateways of the addresses, and a default route of each family where the configuration asks for one.
void complete_gateways(const NetConf& conf, AddResult& result) {
  for (auto& ip : result.ips) {
    if (!ip.gateway && conf.is_gateway) ip.gateway = ip.address.network().plus(1);
    ip.interface = 2;
    if (!conf.is_default_gateway || !ip.gateway) continue;
    auto wanted = default_route(ip.gateway->family());
    bool there = std::any_of(result.routes.begin(), result.routes.end(), [&](const RouteConfig& r) {
      return r.dst.prefix == 0 && r.dst.address.family() == wanted.address.family();
    });
    if (!there) result.routes.push_back({.dst = wanted, .gw = ip.gateway});
  }
}

std::optional<IpAddress> gateway_for(const AddResult& result, Family family) {
  for (const auto& ip : result.ips)
    if (ip.gateway && ip.gateway->family() == family) return ip.gateway;
  return std::nullopt;
}

std::vector<netlink::Route> pod_routes(const AddResult& result) {
  std::vector<netlink::Route> out;
  for (const auto& r : result.routes) {
    auto gateway = r.gw ? r.gw : gateway_for(result, r.dst.address.family());
    out.push_back({.destination = r.dst,
                   .gateway = gateway,
                   .mtu = r.mtu,
                   .advmss = r.advmss,
                   .priority = r.priority,
                   .table = r.table.value_or(0),
                   .scope = r.scope});
  }
  return out;
}

Result<> plan_bridge_address(const NetConf& conf, const Facts& facts, const Cidr& gateway, AddPlan& plan) {
  for (const auto& present : facts.bridge_addresses) {
    if (present.cidr == gateway) return {};
    if (present.link_scope || present.cidr.address.family() != gateway.address.family()) continue;
    // IPv6 may have several subnets on one bridge; IPv4 has one, and overlapping ones cannot both be meant.
    if (!gateway.address.is_v4() && !present.cidr.overlaps(gateway)) continue;
    if (!conf.force_address)
      return fail(
          Error::of(ErrorKind::already_exists, "bridge address", conf.bridge,
                    "has " + present.cidr.str() + " already, not " + gateway.str() + "; forceAddress replaces it"));
    plan.wrong_addresses.push_back(present.cidr);
  }
  if (std::find(plan.gateways.begin(), plan.gateways.end(), gateway) == plan.gateways.end())
    plan.gateways.push_back(gateway);
  return {};
}

// Made for the first Pod; a later one only adds what is missing.
void plan_bridge(const NetConf& conf, const Facts& facts, AddPlan& plan) {
  plan.bridge = conf.bridge;
  plan.create = !facts.bridge;
  if (facts.bridge) plan.bridge_index = facts.bridge->index;
  // Only where the node routes for the Pods: a bridge of layer 2 alone is not pushed through the IP hooks.
  plan.bridge_nf_call = conf.is_gateway && facts.bridge_netfilter && (!facts.bridge || !facts.bridge->nf_call);
  plan.bridge_up = !facts.bridge || !facts.bridge->up;
  plan.bridge_promisc = conf.promisc && (!facts.bridge || !facts.bridge->promisc);
  auto gateway = gateway_for(plan.result, Family::v4);
  if (!gateway) gateway = gateway_for(plan.result, Family::v6);
  plan.bridge_mac = facts.bridge ? facts.bridge->mac : gateway ? mac_for(*gateway) : hashed_mac(0x0a, conf.bridge);
  std::uint32_t usual = facts.uplink_mtu != 0 ? facts.uplink_mtu : 1500;
  plan.bridge_mtu = conf.mtu != 0 ? conf.mtu : usual;
  plan.mtu = conf.mtu != 0 ? conf.mtu : facts.bridge ? facts.bridge->mtu : usual;
  if (plan.create && facts.ipv6) {
    plan.bridge_sysctls = {{conf_path("ipv6", conf.bridge, "accept_ra"), "0"},
                           {conf_path("ipv6", conf.bridge, "accept_dad"), "0"}};
  }
}

void plan_node(const NetConf& conf, bool routed, AddPlan& plan) {
  bool v4 = gateway_for(plan.result, Family::v4).has_value();
  bool v6 = gateway_for(plan.result, Family::v6).has_value();
  if (conf.ip_masq)
    for (const auto& ip : plan.result.ips) plan.masquerade.push_back({ip.address.network(), ip.address.prefix});
  plan.rules = conf.is_gateway || !plan.masquerade.empty();
  if (!conf.is_gateway) return;
  if (v4) {
    plan.sysctls.push_back({"net/ipv4/ip_forward", "1"});
    // Somebody may have turned it off for new links (conf/default): the bridge says it for itself.
    plan.sysctls.push_back({conf_path("ipv4", conf.bridge, "forwarding"), "1"});
    plan.sysctls.push_back({conf_path("ipv4", conf.bridge, "route_localnet"), "1"});
  }
  if (v6) plan.sysctls.push_back({"net/ipv6/conf/all/forwarding", "1"});
  if (!routed) return;
  // An answer for another is held back for up to 0.8 s unless proxy_delay is 0 (ip-sysctl).
  if (v4) {
    plan.sysctls.push_back({conf_path("ipv4", conf.bridge, "proxy_arp_pvlan"), "1"});
    plan.sysctls.push_back({"net/ipv4/neigh/" + conf.bridge + "/proxy_delay", "0"});
    plan.sysctls.push_back({conf_path("ipv4", conf.bridge, "send_redirects"), "0"});
  }
  if (v6) {
    plan.sysctls.push_back({conf_path("ipv6", conf.bridge, "proxy_ndp"), "1"});
    plan.sysctls.push_back({"net/ipv6/neigh/" + conf.bridge + "/proxy_delay", "0"});
  }
}

void plan_veth(const NetConf& conf, const Request& request, const Facts& facts, bool routed, AddPlan& plan) {
  const auto& a = request.attachment;
  plan.host_name = host_veth_name(a);
  plan.host_mac = hashed_mac(0xfe, a.str());  // high, so that a bridge without a pinned MAC does not take it
  plan.alias = rules::owner_comment(conf.network, a);
  plan.pod_name = a.ifname;
  plan.hairpin = conf.hairpin;
  plan.isolated = conf.port_isolation || routed;
  const auto& ips = plan.result.ips;
  auto first = std::find_if(ips.begin(), ips.end(), [](const IpConfig& ip) { return ip.address.address.is_v4(); });
  if (first == ips.end()) first = ips.begin();
  plan.pod_mac = conf.mac             ? *conf.mac
                 : first != ips.end() ? mac_for(first->address.address)
                                      : hashed_mac(0x0a, a.str());
  for (const auto& ip : ips) {
    plan.addresses.push_back(ip.address);
    plan.neighbours.push_back(ip.address.address);
    if (routed && !ip.address.address.is_v4()) plan.proxied.push_back(ip.address.address);
  }
  plan.routes = pod_routes(plan.result);
  plan.pod_sysctls = {{conf_path("ipv4", a.ifname, "arp_notify"), "1"}};
  if (!facts.ipv6) return;
  plan.pod_sysctls.push_back({conf_path("ipv6", a.ifname, "accept_dad"), "0"});
  plan.pod_sysctls.push_back({conf_path("ipv6", a.ifname, "ndisc_notify"), "1"});
  // IPv6 has no switch for sending redirects; one that names the other Pod's MAC would lead into the isolated port.
  if (routed) plan.pod_sysctls.push_back({conf_path("ipv6", a.ifname, "accept_redirects"), "0"});
}

}  // namespace

std::string conf_path(const char* family, const std::string& link, const char* key) {
  return std::string("net/") + family + "/conf/" + link + "/" + key;
}

std::string host_veth_name(const Attachment& a) { return "veth" + hex(stable_hash(a.str()), 11); }

Mac mac_for(const IpAddress& ip) {
  if (!ip.is_v4()) return hashed_mac(0x0a, ip.str());
  auto b = ip.bytes();
  return {.bytes = {0x0a, 0x58, b[0], b[1], b[2], b[3]}};
}

Result<AddPlan> plan_add(const NetConf& conf, const Request& request, const Facts& facts, const AddResult& ipam) {
  AddPlan plan{.network = conf.network};
  plan.result = ipam;
  plan.result.interfaces.clear();
  complete_gateways(conf, plan.result);
  bool routed = !facts.bridge_netfilter && conf.is_gateway && !conf.port_isolation;
  plan_bridge(conf, facts, plan);
  if (conf.is_gateway) {
    for (const auto& ip : plan.result.ips)
      TRY(plan_bridge_address(conf, facts, {.address = *ip.gateway, .prefix = ip.address.prefix}, plan));
  }
  plan_node(conf, routed, plan);
  plan_veth(conf, request, facts, routed, plan);
  if (!conf.dns.empty()) plan.result.dns = conf.dns;
  plan.result.interfaces = {
      {.name = plan.bridge, .mac = plan.bridge_mac.str(), .mtu = facts.bridge ? facts.bridge->mtu : plan.bridge_mtu},
      {.name = plan.host_name, .mac = plan.host_mac.str(), .mtu = plan.mtu},
      {.name = plan.pod_name, .mac = plan.pod_mac.str(), .mtu = plan.mtu, .sandbox = request.netns}};
  return plan;
}

}  // namespace podshim::cni::bridge
