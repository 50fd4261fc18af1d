#include "netproxy/conntrack.h"

#include "netproxy/node_addresses.h"

namespace podshim::netproxy {
namespace {

constexpr std::uint8_t kUdp = 17;

}  // namespace

Result<Conntrack> Conntrack::open() { return Conntrack(TRY(netlink::Socket::open(netlink::Protocol::netfilter))); }

Result<> Conntrack::drop_stale(const StaleFlows& stale, Family family, bool dnat, FlowResult& out) {
  auto flows = TRY(netlink::list_flows(socket_, family, kUdp, dnat));
  out.seen += flows.size();
  for (const auto& flow : flows) {
    if (!stale(flow)) continue;
    TRY(netlink::delete_flow(socket_, flow));
    out.dropped++;
  }
  return {};
}

Result<FlowResult> Conntrack::drop_stale(const FlowCheck& check, const std::vector<Family>& families) {
  FlowResult out;
  if (check.empty()) return out;
  StaleFlows stale(check.fronts, {.pods = check.layout.local_pods, .node = TRY(node_addresses())}, check.services,
                   check.layout);
  for (auto family : families) TRY(drop_stale(stale, family, !check.untranslated, out));
  return out;
}

}  // namespace podshim::netproxy
