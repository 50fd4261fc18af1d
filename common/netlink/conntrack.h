// Connection tracking entries over ctnetlink: found with the kernel's own filter, deleted one by one by their exact
// tuple, so that no other flow is touched. Needs CAP_NET_ADMIN. include/uapi/linux/netfilter/nfnetlink_conntrack.h.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/ip.h"
#include "common/netlink/socket.h"

namespace podshim::netlink {

struct Tuple {
  IpAddress source;
  IpAddress destination;
  std::uint8_t protocol = 0;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  auto operator<=>(const Tuple&) const = default;
};

struct Flow {
  Tuple original;
  Tuple reply;
  std::uint32_t id = 0;
  std::uint16_t zone = 0;
  bool operator==(const Flow&) const = default;
};

// Flows whose first packet went to this port. A kernel without the filter (before 5.8) sends all: the rest is left out
// here.
Result<std::vector<Flow>> list_flows(Socket& socket, Family family, std::uint8_t protocol, std::uint16_t port);
// All flows of a protocol; `dnat` leaves out those whose destination stands as it was sent (before 5.15 the kernel
// sends these too).
Result<std::vector<Flow>> list_flows(Socket& socket, Family family, std::uint8_t protocol, bool dnat);
// "Gone already" is success.
Result<> delete_flow(Socket& socket, const Flow& flow);
std::optional<Flow> parse_flow(const Message& message);

}  // namespace podshim::netlink
