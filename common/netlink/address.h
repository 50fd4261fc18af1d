// Addresses of links, over rtnetlink. Functions with a Batch add one message; EEXIST and EADDRNOTAVAIL come back from
// the socket when it is sent. IPv6 addresses are added with IFA_F_NODAD: usable at once, no duplicate address
// detection.
#pragma once

#include <vector>

#include "common/ip.h"
#include "common/netlink/socket.h"

namespace podshim::netlink {

struct LinkAddress {
  int index = 0;
  Cidr cidr;
  bool link_scope = false;  // fe80::/64
  bool tentative = false;
  std::uint8_t protocol = 0;  // who added it (IFA_PROTO, Linux 5.18); 0 = unsaid
  bool operator==(const LinkAddress&) const = default;
};

// An older kernel takes no notice of `protocol`.
void add_address(Batch& batch, int index, const Cidr& cidr, const std::string& link_name, std::uint8_t protocol = 0);
void delete_address(Batch& batch, int index, const Cidr& cidr, const std::string& link_name);
Result<std::vector<LinkAddress>> list_addresses(Socket& socket, int index = 0);  // 0 = of all links

std::optional<LinkAddress> parse_address(const Message& message);

}  // namespace podshim::netlink
