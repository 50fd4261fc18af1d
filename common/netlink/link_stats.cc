#include "common/netlink/link_stats.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace podshim::netlink {

std::optional<LinkStats> parse_link_stats(const Message& m) {
  auto h = m.header<ifinfomsg>();
  if (m.type != RTM_NEWLINK || !h) return std::nullopt;
  LinkStats out{.index = h->ifi_index, .loopback = (h->ifi_flags & IFF_LOOPBACK) != 0};
  m.attributes<ifinfomsg>().each([&](const Attribute& a) {
    if (a.type == IFLA_IFNAME) {
      const auto* text = reinterpret_cast<const char*>(a.payload.data());
      out.name.assign(text, ::strnlen(text, a.payload.size()));
    }
    if (a.type == IFLA_LINKINFO) out.kind = Attributes(a.payload).string(IFLA_INFO_KIND);
    // Newer kernels append fields: what is there is taken.
    rtnl_link_stats64 s{};
    if (a.type != IFLA_STATS64) return;
    std::memcpy(&s, a.payload.data(), std::min(sizeof s, a.payload.size()));
    out.rx_bytes = s.rx_bytes;
    out.rx_packets = s.rx_packets;
    out.rx_errors = s.rx_errors;
    out.rx_dropped = s.rx_dropped;
    out.tx_bytes = s.tx_bytes;
    out.tx_packets = s.tx_packets;
    out.tx_errors = s.tx_errors;
    out.tx_dropped = s.tx_dropped;
  });
  return out;
}

Result<std::vector<LinkStats>> list_link_stats(Socket& socket) {
  Batch b;
  ifinfomsg all{};
  all.ifi_family = AF_UNSPEC;
  b.begin("list link counters", "", {}, RTM_GETLINK, 0, all);
  std::vector<LinkStats> out;
  TRY(socket.dump(b, [&](const Message& m) {
    if (auto link = parse_link_stats(m)) out.push_back(*std::move(link));
  }));
  return out;
}

}  // namespace podshim::netlink
