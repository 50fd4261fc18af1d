// Puts a Plan's elements into the table and takes an owner's out, with the UDP flows that would miss the change.
// Needs CAP_NET_ADMIN. The elements of one call are one transaction: a refused one leaves nothing.
#pragma once

#include <functional>

#include "cni/portmap/plan.h"

namespace podshim::cni::portmap {

// A port that is taken is an error naming the port and its holder.
Result<> apply(const Plan& plan, netlink::Socket& socket);

struct Held {
  HostPort port;
  std::string comment;
};
// Every host port in the table; none when there is no table.
Result<std::vector<Held>> list(netlink::Socket& socket);
Result<> remove(netlink::Socket& socket, const std::vector<Held>& ports);
// A missing or changed element is an error naming it.
Result<> verify(const Plan& plan, netlink::Socket& socket);

}  // namespace podshim::cni::portmap
