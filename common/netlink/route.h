// Routes and neighbour entries, over rtnetlink. Functions with a Batch add one message. A Route without destination is
// the default route of its gateway's family.
#pragma once

#include <optional>
#include <vector>

#include "common/ip.h"
#include "common/netlink/mac.h"
#include "common/netlink/socket.h"

namespace podshim::netlink {

struct Route {
  Cidr destination;  // 0.0.0.0/0 or ::/0 for the default route
  std::optional<IpAddress> gateway;
  int link = 0;
  std::uint32_t mtu = 0;
  std::uint32_t advmss = 0;
  std::uint32_t priority = 0;
  std::uint32_t table = 0;            // 0 = main
  std::optional<std::uint8_t> scope;  // as in rtnetlink(7); unset = link without gateway, universe with one
  bool operator==(const Route&) const = default;
};

void add_route(Batch& batch, const Route& route, const std::string& link_name);
Result<std::vector<Route>> list_routes(Socket& socket, Family family);  // unicast, of the main and numbered tables
std::optional<Route> parse_route(const Message& message);

struct Neighbour {
  int link = 0;
  IpAddress address;
  Mac mac;             // not for proxies
  bool proxy = false;  // the link answers for this address (neighbour discovery proxy)
};

// STALE: used at once, confirmed by the kernel on the way. Replaces what was there.
void replace_neighbour(Batch& batch, const Neighbour& neighbour, const std::string& link_name);
void delete_neighbour(Batch& batch, const Neighbour& neighbour, const std::string& link_name);

}  // namespace podshim::netlink
