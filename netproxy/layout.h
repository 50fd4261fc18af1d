// The fixed part of the table: sets, base chains, the chains of N that balance over N endpoints, and what a timeout of
// session affinity needs. Which rule stands in which hook, and why: docs/nftables.md. Pure; any thread.
#pragma once

#include "netproxy/ruleset.h"

namespace podshim::netproxy {

struct LayoutFacts {
  std::vector<Family> families = {Family::v4};
  std::vector<Cidr> local_pods;                // sources that reach endpoints without masquerade; empty: none is known
  std::vector<Cidr> node_port_addresses = {};  // where node ports are served; empty: on every local address
  bool operator==(const LayoutFacts&) const = default;
  bool serves_node_ports_at(const IpAddress& ip) const;  // of the node's addresses
};

std::vector<SetDecl> layout_sets(const LayoutFacts& facts);
// A chain of N has rules that look into ep_*, and for each chain that does the kernel walks all elements of a map
// (nf_tables_bind_set). With an empty table that costs nothing; so these come with it, for the fronts whose map is
// large.
inline constexpr std::uint32_t kUsualEndpoints = 16;
// Those this many endpoints away from a count in use are made before they are needed.
inline constexpr std::uint32_t kEndpointsAhead = 4;
constexpr bool in_large_map(const Class& c) { return c.kind == FrontKind::address && !c.local; }
constexpr bool is_usual(const Class& c) { return in_large_map(c) && c.n <= kUsualEndpoints; }

// Everything but the chains of N >= 1 that are not usual. Those of "no endpoint" (REJECT) and "none on this node"
// (drop) are among them.
std::vector<Chain> layout_chains(const LayoutFacts& facts);
Chain balance_chain(const Class& klass);

// A timeout of session affinity in one family. When it is first met it brings sets of its own, and rules at the end of
// chains that are there.
struct Timeout {
  Family family = Family::v4;
  std::uint32_t seconds = 0;
  auto operator<=>(const Timeout&) const = default;
};
struct TimeoutParts {
  std::vector<SetDecl> sets;
  struct Appended {
    std::string chain;
    Rule rule;
  };
  std::vector<Appended> rules;
};
TimeoutParts timeout_parts(const Timeout& timeout);

}  // namespace podshim::netproxy
