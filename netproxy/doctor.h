// doctor: what this node must have for Services to work, each with what to do about it. Facts are read once; the
// judging is pure. Needs CAP_NET_ADMIN for the probe of the kernel's nf_tables expressions, which changes nothing: the
// batch is never committed.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/ip.h"
#include "netproxy/apply.h"

namespace podshim::netproxy {

// A bridge with an address among the Pods'.
struct BridgeFacts {
  std::string name;
  bool nf_call = false;  // its frames pass the IP hooks by an option of its own, whatever the sysctl says
  bool routed = false;   // it answers ARP for its Pods (proxy_arp_pvlan): traffic between them is routed
};

struct Facts {
  std::string ip_forward;       // content of the sysctl; "" when it could not be read
  std::string ipv6_forwarding;  // the same, of all links
  std::string bridge_nf_call;   // the same; "" when br_netfilter is not there
  std::string routes;           // /proc/net/route
  std::vector<BridgeFacts> bridges;
  std::map<std::string, std::string> forwarding;  // the links' own switch, of the bridges and the uplinks
  std::vector<std::string> lacking;               // "numgen (nft_numgen): ENOENT"
  bool may_program = true;                        // CAP_NET_ADMIN
  bool ipv6_pods = false;                         // the Pods have a range of IPv6 addresses
};

struct Finding {
  std::string check;
  bool ok = true;
  std::string detail;  // what was found, and the remedy
};

Facts gather_facts(Kernel& kernel, const LayoutFacts& layout);
std::vector<Finding> judge(const Facts& facts, const Cidr& service_cidr);
// The links that default routes lead to.
std::vector<std::string> uplinks(const std::string& routes);
// A route for this address in the text of /proc/net/route.
bool has_route(const std::string& routes, const IpAddress& to);

}  // namespace podshim::netproxy
