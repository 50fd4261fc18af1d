#include "cni/portmap/flows.h"

#include <algorithm>

#include "common/netlink/address.h"

namespace podshim::cni::portmap {
namespace {

using netlink::Flow;
using netlink::Socket;

constexpr std::uint8_t kUdp = 17;

Result<std::vector<IpAddress>> node_addresses() {
  auto route = TRY(Socket::open(netlink::Protocol::route));
  auto all = TRY(netlink::list_addresses(route));
  std::vector<IpAddress> out;
  for (const auto& a : all) out.push_back(a.cidr.address);
  return out;
}

}  // namespace

bool aimed_at(const Flow& flow, const HostPort& port) {
  return flow.original.destination_port == port.host_port && flow.reply.source == port.target &&
         flow.reply.source_port == port.target_port;
}

bool stale(const Flow& flow, const HostPort& port, const std::vector<IpAddress>& local) {
  const auto& to = flow.original.destination;
  if (flow.original.destination_port != port.host_port || to.family() != port.family) return false;
  bool ours =
      port.host_ip ? to == *port.host_ip : to.is_loopback() || std::find(local.begin(), local.end(), to) != local.end();
  return ours && !aimed_at(flow, port);
}

Result<> drop_stale_flows(const std::vector<HostPort>& ports, Socket& socket) {
  std::vector<IpAddress> local;
  for (const auto& port : ports) {
    if (port.protocol != Protocol::udp) continue;
    auto flows = TRY(netlink::list_flows(socket, port.family, kUdp, port.host_port));
    if (!flows.empty() && local.empty()) local = TRY(node_addresses());
    for (const auto& flow : flows)
      if (stale(flow, port, local)) TRY(netlink::delete_flow(socket, flow));
  }
  return {};
}

Result<> drop_flows_to(const std::vector<HostPort>& ports, Socket& socket) {
  for (const auto& port : ports) {
    if (port.protocol != Protocol::udp) continue;
    auto flows = TRY(netlink::list_flows(socket, port.family, kUdp, port.host_port));
    for (const auto& flow : flows)
      if (aimed_at(flow, port)) TRY(netlink::delete_flow(socket, flow));
  }
  return {};
}

}  // namespace podshim::cni::portmap
