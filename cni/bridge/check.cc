#include <algorithm>

#include "cni/bridge/ipam_call.h"
#include "cni/bridge/plan.h"
#include "cni/bridge/verbs.h"
#include "cni/rules/ruleset.h"
#include "cni/skel/pod_netns.h"

namespace podshim::cni::bridge {
namespace {

using netlink::Link;
using netlink::Protocol;
using netlink::Socket;

Error wrong(const std::string& subject, std::string why) {
  return Error::of(ErrorKind::failed_precondition, "check", subject, std::move(why));
}

Result<Link> existing(Socket& socket, const std::string& name, const char* where) {
  auto link = netlink::get_link(socket, name);
  if (!link && link.error().is(ENODEV)) return fail(wrong(name, std::string("is not there, ") + where));
  return link;
}

Result<> same_mac(const Link& link, const std::string& wanted) {
  if (wanted.empty() || link.mac.str() == wanted) return {};
  return fail(wrong(link.name, "has MAC " + link.mac.str() + ", the result says " + wanted));
}

Result<> check_host(const NetConf& conf, const Request& request, const AddResult& result, Socket& node) {
  auto bridge = TRY(existing(node, conf.bridge, "on the node"));
  if (bridge.kind != "bridge") return fail(wrong(conf.bridge, "is no bridge"));
  if (!bridge.up) return fail(wrong(conf.bridge, "is down"));
  std::string name = host_veth_name(request.attachment);
  for (const auto& i : result.interfaces) {
    if (i.name == conf.bridge && i.sandbox.empty()) TRY(same_mac(bridge, i.mac));
    // A result of another plugin names the host end in its own way.
    if (i.sandbox.empty() && i.name != conf.bridge && i.name.starts_with("veth")) name = i.name;
  }
  auto port = TRY(existing(node, name, "on the node"));
  if (port.master != bridge.index) return fail(wrong(name, "is not in bridge " + conf.bridge));
  if (!port.up) return fail(wrong(name, "is down"));
  if (port.hairpin != conf.hairpin) return fail(wrong(name, port.hairpin ? "has hairpin mode" : "has no hairpin mode"));
  if (!conf.is_gateway) return {};
  auto addresses = TRY(netlink::list_addresses(node, bridge.index));
  for (const auto& ip : result.ips) {
    auto gateway = ip.gateway.value_or(ip.address.network().plus(1));
    bool found =
        std::any_of(addresses.begin(), addresses.end(), [&](const auto& a) { return a.cidr.address == gateway; });
    if (!found) return fail(wrong(conf.bridge, "has lost its address " + gateway.str()));
  }
  return {};
}

Result<> check_pod(const Request& request, const AddResult& result, Socket& pod) {
  auto link = TRY(existing(pod, request.attachment.ifname, "in the Pod's network namespace"));
  if (!link.up) return fail(wrong(link.name, "is down"));
  for (const auto& i : result.interfaces)
    if (i.name == link.name && !i.sandbox.empty()) TRY(same_mac(link, i.mac));
  auto addresses = TRY(netlink::list_addresses(pod, link.index));
  for (const auto& ip : result.ips) {
    bool found = std::any_of(addresses.begin(), addresses.end(), [&](const auto& a) { return a.cidr == ip.address; });
    if (!found) return fail(wrong(link.name, "has lost its address " + ip.address.str()));
  }
  for (auto family : {Family::v4, Family::v6}) {
    auto routes = TRY(netlink::list_routes(pod, family));
    for (const auto& r : result.routes) {
      if (r.dst.address.family() != family) continue;
      bool found = std::any_of(routes.begin(), routes.end(), [&](const auto& have) {
        return have.destination.network() == r.dst.network() && have.destination.prefix == r.dst.prefix;
      });
      if (!found) return fail(wrong(link.name, "has lost its route to " + r.dst.str()));
    }
  }
  return {};
}

Result<> check_rules(const NetConf& conf, const AddResult& result) {
  if (!conf.ip_masq && !conf.is_gateway) return {};
  auto socket = TRY(Socket::open(Protocol::netfilter));
  if (!TRY(nft::table_exists(socket, rules::kTable))) return fail(wrong(rules::kTable, "the nftables table is gone"));
  if (!conf.ip_masq) return {};
  std::vector<Cidr> subnets;
  for (const auto& ip : result.ips) subnets.push_back({ip.address.network(), ip.address.prefix});
  auto missing = TRY(rules::missing_subnets(socket, subnets));
  if (!missing.empty()) return fail(wrong(rules::kTable, missing.front().str() + " is not masqueraded"));
  return {};
}

}  // namespace

Result<> check(const Request& request, const std::string& boot_id) {
  auto conf = TRY(decode(request));
  auto prev = TRY(request.prev_result());
  if (!prev) return fail(Error::invalid("prevResult", "is missing"));
  auto netns = TRY(open_pod_netns(request));
  IpamCall ipam(request, conf.ipam_type, boot_id);
  if (ipam.configured()) TRY(ipam.check());
  auto node = TRY(Socket::open(Protocol::route));
  TRY(check_host(conf, request, *prev, node));
  auto pod = TRY(Socket::open_in(netns, Protocol::route));
  TRY(check_pod(request, *prev, pod));
  return check_rules(conf, *prev);
}

}  // namespace podshim::cni::bridge
