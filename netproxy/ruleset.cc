#include "netproxy/ruleset.h"

#include <cstdio>
#include <cstring>

namespace podshim::netproxy {
namespace {

// Digits of a class's upper half.
constexpr std::uint32_t kClassMark = 0x7000;  // no priority of others begins with it
constexpr std::uint32_t kClassSticky = 0x0100, kClassLocal = 0x0020, kClassNodePort = 0x0010;

std::string_view family_suffix(Family family) { return family == Family::v4 ? "ip" : "ip6"; }

std::string_view kind_text(SetKind kind) {
  static constexpr std::string_view kNames[] = {"svc",      "np",       "ep",          "ep_np",    "svc_local",
                                                "np_local", "ep_local", "ep_np_local", "vip",      "hairpin",
                                                "masq_ext", "masq_np",  "local_ext",   "local_np", "fenced",
                                                "ranges",   "sticky",   "sticky_np",   "aff",      "by_n"};
  static_assert(std::size(kNames) == static_cast<std::size_t>(SetKind::by_n) + 1);
  return kNames[static_cast<std::size_t>(kind)];
}

}  // namespace

std::string set_name(SetId id) {
  std::string out(kind_text(id.kind));
  if (id.kind != SetKind::by_n) (out += '_') += family_suffix(id.family);
  if (id.seconds != 0) (out += '_') += std::to_string(id.seconds);
  return out;
}

SetDecl set_decl(SetId id) {
  using enum Field;
  switch (id.kind) {
    case SetKind::svc:
      return {id, {daddr, l4proto, dport}, {klass}, "front -> class:endpoints"};
    case SetKind::np:
      return {id, {l4proto, dport}, {klass}, "node port -> class:endpoints"};
    case SetKind::ep:
      return {id, {daddr, l4proto, dport, slot}, {daddr, dport}, "front . slot -> endpoint"};
    case SetKind::ep_np:
      return {id, {l4proto, dport, slot}, {daddr, dport}, "node port . slot -> endpoint"};
    case SetKind::svc_local:
      return {id, {daddr, l4proto, dport}, {klass}, "front of the Local policy, from outside -> class:endpoints"};
    case SetKind::np_local:
      return {id, {l4proto, dport}, {klass}, "node port of the Local policy, from outside -> class:endpoints"};
    case SetKind::ep_local:
      return {id, {daddr, l4proto, dport, slot}, {daddr, dport}, "front . slot -> endpoint of this node"};
    case SetKind::ep_np_local:
      return {id, {l4proto, dport, slot}, {daddr, dport}, "node port . slot -> endpoint of this node"};
    case SetKind::vip:
      return {id, {daddr}, {}, "cluster addresses: other ports are refused"};
    case SetKind::hairpin:
      return {id, {saddr, daddr}, {}, "endpoints that may reach themselves through a front"};
    case SetKind::masq_ext:
      return {id, {ct_daddr, l4proto, ct_dport}, {}, "external addresses whose clients are masqueraded"};
    case SetKind::masq_np:
      return {id, {l4proto, ct_dport}, {}, "node ports whose clients are masqueraded"};
    case SetKind::local_ext:
      return {id, {ct_daddr, l4proto, ct_dport}, {}, "external addresses whose clients keep their address"};
    case SetKind::local_np:
      return {id, {l4proto, ct_dport}, {}, "node ports whose clients keep their address"};
    case SetKind::fenced:
      return {id, {daddr, l4proto, dport}, {}, "fronts with source ranges"};
    case SetKind::ranges:
      return {id, {daddr, l4proto, dport, saddr}, {}, "front . source range"};
    case SetKind::sticky:
      return {id, {ct_daddr, l4proto, ct_dport}, {}, "fronts with session affinity"};
    case SetKind::sticky_np:
      return {id, {l4proto, ct_dport}, {}, "node ports with session affinity"};
    case SetKind::aff:
      return {id, {saddr, daddr, l4proto, dport}, {daddr, dport}, "client . front -> its endpoint"};
    case SetKind::by_n:
      return {id, {klass}, {}, "class:endpoints -> chain"};
  }
  return {};
}

std::vector<SetId> set_ids(Family family) {
  std::vector<SetId> out;
  for (auto kind = SetKind::svc; kind < SetKind::sticky; kind = static_cast<SetKind>(static_cast<int>(kind) + 1))
    out.push_back({kind, family});
  return out;
}

std::vector<SetId> timeout_set_ids(Family family, std::uint32_t seconds) {
  return {{SetKind::sticky, family, seconds}, {SetKind::sticky_np, family, seconds}, {SetKind::aff, family, seconds}};
}

std::uint32_t Class::id() const {
  std::uint32_t major = kClassMark | (sticky ? kClassSticky : 0) | (local ? kClassLocal : 0) |
                        (kind == FrontKind::node_port ? kClassNodePort : 0) | (family == Family::v4 ? 4 : 6);
  return major << 16 | (n & 0xffff);
}

std::string Class::chain() const {
  std::string out = local ? "local_" : "";
  if (kind == FrontKind::node_port) out += "np_";
  (out += family_suffix(family)) += "_n";
  return out + std::to_string(n) + (sticky ? "_aff" : "");
}

std::optional<Class> class_of(std::uint32_t id) {
  auto major = id >> 16;
  Class out{.kind = (major & kClassNodePort) != 0 ? FrontKind::node_port : FrontKind::address,
            .family = (major & 0xf) == 6 ? Family::v6 : Family::v4,
            .n = id & 0xffff,
            .local = (major & kClassLocal) != 0,
            .sticky = (major & kClassSticky) != 0};
  if (out.n == 0 || out.id() != id) return std::nullopt;
  return out;
}

std::string class_text(std::uint32_t klass) {
  char text[16];
  std::snprintf(text, sizeof text, "%0x:%0x", klass >> 16, klass & 0xffff);
  return text;
}

std::uint8_t protocol_number(Protocol p) {
  switch (p) {
    case Protocol::tcp:
      return 6;
    case Protocol::udp:
      return 17;
    case Protocol::sctp:
      return 132;
  }
  return 0;
}

Bytes& Bytes::address(const IpAddress& ip) {
  auto b = ip.bytes();
  std::memcpy(raw.data() + size, b.data(), b.size());
  size = static_cast<std::uint8_t>(size + b.size());
  return *this;
}

Bytes& Bytes::proto(Protocol p) {
  raw[size] = protocol_number(p);
  size += 4;
  return *this;
}

Bytes& Bytes::port(int port) {
  raw[size] = static_cast<std::uint8_t>(port >> 8);
  raw[size + 1U] = static_cast<std::uint8_t>(port);
  size += 4;
  return *this;
}

Bytes& Bytes::number(std::uint32_t n) {
  std::memcpy(raw.data() + size, &n, sizeof n);
  size += 4;
  return *this;
}

std::uint32_t Bytes::as_number() const {
  std::uint32_t n = 0;
  std::memcpy(&n, raw.data(), sizeof n);
  return n;
}

bool before(const Element& a, const Element& b) {
  if (a.set != b.set) return a.set < b.set;
  return a.key < b.key;
}

}  // namespace podshim::netproxy
