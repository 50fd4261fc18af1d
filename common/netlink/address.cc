#include "common/netlink/address.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace podshim::netlink {
namespace {

std::uint8_t family_of(const IpAddress& ip) { return ip.is_v4() ? AF_INET : AF_INET6; }

ifaddrmsg info(int index, const Cidr& cidr) {
  ifaddrmsg h{};
  h.ifa_family = family_of(cidr.address);
  h.ifa_prefixlen = static_cast<std::uint8_t>(cidr.prefix);
  h.ifa_index = static_cast<unsigned>(index);
  return h;
}

}  // namespace

void add_address(Batch& b, int index, const Cidr& cidr, const std::string& link_name, std::uint8_t protocol) {
  b.begin("add address", cidr.str(), link_name, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, info(index, cidr));
  b.put(IFA_LOCAL, cidr.address.bytes());
  b.put(IFA_ADDRESS, cidr.address.bytes());
  if (cidr.address.is_v4()) {
    if (cidr.prefix < 31) b.put(IFA_BROADCAST, cidr.last().bytes());
  } else {
    b.put_u32(IFA_FLAGS, IFA_F_NODAD);
  }
  if (protocol != 0) b.put_u8(IFA_PROTO, protocol);
}

void delete_address(Batch& b, int index, const Cidr& cidr, const std::string& link_name) {
  b.begin("delete address", cidr.str(), link_name, RTM_DELADDR, 0, info(index, cidr));
  b.put(IFA_LOCAL, cidr.address.bytes());
  b.put(IFA_ADDRESS, cidr.address.bytes());
}

std::optional<LinkAddress> parse_address(const Message& m) {
  auto h = m.header<ifaddrmsg>();
  if (m.type != RTM_NEWADDR || !h) return std::nullopt;
  if (h->ifa_family != AF_INET && h->ifa_family != AF_INET6) return std::nullopt;
  auto a = m.attributes<ifaddrmsg>();
  auto family = h->ifa_family == AF_INET ? Family::v4 : Family::v6;
  // IFA_ADDRESS is the peer's on a point-to-point link; IFA_LOCAL is then our own.
  auto bytes = a.find(IFA_LOCAL);
  if (!bytes) bytes = a.find(IFA_ADDRESS);
  std::size_t size = family == Family::v4 ? 4 : 16;
  if (!bytes || bytes->size() < size || h->ifa_prefixlen > size * 8) return std::nullopt;
  return LinkAddress{.index = static_cast<int>(h->ifa_index),
                     .cidr = {.address = IpAddress::from_bytes(family, *bytes), .prefix = h->ifa_prefixlen},
                     .link_scope = h->ifa_scope == RT_SCOPE_LINK,
                     .tentative = (a.u32(IFA_FLAGS).value_or(h->ifa_flags) & IFA_F_TENTATIVE) != 0,
                     .protocol = a.u8(IFA_PROTO).value_or(0)};
}

Result<std::vector<LinkAddress>> list_addresses(Socket& socket, int index) {
  Batch b;
  ifaddrmsg h{};
  h.ifa_index = static_cast<unsigned>(index);
  b.begin("list addresses", index == 0 ? "" : "link " + std::to_string(index), {}, RTM_GETADDR, 0, h);
  std::vector<LinkAddress> out;
  TRY(socket.dump(b, [&](const Message& m) {
    if (auto address = parse_address(m); address && (index == 0 || address->index == index)) out.push_back(*address);
  }));
  return out;
}

}  // namespace podshim::netlink
