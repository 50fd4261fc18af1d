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

// What a set holds. Every kind but `by_n` exists once per family, the last three also once per affinity timeout. Fronts
// that the Local policy serves have two lists of endpoints: the *_local ones are for clients from outside.
enum class SetKind : std::uint8_t {
  svc,          // front address . proto . port -> class (map)
  np,           // proto . node port -> class (map)
  ep,           // front address . proto . port . slot -> endpoint address . port (map)
  ep_np,        // proto . node port . slot -> endpoint address . port (map)
  svc_local,    // as svc, for clients from outside
  np_local,     // as np, for clients from outside
  ep_local,     // as ep, endpoints of this node
  ep_np_local,  // as ep_np, endpoints of this node
  vip,          // every cluster address
  hairpin,      // endpoint . endpoint
  masq_ext,     // external address . proto . port of the Cluster policy
  masq_np,      // proto . node port of the Cluster policy
  local_ext,    // external address . proto . port of the Local policy
  local_np,     // proto . node port of the Local policy
  fenced,       // front address . proto . port with source ranges
  ranges,       // front address . proto . port . source range (interval)
  sticky,       // front address . proto . port with session affinity of so many seconds
  sticky_np,    // proto . node port with it
  aff,          // client . front address . proto . port -> endpoint address . port (map that packets write)
  by_n,         // class -> chain (verdict map), from Chain::class_id
};

struct SetId {
  SetKind kind = SetKind::svc;
  Family family = Family::v4;
  std::uint32_t seconds = 0;  // of sticky, sticky_np and aff
  auto operator<=>(const SetId&) const = default;
};
std::string set_name(SetId id);  // "svc_ip", "svc_ip6", "aff_ip_10800", "by_n"

// What stands in a key or in data.
enum class Field : std::uint8_t { saddr, daddr, l4proto, dport, slot, klass, ct_daddr, ct_dport, ct_reply_sport };
constexpr bool is_address(Field f) { return f == Field::saddr || f == Field::daddr || f == Field::ct_daddr; }

struct SetDecl {
  SetId id;
  std::vector<Field> key;
  std::vector<Field> data;  // empty: a set; {klass} of by_n: verdicts
  std::string comment;
  bool is_map() const { return !data.empty() || id.kind == SetKind::by_n; }
  bool is_interval() const { return id.kind == SetKind::ranges; }
  bool is_dynamic() const { return id.kind == SetKind::aff; }  // id.seconds is the life of an element
  bool operator==(const SetDecl&) const = default;
};
SetDecl set_decl(SetId id);
std::vector<SetId> set_ids(Family family);                                 // without by_n and those of a timeout
std::vector<SetId> timeout_set_ids(Family family, std::uint32_t seconds);  // those of a timeout
// A map that packets write is bounded: 131,072 clients of one timeout; the next is served without affinity.
inline constexpr std::uint32_t kMaxClients = 131072;

// A class is the value of svc and np, kept in the packet's priority: which chain balances, over how many slots. As a
// classid it reads 7 (ours) | 1 with affinity | 0 address front, 1 node port, 2 and 3 the same for the *_local lists |
// 4 or 6 family : N.
enum class FrontKind : std::uint8_t { address, node_port };
struct Class {
  FrontKind kind = FrontKind::address;
  Family family = Family::v4;
  std::uint32_t n = 1;
  bool local = false;
  bool sticky = false;
  bool operator==(const Class&) const = default;
  std::uint32_t id() const;
  std::string chain() const;  // "ip_n3", "np_ip_n3", "local_np_ip_n3_aff"
};
// No endpoint at all, and none on this node under the Local policy, are one class each for every front.
inline constexpr std::uint32_t kRefuse = 0x70000000;
inline constexpr std::uint32_t kNoLocal = 0x70000001;
inline constexpr std::uint32_t kMaxEndpoints = 0xffff;  // of a class
std::optional<Class> class_of(std::uint32_t id);        // nothing for those two, and for what is no class
std::string class_text(std::uint32_t klass);            // "7004:3" as nft prints a classid

// Key or data bytes, at most address . address . proto . port (IPv6).
struct Bytes {
  std::uint8_t size = 0;
  std::array<std::uint8_t, 40> raw{};
  std::span<const std::uint8_t> view() const { return {raw.data(), size}; }
  auto operator<=>(const Bytes&) const = default;

  Bytes& address(const IpAddress& ip);
  Bytes& proto(Protocol p);
  Bytes& port(int port);
  Bytes& number(std::uint32_t n);   // slot, class
  std::uint32_t as_number() const;  // of bytes that are one
};
std::uint8_t protocol_number(Protocol p);

struct Element {
  SetId set;
  Bytes key;
  Bytes data;  // of an interval set: the last key of the range
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
struct LocalSaddr { bool operator==(const LocalSaddr&) const = default; };        // fib saddr type local
struct LocalDaddr { bool operator==(const LocalDaddr&) const = default; };        // fib daddr type local
struct Dnatted { bool operator==(const Dnatted&) const = default; };              // ct status dnat
struct Saddr { Cidr cidr; bool operator==(const Saddr&) const = default; };
struct Daddr { Cidr cidr; bool operator==(const Daddr&) const = default; };
struct In { Key key; SetId set; bool negate = false; bool operator==(const In&) const = default; };
struct SetPriority { Key key; SetId map; bool operator==(const SetPriority&) const = default; };
struct PutPriority { std::uint32_t klass = 0; bool operator==(const PutPriority&) const = default; };  // 0: none
struct PriorityVmap { bool operator==(const PriorityVmap&) const = default; };    // meta priority vmap @by_n
struct Dnat { Key key; SetId map; bool operator==(const Dnat&) const = default; };
struct Update { Key key; std::vector<Field> data; SetId map; bool operator==(const Update&) const = default; };
struct Counter { bool operator==(const Counter&) const = default; };
struct Jump { std::string chain; bool operator==(const Jump&) const = default; };
struct Goto { std::string chain; bool operator==(const Goto&) const = default; };
struct Return { bool operator==(const Return&) const = default; };
struct Drop { bool operator==(const Drop&) const = default; };
struct Reject { bool tcp_reset = false; bool operator==(const Reject&) const = default; };
struct Masquerade { bool operator==(const Masquerade&) const = default; };
// clang-format on
}  // namespace term
using Term = std::variant<term::Nfproto, term::L4proto, term::LocalSaddr, term::LocalDaddr, term::Dnatted, term::Saddr,
                          term::Daddr, term::In, term::SetPriority, term::PutPriority, term::PriorityVmap, term::Dnat,
                          term::Update, term::Counter, term::Jump, term::Goto, term::Return, term::Drop, term::Reject,
                          term::Masquerade>;

struct Rule {
  std::vector<Term> terms;
  std::string comment;
  bool operator==(const Rule&) const = default;
};

enum class Hook : std::uint8_t { prerouting, input, output, postrouting };

struct Chain {
  std::string name;
  std::optional<Hook> hook;               // type nat; priority dstnat, or srcnat at input and postrouting
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
