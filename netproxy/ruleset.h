// The ruleset as values: sets, chains of rules, elements. Everything netproxy puts into the kernel is one of these;
// render_text.h prints them as nft does, render_netlink.h as netlink messages, the tests' packet tracer runs them.
//
// A rule is a closed list of terms: only what `nft` prints back (docs/nftables.md) can be said at all. Keys and data of
// elements are the bytes that the kernel compares: each field padded to four bytes, addresses and ports in network
// order, slots and classes in host order. Pure; any thread.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/ip.h"
#include "common/kube/service.h"

namespace podshim::netproxy {

using kube::Protocol;

inline constexpr const char* kTable = "podshim";

// What a set holds. Every kind but `by_n` exists once per family.
enum class SetKind : std::uint8_t {
  svc,      // front address . proto . port -> class (map)
  np,       // proto . node port -> class (map)
  ep,       // front address . proto . port . slot -> endpoint address . port (map)
  ep_np,    // proto . node port . slot -> endpoint address . port (map)
  vip,      // every front address
  hairpin,  // endpoint . endpoint
  masq_np,  // proto . node port of the Cluster policy
  by_n,     // class -> chain (verdict map), from Chain::class_id
};

struct SetId {
  SetKind kind = SetKind::svc;
  Family family = Family::v4;
  auto operator<=>(const SetId&) const = default;
};
std::string set_name(SetId id);  // "svc_ip", "svc_ip6", "by_n"

// What stands in a key or in data.
enum class Field : std::uint8_t { saddr, daddr, l4proto, dport, slot, klass, ct_daddr, ct_dport };

struct SetDecl {
  SetId id;
  std::vector<Field> key;
  std::vector<Field> data;  // empty: a set; {klass} of by_n: verdicts
  std::string comment;
  bool is_map() const { return !data.empty() || id.kind == SetKind::by_n; }
  bool operator==(const SetDecl&) const = default;
};
SetDecl set_decl(SetId id);
std::vector<SetId> set_ids(Family family);  // without by_n

// A class is the value of svc and np, kept in the packet's priority: which chain balances, over how many slots.
// 7 (ours) | 0 address fronts, 1 node ports | unused | 4 or 6 family : N. Affinity and policies get the unused digit.
enum class FrontKind : std::uint8_t { address, node_port };
// No endpoint at all is one class for every front: kRefuse.
inline constexpr std::uint32_t kRefuse = 0x70000000;
std::uint32_t class_id(FrontKind kind, Family family, std::uint32_t n);
std::string class_text(std::uint32_t klass);                              // "7004:3" as nft prints a classid
std::string class_chain(FrontKind kind, Family family, std::uint32_t n);  // "ip_n3", "np_ip_n3"

// Key or data bytes, at most address . address (IPv6) or address . proto . port . slot.
struct Bytes {
  std::uint8_t size = 0;
  std::array<std::uint8_t, 32> raw{};
  std::span<const std::uint8_t> view() const { return {raw.data(), size}; }
  auto operator<=>(const Bytes&) const = default;

  Bytes& address(const IpAddress& ip);
  Bytes& proto(Protocol p);
  Bytes& port(int port);
  Bytes& number(std::uint32_t n);  // slot, class
};
std::uint8_t protocol_number(Protocol p);

struct Element {
  SetId set;
  Bytes key;
  Bytes data;
  std::string comment;
  bool same_place(const Element& o) const { return set == o.set && key == o.key; }
  bool operator==(const Element&) const = default;
};
// Order of (set, key), in which batches and listings stand.
bool before(const Element& a, const Element& b);

struct Key {
  std::vector<Field> fields;
  std::uint32_t modulus = 0;  // of the slot
  bool operator==(const Key&) const = default;
};

namespace term {
// clang-format off
struct Nfproto { Family family; bool operator==(const Nfproto&) const = default; };
struct L4proto { Protocol protocol; bool operator==(const L4proto&) const = default; };
struct LocalDaddr { bool operator==(const LocalDaddr&) const = default; };        // fib daddr type local
struct Dnatted { bool operator==(const Dnatted&) const = default; };              // ct status dnat
struct Saddr { Cidr cidr; bool operator==(const Saddr&) const = default; };
struct In { Key key; SetId set; bool negate = false; bool operator==(const In&) const = default; };
struct SetPriority { Key key; SetId map; bool operator==(const SetPriority&) const = default; };
struct PutPriority { std::uint32_t klass = 0; bool operator==(const PutPriority&) const = default; };  // 0: none
struct PriorityVmap { bool operator==(const PriorityVmap&) const = default; };    // meta priority vmap @by_n
struct Dnat { Key key; SetId map; bool operator==(const Dnat&) const = default; };
struct Jump { std::string chain; bool operator==(const Jump&) const = default; };
struct Goto { std::string chain; bool operator==(const Goto&) const = default; };
struct Return { bool operator==(const Return&) const = default; };
struct Drop { bool operator==(const Drop&) const = default; };
struct Reject { bool tcp_reset = false; bool operator==(const Reject&) const = default; };
struct Masquerade { bool operator==(const Masquerade&) const = default; };
// clang-format on
}  // namespace term
using Term = std::variant<term::Nfproto, term::L4proto, term::LocalDaddr, term::Dnatted, term::Saddr, term::In,
                          term::SetPriority, term::PutPriority, term::PriorityVmap, term::Dnat, term::Jump, term::Goto,
                          term::Return, term::Drop, term::Reject, term::Masquerade>;

struct Rule {
  std::vector<Term> terms;
  std::string comment;
  bool operator==(const Rule&) const = default;
};

enum class Hook : std::uint8_t { prerouting, output, postrouting };

struct Chain {
  std::string name;
  std::optional<Hook> hook;               // type nat; priority dstnat, or srcnat at postrouting
  std::optional<std::uint32_t> class_id;  // reached through by_n with this value
  std::vector<Rule> rules;
  bool operator==(const Chain&) const = default;
};

struct Ruleset {
  std::vector<SetDecl> sets;
  std::vector<Chain> chains;
  std::vector<Element> elements;
  bool operator==(const Ruleset&) const = default;
};

}  // namespace podshim::netproxy
