#include "netproxy/doctor.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "common/netlink/address.h"
#include "common/netlink/link.h"
#include "common/sys/file.h"

namespace podshim::netproxy {
namespace {

std::string content(const std::string& path) {
  auto text = sys::read_file(path);
  if (!text) return {};
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return *std::move(text);
}

void probe(Kernel& kernel, const LayoutFacts& layout, Facts& facts) {
  auto request = render_probe(layout);
  auto outcome = kernel.commit(request.batch);
  if (!outcome) {
    facts.lacking.push_back(outcome.error().text());
    return;
  }
  for (const auto& r : outcome->refusals) {
    if (r.error.is(EPERM)) facts.may_program = false;
    const auto& name = r.request < request.names.size() ? request.names[r.request] : std::string();
    facts.lacking.push_back((name.empty() ? r.error.text() : name + ": " + errno_name(r.error.code)));
  }
}

// One line of /proc/net/route: Iface Destination Gateway Flags RefCnt Use Metric Mask, numbers in network order as host
// integers (proc_net(5)).
struct RouteLine {
  char link[32] = {};
  unsigned destination = 0, flags = 0, mask = 0;
  bool up() const { return (flags & 1) != 0; }
};

template <typename Visit>
void each_route(const std::string& routes, Visit visit) {
  std::istringstream lines(routes);
  std::string line;
  std::getline(lines, line);  // the names of the columns
  while (std::getline(lines, line)) {
    RouteLine r;
    if (std::sscanf(line.c_str(), "%31s %x %*x %x %*d %*d %*d %x", r.link, &r.destination, &r.flags, &r.mask) == 4)
      visit(r);
  }
}

// The bridges that Pods are on: those that have one of the Pods' addresses.
Result<std::vector<BridgeFacts>> pod_bridges(const LayoutFacts& layout) {
  auto socket = TRY(netlink::Socket::open(netlink::Protocol::route));
  auto addresses = TRY(netlink::list_addresses(socket));
  std::vector<BridgeFacts> out;
  for (const auto& link : TRY(netlink::list_links(socket))) {
    bool of_pods = std::ranges::any_of(addresses, [&](const netlink::LinkAddress& a) {
      return a.index == link.index &&
             std::ranges::any_of(layout.local_pods, [&](const Cidr& pods) { return pods.contains(a.cidr.address); });
    });
    if (link.kind != "bridge" || !of_pods) continue;
    auto routed = content("/proc/sys/net/ipv4/conf/" + link.name + "/proxy_arp_pvlan") == "1";
    out.push_back({.name = link.name, .nf_call = link.nf_call, .routed = routed});
  }
  return out;
}

std::string bridge_problem(const Facts& facts) {
  std::string names;
  if (facts.bridge_nf_call != "1")
    for (const auto& b : facts.bridges)
      if (!b.nf_call && !b.routed) names += (names.empty() ? "" : ", ") + b.name;
  if (names.empty()) return {};
  auto text = "Pods of bridge " + names + " cannot reach each other through a Service: ";
  if (facts.bridge_nf_call.empty())
    return text + "br_netfilter is not loaded (modprobe br_netfilter), and the bridge does not route between its ports";
  return text + "net.bridge.bridge-nf-call-iptables is " + facts.bridge_nf_call +
         "; set it to 1, or let this project's bridge plugin make the bridge";
}

std::string forwarding_problem(const Facts& facts) {
  std::string out;
  for (const auto& [link, value] : facts.forwarding)
    if (value == "0") out += (out.empty() ? "" : ", ") + ("net.ipv4.conf." + link + ".forwarding is 0");
  return out.empty() ? out : out + ": what comes in there is not forwarded to Pods; set it to 1";
}

}  // namespace

Facts gather_facts(Kernel& kernel, const LayoutFacts& layout) {
  Facts facts;
  facts.ip_forward = content("/proc/sys/net/ipv4/ip_forward");
  facts.ipv6_forwarding = content("/proc/sys/net/ipv6/conf/all/forwarding");
  facts.bridge_nf_call = content("/proc/sys/net/bridge/bridge-nf-call-iptables");
  facts.routes = content("/proc/net/route");
  facts.ipv6_pods = std::ranges::any_of(layout.local_pods, [](const Cidr& c) { return !c.address.is_v4(); });
  if (auto bridges = pod_bridges(layout)) facts.bridges = *std::move(bridges);
  auto links = uplinks(facts.routes);
  for (const auto& b : facts.bridges) links.push_back(b.name);
  for (const auto& link : links) facts.forwarding[link] = content("/proc/sys/net/ipv4/conf/" + link + "/forwarding");
  probe(kernel, layout, facts);
  return facts;
}

std::vector<std::string> uplinks(const std::string& routes) {
  std::vector<std::string> out;
  each_route(routes, [&](const RouteLine& r) {
    if (r.up() && r.destination == 0 && r.mask == 0 && std::ranges::find(out, r.link) == out.end())
      out.emplace_back(r.link);
  });
  return out;
}

bool has_route(const std::string& routes, const IpAddress& to) {
  bool found = false;
  each_route(routes, [&](const RouteLine& r) {
    found = found || (r.up() && (htonl(to.v4_host_order()) & r.mask) == r.destination);
  });
  return found;
}

std::vector<Finding> judge(const Facts& facts, const Cidr& service_cidr) {
  std::vector<Finding> out;
  auto add = [&](const char* check, bool ok, std::string bad) { out.push_back({check, ok, ok ? "" : std::move(bad)}); };
  add("ip_forward", facts.ip_forward == "1",
      "net.ipv4.ip_forward is " + (facts.ip_forward.empty() ? "unreadable" : facts.ip_forward) +
          ": packets do not reach Pods; set it to 1");
  auto forwarding = forwarding_problem(facts);
  add("forwarding", forwarding.empty(), forwarding);
  if (facts.ipv6_pods)
    add("ipv6-forwarding", facts.ipv6_forwarding == "1",
        "net.ipv6.conf.all.forwarding is " + (facts.ipv6_forwarding.empty() ? "unreadable" : facts.ipv6_forwarding) +
            ": IPv6 packets do not reach Pods; set it to 1");
  auto bridge = bridge_problem(facts);
  add("same-bridge", bridge.empty(), bridge);
  add("route", !service_cidr.address.is_v4() || has_route(facts.routes, service_cidr.network().plus(1)),
      "no route covers " + service_cidr.str() +
          ": programs on this node get ENETUNREACH for every Service; add a default route");
  add("permission", facts.may_program, "nf_tables cannot be changed: CAP_NET_ADMIN is missing");
  std::string lacking;
  if (facts.may_program)
    for (const auto& l : facts.lacking) lacking += (lacking.empty() ? "" : "; ") + l;
  add("nf_tables", lacking.empty(), "the kernel refuses: " + lacking);
  return out;
}

}  // namespace podshim::netproxy
