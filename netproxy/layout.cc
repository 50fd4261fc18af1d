#include "netproxy/layout.h"

#include <algorithm>

namespace podshim::netproxy {
namespace {

using enum Field;

constexpr Protocol kProtocols[] = {Protocol::tcp, Protocol::udp};
constexpr const char* kReplaced = "being replaced";

std::string prefix(Family family) { return family == Family::v4 ? "ip_" : "ip6_"; }
Key front_key(std::uint32_t slots = 0) {
  Key key{{daddr, l4proto, dport}, slots};
  if (slots != 0) key.fields.push_back(slot);
  return key;
}
Key node_port_key(std::uint32_t slots = 0) {
  Key key{{l4proto, dport}, slots};
  if (slots != 0) key.fields.push_back(slot);
  return key;
}
// The front as it was before translation.
Key sent_to() { return {{ct_daddr, l4proto, ct_dport}}; }
Key sent_to_node_port() { return {{l4proto, ct_dport}}; }
Key range_key() { return {{daddr, l4proto, dport, saddr}}; }

void pods_return(const LayoutFacts& facts, Family f, Chain& chain) {
  for (const auto& cidr : facts.local_pods)
    if (cidr.address.family() == f) chain.rules.push_back({{term::Saddr{cidr}, term::Return{}}, "Pods of this node"});
}

// One rule for each way to a node port: "any local address", or those of each CIDR alone. `terms` stand before.
void at_node_ports(const LayoutFacts& facts, Family f, const std::vector<Term>& terms, const Term& verdict,
                   Chain& chain) {
  auto rule = [&](const Cidr* cidr) {
    Rule out{.terms = terms};
    if (cidr != nullptr) out.terms.push_back(term::Daddr{*cidr});
    out.terms.push_back(term::LocalDaddr{});
    out.terms.push_back(verdict);
    chain.rules.push_back(std::move(out));
  };
  const auto& list = facts.node_port_addresses;
  bool all = std::ranges::any_of(list, [&](const Cidr& c) { return c.address.family() == f && c.prefix == 0; });
  if (list.empty() || all) return rule(nullptr);
  for (const auto& cidr : list)
    if (cidr.address.family() == f) rule(&cidr);
}

Chain ranges(Family f) {
  Chain chain{.name = prefix(f) + "ranges"};
  chain.rules.push_back(
      {{term::In{front_key(), {SetKind::fenced, f}}, term::In{range_key(), {SetKind::ranges, f}, true}, term::Drop{}},
       "source outside loadBalancerSourceRanges"});
  return chain;
}

// Fronts of the Local policy, for clients from outside. A drop stands behind each look-up: while the table is replaced
// its maps go before its sets, and such a packet must not go on to the list of all endpoints.
Chain from_outside(const LayoutFacts& facts, Family f) {
  Chain chain{.name = prefix(f) + "from_outside"};
  pods_return(facts, f, chain);
  chain.rules.push_back({{term::SetPriority{front_key(), {SetKind::svc_local, f}}}, {}});
  chain.rules.push_back({{term::PriorityVmap{}}, {}});
  chain.rules.push_back({{term::In{front_key(), {SetKind::local_ext, f}}, term::Drop{}}, kReplaced});
  at_node_ports(facts, f,
                {term::In{front_key(), {SetKind::masq_ext, f}, true}, term::In{{{daddr}}, {SetKind::vip, f}, true}},
                term::Jump{prefix(f) + "node_ports_from_outside"}, chain);
  return chain;
}

Chain node_ports_from_outside(Family f) {
  Chain chain{.name = prefix(f) + "node_ports_from_outside"};
  chain.rules.push_back({{term::SetPriority{node_port_key(), {SetKind::np_local, f}}}, {}});
  chain.rules.push_back({{term::PriorityVmap{}}, {}});
  chain.rules.push_back({{term::In{node_port_key(), {SetKind::local_np, f}}, term::Drop{}}, kReplaced});
  return chain;
}

Chain services(const LayoutFacts& facts, Family f) {
  Chain chain{.name = prefix(f) + "services"};
  chain.rules.push_back({{term::SetPriority{front_key(), {SetKind::svc, f}}}, {}});
  chain.rules.push_back({{term::PriorityVmap{}}, {}});
  chain.rules.push_back({{term::In{{{daddr}}, {SetKind::vip, f}}, term::Goto{"no_port"}}, {}});
  for (auto kind : {SetKind::masq_ext, SetKind::local_ext})
    chain.rules.push_back({{term::In{front_key(), {kind, f}}, term::Drop{}}, kReplaced});
  at_node_ports(facts, f, {}, term::Goto{prefix(f) + "node_ports"}, chain);
  return chain;
}

Chain node_ports(Family f) {
  Chain chain{.name = prefix(f) + "node_ports"};
  chain.rules.push_back({{term::SetPriority{node_port_key(), {SetKind::np, f}}}, {}});
  chain.rules.push_back({{term::PriorityVmap{}}, {}});
  // Only while the table is replaced: the map has gone, the set not yet.
  for (auto kind : {SetKind::masq_np, SetKind::local_np})
    chain.rules.push_back({{term::In{node_port_key(), {kind, f}}, term::Drop{}}, kReplaced});
  return chain;
}

// Where Pods are known, who is none and not this node either may have its way to a cluster address through this node
// alone: an endpoint elsewhere would answer it directly, from an address it never asked.
Chain masquerade_outside(Family f) {
  Chain chain{.name = prefix(f) + "masquerade_outside"};
  chain.rules.push_back({{term::LocalSaddr{}, term::Return{}}, "this node itself"});
  chain.rules.push_back({{term::Masquerade{}}, "client from outside of a cluster address"});
  return chain;
}

// One rule a protocol: nft reads `ct original proto-dst` only where the protocol is known. An external address comes
// before a node port of the same number, as in the look-ups.
Chain masquerade(const LayoutFacts& facts, Family f) {
  Chain chain{.name = prefix(f) + "masquerade"};
  chain.rules.push_back({{term::In{{{saddr, daddr}}, {SetKind::hairpin, f}}, term::Masquerade{}}, "to itself"});
  pods_return(facts, f, chain);
  if (std::ranges::any_of(facts.local_pods, [&](const Cidr& c) { return c.address.family() == f; }))
    chain.rules.push_back(
        {{term::In{{{ct_daddr}}, {SetKind::vip, f}}, term::Goto{prefix(f) + "masquerade_outside"}}, {}});
  auto node = prefix(f) + "masquerade_node";
  for (auto p : kProtocols) {
    chain.rules.push_back({{term::L4proto{p}, term::In{sent_to(), {SetKind::masq_ext, f}}, term::Masquerade{}},
                           "client of an external address"});
    chain.rules.push_back({{term::L4proto{p}, term::In{sent_to(), {SetKind::local_ext, f}}, term::Goto{node}}, {}});
    term::In no_front{{{ct_daddr}}, {SetKind::vip, f}, true};
    chain.rules.push_back(
        {{term::L4proto{p}, term::In{sent_to_node_port(), {SetKind::masq_np, f}}, no_front, term::Masquerade{}},
         "client of a node port"});
    chain.rules.push_back(
        {{term::L4proto{p}, term::In{sent_to_node_port(), {SetKind::local_np, f}}, no_front, term::Goto{node}}, {}});
  }
  return chain;
}

// Under the Local policy the client keeps its address, but the node itself may have sent from one that the endpoint
// cannot answer (loopback, the external address).
Chain masquerade_node(Family f) {
  Chain chain{.name = prefix(f) + "masquerade_node"};
  chain.rules.push_back({{term::LocalSaddr{}, term::Masquerade{}}, "this node itself"});
  return chain;
}

Chain base(const char* name, Hook hook, const LayoutFacts& facts, std::initializer_list<const char*> targets) {
  Chain chain{.name = name, .hook = hook};
  for (auto f : facts.families) {
    for (const char* target : targets) {
      Rule rule;
      if (hook == Hook::postrouting || hook == Hook::input) rule.terms.push_back(term::Dnatted{});
      rule.terms.push_back(term::Nfproto{f});
      rule.terms.push_back(term::Jump{prefix(f) + target});
      chain.rules.push_back(std::move(rule));
    }
  }
  return chain;
}

Chain refuse() {
  Chain chain{.name = "refuse", .class_id = kRefuse};
  chain.rules.push_back({{term::PutPriority{0}}, {}});
  chain.rules.push_back({{term::L4proto{Protocol::tcp}, term::Reject{true}}, {}});
  chain.rules.push_back({{term::Reject{false}}, {}});
  return chain;
}

Chain no_local() {
  Chain chain{.name = "no_local", .class_id = kNoLocal};
  chain.rules.push_back({{term::Drop{}}, "no endpoint on this node"});
  return chain;
}

// A front address, but no front: refused. Through by_n and not at once, because in a table that is being replaced maps
// miss before sets do: what would have been a front a moment ago is dropped there, and its retransmission served.
Chain no_port() {
  Chain chain{.name = "no_port"};
  chain.rules.push_back({{term::PutPriority{kRefuse}}, {}});
  chain.rules.push_back({{term::PriorityVmap{}}, {}});
  chain.rules.push_back({{term::Drop{}}, kReplaced});
  return chain;
}

}  // namespace

std::vector<SetDecl> layout_sets(const LayoutFacts& facts) {
  std::vector<SetDecl> out;
  for (auto family : facts.families)
    for (auto id : set_ids(family)) out.push_back(set_decl(id));
  out.push_back(set_decl({SetKind::by_n, Family::v4}));
  return out;
}

std::vector<Chain> layout_chains(const LayoutFacts& facts) {
  std::vector<Chain> out = {refuse(), no_local(), no_port()};
  for (auto f : facts.families) {
    out.push_back(ranges(f));
    out.push_back(node_ports_from_outside(f));
    out.push_back(from_outside(facts, f));
    out.push_back(node_ports(f));
    out.push_back(services(facts, f));
    out.push_back({.name = prefix(f) + "affinity"});
    out.push_back({.name = prefix(f) + "remember"});
    out.push_back(masquerade_node(f));
    out.push_back(masquerade_outside(f));
    out.push_back(masquerade(facts, f));
  }
  out.push_back(base("prerouting", Hook::prerouting, facts, {"ranges", "from_outside", "services"}));
  out.push_back(base("output", Hook::output, facts, {"ranges", "services"}));
  out.push_back(base("input", Hook::input, facts, {"remember"}));
  out.push_back(base("postrouting", Hook::postrouting, facts, {"remember", "masquerade"}));
  for (auto f : facts.families)
    for (bool sticky : {false, true})
      for (std::uint32_t n = 1; n <= kUsualEndpoints; n++)
        out.push_back(balance_chain({.family = f, .n = n, .sticky = sticky}));
  return out;
}

bool LayoutFacts::serves_node_ports_at(const IpAddress& ip) const {
  return node_port_addresses.empty() ||
         std::ranges::any_of(node_port_addresses, [&](const Cidr& c) { return c.contains(ip); });
}

Chain balance_chain(const Class& c) {
  Chain chain{.name = c.chain(), .class_id = c.id()};
  bool address = c.kind == FrontKind::address;
  SetId map{address ? (c.local ? SetKind::ep_local : SetKind::ep) : (c.local ? SetKind::ep_np_local : SetKind::ep_np),
            c.family};
  auto key = [&](std::uint32_t slots) { return address ? front_key(slots) : node_port_key(slots); };
  chain.rules.push_back({{term::PutPriority{0}}, {}});
  if (c.sticky) chain.rules.push_back({{term::Jump{prefix(c.family) + "affinity"}}, {}});
  chain.rules.push_back({{term::Dnat{key(c.n), map}}, {}});
  // A commit between the look-up of N and this one may have taken the slot: slot 0 is there as long as any is.
  if (c.n > 1) chain.rules.push_back({{term::Dnat{key(1), map}}, {}});
  chain.rules.push_back({{term::Drop{}}, {}});
  return chain;
}

TimeoutParts timeout_parts(const Timeout& timeout) {
  TimeoutParts out;
  auto [f, seconds] = timeout;
  for (auto id : timeout_set_ids(f, seconds)) out.sets.push_back(set_decl(id));
  SetId map{SetKind::aff, f, seconds};
  out.rules.push_back({prefix(f) + "affinity", {{term::Dnat{{{saddr, daddr, l4proto, dport}}, map}}, {}}});
  auto remember = [&, chain = prefix(f) + "remember"](std::vector<Term> match) {
    auto full = match;
    match.push_back(term::Update{{{saddr, ct_daddr, l4proto, ct_dport}}, {daddr, ct_reply_sport}, map});
    full.push_back(term::Counter{});
    for (auto* rule : {&match, &full}) rule->push_back(term::Return{});
    out.rules.push_back({chain, {std::move(match), {}}});
    out.rules.push_back({chain, {std::move(full), set_name(map) + " is full"}});
  };
  for (auto p : kProtocols) {
    remember({term::L4proto{p}, term::In{sent_to(), {SetKind::sticky, f, seconds}}});
    // Node ports alone: not an address front whose port has the same number.
    remember({term::L4proto{p}, term::In{sent_to_node_port(), {SetKind::sticky_np, f, seconds}},
              term::In{sent_to(), {SetKind::masq_ext, f}, true}, term::In{sent_to(), {SetKind::local_ext, f}, true},
              term::In{{{ct_daddr}}, {SetKind::vip, f}, true}});
  }
  return out;
}

}  // namespace podshim::netproxy
