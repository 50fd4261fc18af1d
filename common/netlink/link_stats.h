// Counters of links (IFLA_STATS64), all of a network namespace in one dump, decoded for nothing but name, kind and
// counters. rtnetlink(7), include/uapi/linux/if_link.h (rtnl_link_stats64). Needs no privilege.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/netlink/socket.h"

namespace podshim::netlink {

struct LinkStats {
  int index = 0;
  std::string name, kind;  // kind: "veth", "" for a device
  bool loopback = false;
  std::uint64_t rx_bytes = 0, rx_packets = 0, rx_errors = 0, rx_dropped = 0;
  std::uint64_t tx_bytes = 0, tx_packets = 0, tx_errors = 0, tx_dropped = 0;
  bool operator==(const LinkStats&) const = default;
};

Result<std::vector<LinkStats>> list_link_stats(Socket& socket);

std::optional<LinkStats> parse_link_stats(const Message& message);

}  // namespace podshim::netlink
