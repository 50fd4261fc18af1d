// What the node looks like when a plan is made. Gathered once a call, in gather(); a bridge that is missing is no
// error.
#pragma once

#include <optional>
#include <vector>

#include "cni/bridge/netconf.h"
#include "common/netlink/address.h"
#include "common/netlink/link.h"

namespace podshim::cni::bridge {

struct Facts {
  std::optional<netlink::Link> bridge;
  std::vector<netlink::LinkAddress> bridge_addresses;
  std::uint32_t uplink_mtu = 0;   // of the default route's link; 0 = no default route, or the bridge exists
  bool bridge_netfilter = false;  // br_netfilter is there: bridged frames can pass the IP hooks
  bool ipv6 = false;
};

Result<Facts> gather(netlink::Socket& socket, const NetConf& conf);

}  // namespace podshim::cni::bridge
