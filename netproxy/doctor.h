// doctor: what this node must have for Services to work, each with what to do about it. Facts are read once; the
// judging is pure. Needs CAP_NET_ADMIN for the probe of the kernel's nf_tables expressions, which changes nothing: the
// batch is never committed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/ip.h"
#include "netproxy/apply.h"

namespace podshim::netproxy {

struct Facts {
  std::string ip_forward;            // content of the sysctl; "" when it could not be read
  std::string bridge_nf_call;        // the same; "" when br_netfilter is not there
  std::string routes;                // /proc/net/route
  std::vector<std::string> lacking;  // "numgen (nft_numgen): ENOENT"
  bool may_program = true;           // CAP_NET_ADMIN
};

struct Finding {
  std::string check;
  bool ok = true;
  std::string detail;  // what was found, and the remedy
};

Facts gather_facts(Kernel& kernel, const LayoutFacts& layout);
std::vector<Finding> judge(const Facts& facts, const Cidr& service_cidr);
// A route for this address in the text of /proc/net/route.
bool has_route(const std::string& routes, const IpAddress& to);

}  // namespace podshim::netproxy
