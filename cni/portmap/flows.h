// UDP flows keep the way that their first packet took. When a host port comes or goes, those that would go the wrong
// way are forgotten, each by its exact tuple; which ones is decided by stale() and aimed_at(), which are pure.
#pragma once

#include "cni/portmap/plan.h"
#include "common/netlink/conntrack.h"

namespace podshim::cni::portmap {

// A flow to this host port that does not end at its target. `local` are the node's own addresses.
bool stale(const netlink::Flow& flow, const HostPort& port, const std::vector<IpAddress>& local);
// A flow through this host port to its target.
bool aimed_at(const netlink::Flow& flow, const HostPort& port);

Result<> drop_stale_flows(const std::vector<HostPort>& ports, netlink::Socket& socket);
Result<> drop_flows_to(const std::vector<HostPort>& ports, netlink::Socket& socket);

}  // namespace podshim::cni::portmap
