#include "common/netlink/route.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace podshim::netlink {
namespace {

std::uint8_t family_of(const IpAddress& ip) { return ip.is_v4() ? AF_INET : AF_INET6; }

ndmsg neighbour_header(const Neighbour& n) {
  ndmsg h{};
  h.ndm_family = family_of(n.address);
  h.ndm_ifindex = n.link;
  h.ndm_state = n.proxy ? 0 : NUD_STALE;
  h.ndm_flags = n.proxy ? NTF_PROXY : 0;
  return h;
}

std::optional<IpAddress> address_in(const Attributes& a, std::uint16_t type, Family family) {
  auto bytes = a.find(type);
  if (!bytes || bytes->size() < (family == Family::v4 ? 4U : 16U)) return std::nullopt;
  return IpAddress::from_bytes(family, *bytes);
}

}  // namespace

void add_route(Batch& b, const Route& r, const std::string& link_name) {
  rtmsg h{};
  h.rtm_family = family_of(r.destination.address);
  h.rtm_dst_len = static_cast<std::uint8_t>(r.destination.prefix);
  std::uint32_t table = r.table == 0 ? static_cast<std::uint32_t>(RT_TABLE_MAIN) : r.table;
  h.rtm_table = table < 256 ? static_cast<std::uint8_t>(table) : 0;  // RTA_TABLE has it then
  h.rtm_protocol = RTPROT_BOOT;
  h.rtm_scope = r.scope.value_or(r.gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK);
  h.rtm_type = RTN_UNICAST;
  b.begin("add route", r.destination.str(), r.gateway ? r.gateway->str() : link_name, RTM_NEWROUTE,
          NLM_F_CREATE | NLM_F_EXCL, h);
  if (r.destination.prefix != 0) b.put(RTA_DST, r.destination.network().bytes());
  if (r.gateway) b.put(RTA_GATEWAY, r.gateway->bytes());
  b.put_u32(RTA_OIF, static_cast<std::uint32_t>(r.link));
  if (r.priority != 0) b.put_u32(RTA_PRIORITY, r.priority);
  if (r.table >= 256) b.put_u32(RTA_TABLE, r.table);
  if (r.mtu != 0 || r.advmss != 0) {
    b.nest(RTA_METRICS, [&] {
      if (r.mtu != 0) b.put_u32(RTAX_MTU, r.mtu);
      if (r.advmss != 0) b.put_u32(RTAX_ADVMSS, r.advmss);
    });
  }
}

std::optional<Route> parse_route(const Message& m) {
  auto h = m.header<rtmsg>();
  if (m.type != RTM_NEWROUTE || !h || h->rtm_type != RTN_UNICAST) return std::nullopt;
  if (h->rtm_family != AF_INET && h->rtm_family != AF_INET6) return std::nullopt;
  auto family = h->rtm_family == AF_INET ? Family::v4 : Family::v6;
  if (h->rtm_dst_len > (family == Family::v4 ? 32 : 128)) return std::nullopt;
  auto a = m.attributes<rtmsg>();
  Route out;
  static constexpr std::uint8_t kZero[16] = {};
  out.destination = {.address = address_in(a, RTA_DST, family).value_or(IpAddress::from_bytes(family, kZero)),
                     .prefix = h->rtm_dst_len};
  out.gateway = address_in(a, RTA_GATEWAY, family);
  out.link = static_cast<int>(a.u32(RTA_OIF).value_or(0));
  out.priority = a.u32(RTA_PRIORITY).value_or(0);
  out.table = a.u32(RTA_TABLE).value_or(h->rtm_table);
  out.scope = h->rtm_scope;
  auto metrics = a.nested(RTA_METRICS);
  out.mtu = metrics.u32(RTAX_MTU).value_or(0);
  out.advmss = metrics.u32(RTAX_ADVMSS).value_or(0);
  return out;
}

Result<std::vector<Route>> list_routes(Socket& socket, Family family) {
  Batch b;
  rtmsg h{};
  h.rtm_family = family == Family::v4 ? AF_INET : AF_INET6;
  b.begin("list routes", family == Family::v4 ? "IPv4" : "IPv6", {}, RTM_GETROUTE, 0, h);
  std::vector<Route> out;
  TRY(socket.dump(b, [&](const Message& m) {
    auto route = parse_route(m);
    if (route && route->table != RT_TABLE_LOCAL) out.push_back(*std::move(route));
  }));
  return out;
}

void replace_neighbour(Batch& b, const Neighbour& n, const std::string& link_name) {
  b.begin("set neighbour", n.address.str(), link_name, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, neighbour_header(n));
  b.put(NDA_DST, n.address.bytes());
  if (!n.proxy) b.put(NDA_LLADDR, n.mac.bytes);
}

void delete_neighbour(Batch& b, const Neighbour& n, const std::string& link_name) {
  b.begin("delete neighbour", n.address.str(), link_name, RTM_DELNEIGH, 0, neighbour_header(n));
  b.put(NDA_DST, n.address.bytes());
}

}  // namespace podshim::netlink
