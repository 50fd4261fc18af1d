#include "cni/loopback/verbs.h"

#include "cni/skel/pod_netns.h"
#include "common/netlink/address.h"
#include "common/netlink/link.h"

namespace podshim::cni::loopback {
namespace {

using netlink::Socket;

constexpr const char* kName = "lo";

Result<> set_link(Socket& pod, bool up) {
  netlink::Batch b;
  netlink::change_link(b, {.name = kName, .up = up});
  return pod.execute(b);
}

}  // namespace

Result<json::Value> add(const Request& request) {
  auto netns = TRY(open_pod_netns(request));
  auto pod = TRY(Socket::open_in(netns, netlink::Protocol::route));
  TRY(set_link(pod, true));
  // In a chain the result is that of the plugin before; alone it says what `lo` has.
  if (const auto* prev = request.config.find("prevResult"); prev != nullptr && !prev->is_null()) return *prev;
  auto link = TRY(netlink::get_link(pod, kName));
  AddResult out;
  out.interfaces = {{.name = kName, .mac = link.mac.str(), .sandbox = request.netns}};
  auto addresses = TRY(netlink::list_addresses(pod, link.index));
  for (const auto& a : addresses) out.ips.push_back({.address = a.cidr, .interface = 0});
  return encode(out, request.version);
}

Result<> del(const Request& request) {
  if (request.netns.empty()) return {};
  auto netns = open_pod_netns(request);
  if (!netns) return {};
  auto pod = TRY(Socket::open_in(*netns, netlink::Protocol::route));
  return set_link(pod, false);
}

Result<> check(const Request& request) {
  auto netns = TRY(open_pod_netns(request));
  auto pod = TRY(Socket::open_in(netns, netlink::Protocol::route));
  auto link = TRY(netlink::get_link(pod, kName));
  if (!link.up) return fail(Error::of(ErrorKind::failed_precondition, "check", kName, "is down"));
  return {};
}

}  // namespace podshim::cni::loopback
