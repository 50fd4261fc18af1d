// conntrack: drops stale UDP flows (stale_flows.h), each by its exact tuple. Dumps with the kernel's filter only.
// Needs CAP_NET_ADMIN. One thread.
#pragma once

#include "common/netlink/socket.h"
#include "netproxy/stale_flows.h"

namespace podshim::netproxy {

struct FlowCheck {
  std::vector<UdpFront> fronts;
  bool untranslated = false;     // look at flows without DNAT too
  std::optional<Cidr> services;  // see StaleFlows
  LayoutFacts layout;            // its Pods, else who comes from outside; where node ports are served
  bool empty() const { return fronts.empty() && !services; }
};

struct FlowResult {
  std::size_t seen = 0, dropped = 0;
};

class Conntrack {
 public:
  static Result<Conntrack> open();
  Result<FlowResult> drop_stale(const FlowCheck& check, const std::vector<Family>& families);

 private:
  explicit Conntrack(netlink::Socket socket) : socket_(std::move(socket)) {}
  Result<> drop_stale(const StaleFlows& stale, Family family, bool dnat, FlowResult& out);
  netlink::Socket socket_;
};

}  // namespace podshim::netproxy
