#include "netproxy/doctor.h"

#include <arpa/inet.h>

#include <cstdio>
#include <sstream>

#include "common/sys/file.h"

namespace podshim::netproxy {
namespace {

std::string content(const char* path) {
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

}  // namespace

Facts gather_facts(Kernel& kernel, const LayoutFacts& layout) {
  Facts facts;
  facts.ip_forward = content("/proc/sys/net/ipv4/ip_forward");
  facts.bridge_nf_call = content("/proc/sys/net/bridge/bridge-nf-call-iptables");
  facts.routes = content("/proc/net/route");
  probe(kernel, layout, facts);
  return facts;
}

bool has_route(const std::string& routes, const IpAddress& to) {
  std::istringstream lines(routes);
  std::string line;
  std::getline(lines, line);  // the names of the columns
  while (std::getline(lines, line)) {
    unsigned destination = 0, flags = 0, mask = 0;
    // Iface Destination Gateway Flags RefCnt Use Metric Mask, numbers in network order as host integers (proc_net(5)).
    if (std::sscanf(line.c_str(), "%*s %x %*x %x %*d %*d %*d %x", &destination, &flags, &mask) != 3) continue;
    constexpr unsigned kUp = 1;
    if ((flags & kUp) != 0 && (htonl(to.v4_host_order()) & mask) == destination) return true;
  }
  return false;
}

std::vector<Finding> judge(const Facts& facts, const Cidr& service_cidr) {
  std::vector<Finding> out;
  auto add = [&](const char* check, bool ok, std::string bad) { out.push_back({check, ok, ok ? "" : std::move(bad)}); };
  add("ip_forward", facts.ip_forward == "1",
      "net.ipv4.ip_forward is " + (facts.ip_forward.empty() ? "unreadable" : facts.ip_forward) +
          ": packets do not reach Pods; set it to 1");
  add("bridge-nf-call-iptables", facts.bridge_nf_call == "1",
      facts.bridge_nf_call.empty()
          ? "br_netfilter is not loaded: Pods of one bridge cannot reach each other through a Service; modprobe "
            "br_netfilter"
          : "net.bridge.bridge-nf-call-iptables is " + facts.bridge_nf_call +
                ": connections between Pods of one bridge through a Service time out; set it to 1");
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
