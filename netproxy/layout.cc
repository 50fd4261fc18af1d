#include "netproxy/layout.h"

namespace podshim::netproxy {
namespace {

using enum Field;

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

Chain services(Family f) {
  Chain chain{.name = prefix(f) + "services"};
  chain.rules.push_back({{term::SetPriority{front_key(), {SetKind::svc, f}}}, {}});
  chain.rules.push_back({{term::PriorityVmap{}}, {}});
  chain.rules.push_back({{term::In{{{daddr}}, {SetKind::vip, f}}, term::Goto{"no_port"}}, {}});
  chain.rules.push_back({{term::LocalDaddr{}, term::Goto{prefix(f) + "node_ports"}}, {}});
  return chain;
}

Chain node_ports(Family f) {
  Chain chain{.name = prefix(f) + "node_ports"};
  chain.rules.push_back({{term::SetPriority{node_port_key(), {SetKind::np, f}}}, {}});
  chain.rules.push_back({{term::PriorityVmap{}}, {}});
  // Only while the table is replaced: the map has gone, the set not yet.
  chain.rules.push_back({{term::In{node_port_key(), {SetKind::masq_np, f}}, term::Drop{}}, "being replaced"});
  return chain;
}

Chain masquerade(const LayoutFacts& facts, Family f) {
  Chain chain{.name = prefix(f) + "masquerade"};
  chain.rules.push_back({{term::In{{{saddr, daddr}}, {SetKind::hairpin, f}}, term::Masquerade{}}, "to itself"});
  for (const auto& cidr : facts.local_pods)
    if (cidr.address.family() == f) chain.rules.push_back({{term::Saddr{cidr}, term::Return{}}, "Pods of this node"});
  // One rule a protocol: nft reads `ct original proto-dst` only where the protocol is known.
  for (auto protocol : {Protocol::tcp, Protocol::udp}) {
    chain.rules.push_back({{term::L4proto{protocol}, term::In{{{l4proto, ct_dport}}, {SetKind::masq_np, f}},
                            term::In{{{ct_daddr}}, {SetKind::vip, f}, true}, term::Masquerade{}},
                           "client of a node port"});
  }
  return chain;
}

Chain base(const char* name, Hook hook, const LayoutFacts& facts, const char* target) {
  Chain chain{.name = name, .hook = hook};
  for (auto f : facts.families) {
    Rule rule;
    if (hook == Hook::postrouting) rule.terms.push_back(term::Dnatted{});
    rule.terms.push_back(term::Nfproto{f});
    rule.terms.push_back(term::Jump{prefix(f) + target});
    chain.rules.push_back(std::move(rule));
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

// A front address, but no front: refused. Through by_n and not at once, because in a table that is being replaced maps
// miss before sets do: what would have been a front a moment ago is dropped there, and its retransmission served.
Chain no_port() {
  Chain chain{.name = "no_port"};
  chain.rules.push_back({{term::PutPriority{kRefuse}}, {}});
  chain.rules.push_back({{term::PriorityVmap{}}, {}});
  chain.rules.push_back({{term::Drop{}}, "being replaced"});
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
  std::vector<Chain> out = {refuse(), no_port()};
  for (auto f : facts.families) {
    out.push_back(node_ports(f));
    out.push_back(services(f));
    out.push_back(masquerade(facts, f));
  }
  out.push_back(base("prerouting", Hook::prerouting, facts, "services"));
  out.push_back(base("output", Hook::output, facts, "services"));
  out.push_back(base("postrouting", Hook::postrouting, facts, "masquerade"));
  return out;
}

Chain balance_chain(FrontKind kind, Family family, std::uint32_t n) {
  Chain chain{.name = class_chain(kind, family, n), .class_id = class_id(kind, family, n)};
  SetId map{kind == FrontKind::address ? SetKind::ep : SetKind::ep_np, family};
  auto key = [&](std::uint32_t slots) { return kind == FrontKind::address ? front_key(slots) : node_port_key(slots); };
  chain.rules.push_back({{term::PutPriority{0}}, {}});
  chain.rules.push_back({{term::Dnat{key(n), map}}, {}});
  // A commit between the look-up of N and this one may have taken the slot: slot 0 is there as long as any is.
  if (n > 1) chain.rules.push_back({{term::Dnat{key(1), map}}, {}});
  chain.rules.push_back({{term::Drop{}}, {}});
  return chain;
}

Chain chain_of_class(std::uint32_t klass) {
  auto n = klass & 0xffff;
  auto family = ((klass >> 16) & 0xf) == 6 ? Family::v6 : Family::v4;
  for (auto kind : {FrontKind::address, FrontKind::node_port})
    if (class_id(kind, family, n) == klass) return n == 0 ? refuse() : balance_chain(kind, family, n);
  return {};
}

}  // namespace podshim::netproxy
