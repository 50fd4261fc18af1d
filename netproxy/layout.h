// The fixed part of the table: sets, base chains, and the chains of N that balance over N endpoints. Which rule stands
// in which hook, and why: docs/nftables.md. Pure; any thread.
#pragma once

#include "netproxy/ruleset.h"

namespace podshim::netproxy {

struct LayoutFacts {
  std::vector<Family> families = {Family::v4};
  std::vector<Cidr> local_pods;  // sources that reach endpoints without masquerade; empty: none is known
  bool operator==(const LayoutFacts&) const = default;
};

std::vector<SetDecl> layout_sets(const LayoutFacts& facts);
// Everything but the chains of N >= 1. The one of 0 (no endpoint: REJECT) is among them.
std::vector<Chain> layout_chains(const LayoutFacts& facts);
Chain balance_chain(FrontKind kind, Family family, std::uint32_t n);  // n >= 1
// The chain that a class leads to; `klass` was made by class_id().
Chain chain_of_class(std::uint32_t klass);

}  // namespace podshim::netproxy
