#include "common/netlink/link.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

namespace podshim::netlink {
namespace {

#ifndef VETH_INFO_PEER
constexpr std::uint16_t VETH_INFO_PEER = 1;  // include/uapi/linux/veth.h
#endif
constexpr std::uint8_t kAddrGenNone = 1;   // IN6_ADDR_GEN_MODE_NONE
constexpr std::uint8_t kAddrGenEui64 = 0;  // IN6_ADDR_GEN_MODE_EUI64

ifinfomsg info(int index = 0, unsigned flags = 0, unsigned change = 0) {
  ifinfomsg h{};
  h.ifi_family = AF_UNSPEC;
  h.ifi_index = index;
  h.ifi_flags = flags;
  h.ifi_change = change;
  return h;
}

void put_mac(Batch& b, const Mac& mac) { b.put(IFLA_ADDRESS, mac.bytes); }

// Bridge ports are named by their index in reports when a caller has no name.
std::string subject_of(const LinkChange& c) { return c.name.empty() ? "link " + std::to_string(c.index) : c.name; }

const char* operation_of(const LinkChange& c) {
  if (c.master) return *c.master != 0 ? "put link into bridge" : "take link out of bridge";
  if (c.up) return *c.up ? "set link up" : "set link down";
  return "change link";
}

void put_port(Batch& b, const LinkChange& c) {
  b.nest(IFLA_LINKINFO, [&] {
    b.put_string(IFLA_INFO_SLAVE_KIND, "bridge");
    b.nest(IFLA_INFO_SLAVE_DATA, [&] {
      if (c.hairpin) b.put_u8(IFLA_BRPORT_MODE, *c.hairpin);
      if (c.isolated) b.put_u8(IFLA_BRPORT_ISOLATED, *c.isolated);
    });
  });
}

}  // namespace

void add_bridge(Batch& b, const BridgeCreate& bridge) {
  b.begin("create bridge", bridge.name, {}, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
          info(0, bridge.up ? IFF_UP : 0, IFF_UP));
  b.put_string(IFLA_IFNAME, bridge.name);
  if (bridge.mtu != 0) b.put_u32(IFLA_MTU, bridge.mtu);
  if (bridge.mac) put_mac(b, *bridge.mac);
  b.nest(IFLA_LINKINFO, [&] {
    b.put_string(IFLA_INFO_KIND, "bridge");
    b.nest(IFLA_INFO_DATA, [&] {
      if (bridge.vlan_filtering) b.put_u8(IFLA_BR_VLAN_FILTERING, 1);
      if (bridge.nf_call) {
        b.put_u8(IFLA_BR_NF_CALL_IPTABLES, 1);
        b.put_u8(IFLA_BR_NF_CALL_IP6TABLES, 1);
      }
    });
  });
}

void add_veth(Batch& b, const VethCreate& veth, const Fd& peer_netns) {
  b.begin("create veth", veth.name, veth.peer_name, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, info());
  b.put_string(IFLA_IFNAME, veth.name);
  put_mac(b, veth.mac);
  if (veth.mtu != 0) b.put_u32(IFLA_MTU, veth.mtu);
  if (veth.master != 0) b.put_u32(IFLA_MASTER, static_cast<std::uint32_t>(veth.master));
  b.nest(IFLA_LINKINFO, [&] {
    b.put_string(IFLA_INFO_KIND, "veth");
    b.nest(IFLA_INFO_DATA, [&] {
      b.nest(VETH_INFO_PEER, [&] {
        auto peer = info();
        b.put_raw({reinterpret_cast<const std::uint8_t*>(&peer), sizeof peer});
        b.put_string(IFLA_IFNAME, veth.peer_name);
        put_mac(b, veth.peer_mac);
        if (veth.mtu != 0) b.put_u32(IFLA_MTU, veth.mtu);
        b.put_u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(peer_netns.get()));
      });
    });
  });
}

void change_link(Batch& b, const LinkChange& c) {
  unsigned flags = 0;
  unsigned change = 0;
  auto flag = [&](const std::optional<bool>& wanted, unsigned bit) {
    if (!wanted) return;
    change |= bit;
    if (*wanted) flags |= bit;
  };
  flag(c.up, IFF_UP);
  flag(c.promisc, IFF_PROMISC);
  b.begin(operation_of(c), subject_of(c), {}, RTM_NEWLINK, 0, info(c.index, flags, change));
  if (c.index == 0) b.put_string(IFLA_IFNAME, c.name);
  if (c.mtu) b.put_u32(IFLA_MTU, *c.mtu);
  if (c.mac) put_mac(b, *c.mac);
  if (c.master) b.put_u32(IFLA_MASTER, static_cast<std::uint32_t>(*c.master));
  if (c.alias) b.put(IFLA_IFALIAS, {reinterpret_cast<const std::uint8_t*>(c.alias->data()), c.alias->size()});
  if (c.ipv6_link_local) {
    b.nest(IFLA_AF_SPEC, [&] {
      b.nest(AF_INET6, [&] { b.put_u8(IFLA_INET6_ADDR_GEN_MODE, *c.ipv6_link_local ? kAddrGenEui64 : kAddrGenNone); });
    });
  }
  if (c.hairpin || c.isolated) put_port(b, c);
  if (c.nf_call) {
    b.nest(IFLA_LINKINFO, [&] {
      b.put_string(IFLA_INFO_KIND, "bridge");
      b.nest(IFLA_INFO_DATA, [&] {
        b.put_u8(IFLA_BR_NF_CALL_IPTABLES, *c.nf_call);
        b.put_u8(IFLA_BR_NF_CALL_IP6TABLES, *c.nf_call);
      });
    });
  }
}

void delete_link(Batch& b, const std::string& name) {
  b.begin("delete link", name, {}, RTM_DELLINK, 0, info());
  b.put_string(IFLA_IFNAME, name);
}

std::optional<Link> parse_link(const Message& m) {
  auto h = m.header<ifinfomsg>();
  if (m.type != RTM_NEWLINK || !h) return std::nullopt;
  auto a = m.attributes<ifinfomsg>();
  Link out{.index = h->ifi_index, .name = a.string(IFLA_IFNAME), .alias = a.string(IFLA_IFALIAS)};
  out.mtu = a.u32(IFLA_MTU).value_or(0);
  out.master = static_cast<int>(a.u32(IFLA_MASTER).value_or(0));
  out.peer = static_cast<int>(a.u32(IFLA_LINK).value_or(0));
  out.up = (h->ifi_flags & IFF_UP) != 0;
  out.running = (h->ifi_flags & IFF_RUNNING) != 0;
  out.promisc = (h->ifi_flags & IFF_PROMISC) != 0;
  out.loopback = (h->ifi_flags & IFF_LOOPBACK) != 0;
  if (auto mac = a.find(IFLA_ADDRESS); mac && mac->size() == out.mac.bytes.size())
    std::copy(mac->begin(), mac->end(), out.mac.bytes.begin());
  auto kind = a.nested(IFLA_LINKINFO);
  out.kind = kind.string(IFLA_INFO_KIND);
  out.nf_call = kind.nested(IFLA_INFO_DATA).u8(IFLA_BR_NF_CALL_IPTABLES).value_or(0) != 0 && out.kind == "bridge";
  out.operstate = a.u8(IFLA_OPERSTATE).value_or(0);
  auto port = kind.nested(IFLA_INFO_SLAVE_DATA);
  out.hairpin = port.u8(IFLA_BRPORT_MODE).value_or(0) != 0;
  out.isolated = port.u8(IFLA_BRPORT_ISOLATED).value_or(0) != 0;
  return out;
}

namespace {

Result<Link> one_link(Socket& socket, Batch& request, const std::string& subject) {
  std::optional<Link> out;
  TRY(socket.query(request, [&](const Message& m) { out = parse_link(m); }));
  if (!out) return fail(Error::of(ErrorKind::internal, "parse link", subject));
  return *std::move(out);
}

}  // namespace

Result<Link> get_link(Socket& socket, const std::string& name) {
  Batch b;
  b.begin("find link", name, {}, RTM_GETLINK, 0, info());
  b.put_string(IFLA_IFNAME, name);
  return one_link(socket, b, name);
}

Result<Link> get_link(Socket& socket, int index) {
  Batch b;
  b.begin("find link", std::to_string(index), {}, RTM_GETLINK, 0, info(index));
  return one_link(socket, b, std::to_string(index));
}

Result<std::vector<Link>> list_links(Socket& socket, int master) {
  Batch b;
  b.begin("list links", "", {}, RTM_GETLINK, 0, info());
  if (master != 0) b.put_u32(IFLA_MASTER, static_cast<std::uint32_t>(master));
  std::vector<Link> out;
  TRY(socket.dump(b, [&](const Message& m) {
    // An old kernel ignores the filter.
    if (auto link = parse_link(m); link && (master == 0 || link->master == master)) out.push_back(*std::move(link));
  }));
  return out;
}

}  // namespace podshim::netlink
