#include "netproxy/conntrack.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <memory>

namespace podshim::netproxy {
namespace {

constexpr std::uint8_t kUdp = 17;

Result<std::vector<IpAddress>> local_addresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return fail(Error::sys("getifaddrs", "this node"));
  std::unique_ptr<ifaddrs, decltype([](ifaddrs* l) { ::freeifaddrs(l); })> owner(list);
  std::vector<IpAddress> out;
  for (auto* i = list; i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr == nullptr) continue;
    if (i->ifa_addr->sa_family == AF_INET) {
      const auto* a = reinterpret_cast<const sockaddr_in*>(i->ifa_addr);
      out.push_back(IpAddress::from_bytes(Family::v4, {reinterpret_cast<const std::uint8_t*>(&a->sin_addr), 4}));
    } else if (i->ifa_addr->sa_family == AF_INET6) {
      const auto* a = reinterpret_cast<const sockaddr_in6*>(i->ifa_addr);
      out.push_back(IpAddress::from_bytes(Family::v6, {reinterpret_cast<const std::uint8_t*>(&a->sin6_addr), 16}));
    }
  }
  return out;
}

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
  std::vector<IpAddress> local;
  if (std::ranges::any_of(check.fronts, [](const UdpFront& f) { return !f.vip; })) local = TRY(local_addresses());
  StaleFlows stale(check.fronts, std::move(local), check.services);
  for (auto family : families) TRY(drop_stale(stale, family, !check.untranslated, out));
  return out;
}

}  // namespace podshim::netproxy
