#include "cni/bridge/facts.h"

#include "common/netlink/route.h"
#include "common/sys/file.h"

namespace podshim::cni::bridge {
namespace {

// The least metric wins, as in the kernel's own choice.
Result<std::uint32_t> mtu_of_default_route(netlink::Socket& socket) {
  for (auto family : {Family::v4, Family::v6}) {
    auto routes = TRY(netlink::list_routes(socket, family));
    const netlink::Route* best = nullptr;
    for (const auto& r : routes)
      if (r.destination.prefix == 0 && r.link != 0 && (best == nullptr || r.priority < best->priority)) best = &r;
    if (best == nullptr) continue;
    auto link = TRY(netlink::get_link(socket, best->link));
    return link.mtu;
  }
  return 0U;
}

}  // namespace

Result<Facts> gather(netlink::Socket& socket, const NetConf& conf) {
  Facts out;
  auto bridge = netlink::get_link(socket, conf.bridge);
  if (bridge) {
    if (bridge->kind != "bridge")
      return fail(Error::of(ErrorKind::invalid_argument, "invalid", "bridge",
                            "\"" + conf.bridge + "\" exists and is no bridge"));
    out.bridge_addresses = TRY(netlink::list_addresses(socket, bridge->index));
    out.bridge = *std::move(bridge);
  } else if (!bridge.error().is(ENODEV)) {
    return fail(std::move(bridge).error());
  } else if (conf.mtu == 0) {
    out.uplink_mtu = TRY(mtu_of_default_route(socket));
  }
  out.bridge_netfilter = sys::exists("/proc/sys/net/bridge/bridge-nf-call-iptables");
  out.ipv6 = sys::exists("/proc/sys/net/ipv6");
  return out;
}

}  // namespace podshim::cni::bridge
