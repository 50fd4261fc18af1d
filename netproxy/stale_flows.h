// Which UDP flows go where no Service sends them any more. A flow keeps its backend for as long as packets come,
// whatever the table says: only flows of a front that changed are looked at, and each is compared with what that front
// allows now. Pure; any thread.
#pragma once

#include <map>

#include "common/netlink/conntrack.h"
#include "netproxy/affinity.h"
#include "netproxy/layout.h"

namespace podshim::netproxy {

struct UdpFront {
  std::optional<IpAddress> vip;  // none: a node port, on the local addresses where they are served
  Family family = Family::v4;
  int port = 0;
  std::vector<Backend> allowed;
  std::optional<std::vector<Backend>> outside;  // what clients from outside may reach, when it is something else
  bool removed = false;                         // the front itself is gone: only what it translated is stale
};

// The UDP fronts of a Service as it stood and as it stands whose flows need a look: an endpoint left, or the front came
// or went. `came` is set when there is a new one: then flows that nobody translated matter too.
std::vector<UdpFront> changed_fronts(const ServiceModel& applied, const ServiceModel& desired, bool* came);
std::vector<UdpFront> all_fronts(const ServiceModel& model);

class StaleFlows {
 public:
  // `sources` tells who is a Pod, this node, or from outside. `services`: a translated flow to this range that is no
  // front's is stale (at start: Services deleted while nobody watched). Where `layout` serves no node ports, a flow
  // that was translated to an endpoint of one is stale; any other there is somebody else's.
  StaleFlows(const std::vector<UdpFront>& fronts, Sources sources, std::optional<Cidr> services,
             LayoutFacts layout = {});
  bool operator()(const netlink::Flow& flow) const;

 private:
  std::map<std::pair<IpAddress, int>, const UdpFront*> by_vip_;
  std::map<std::pair<Family, int>, const UdpFront*> by_node_port_;
  Sources sources_;
  std::optional<Cidr> services_;
  LayoutFacts layout_;
};

}  // namespace podshim::netproxy
