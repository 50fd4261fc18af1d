#include "netproxy/ruleset.h"

#include <cstdio>
#include <cstring>

namespace podshim::netproxy {
namespace {

constexpr std::uint32_t kClassMark = 0x7000;  // the first digit of our classes: no priority of others begins with it
constexpr std::uint32_t kClassNodePort = 0x0010;

std::string_view family_suffix(Family family) { return family == Family::v4 ? "ip" : "ip6"; }

std::string_view kind_text(SetKind kind) {
  switch (kind) {
    case SetKind::svc:
      return "svc";
    case SetKind::np:
      return "np";
    case SetKind::ep:
      return "ep";
    case SetKind::ep_np:
      return "ep_np";
    case SetKind::vip:
      return "vip";
    case SetKind::hairpin:
      return "hairpin";
    case SetKind::masq_np:
      return "masq_np";
    case SetKind::by_n:
      return "by_n";
  }
  return "?";
}

}  // namespace

std::string set_name(SetId id) {
  std::string out(kind_text(id.kind));
  if (id.kind != SetKind::by_n) (out += '_') += family_suffix(id.family);
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
    case SetKind::vip:
      return {id, {daddr}, {}, "front addresses: other ports are refused"};
    case SetKind::hairpin:
      return {id, {saddr, daddr}, {}, "endpoints that may reach themselves through a front"};
    case SetKind::masq_np:
      return {id, {l4proto, ct_dport}, {}, "node ports whose clients are masqueraded"};
    case SetKind::by_n:
      return {id, {klass}, {}, "class:endpoints -> chain"};
  }
  return {};
}

std::vector<SetId> set_ids(Family family) {
  std::vector<SetId> out;
  for (auto kind :
       {SetKind::svc, SetKind::np, SetKind::ep, SetKind::ep_np, SetKind::vip, SetKind::hairpin, SetKind::masq_np})
    out.push_back({kind, family});
  return out;
}

std::uint32_t class_id(FrontKind kind, Family family, std::uint32_t n) {
  if (n == 0) return kRefuse;
  std::uint32_t major =
      kClassMark | (kind == FrontKind::node_port ? kClassNodePort : 0) | (family == Family::v4 ? 4 : 6);
  return major << 16 | (n & 0xffff);
}

std::string class_text(std::uint32_t klass) {
  char text[16];
  std::snprintf(text, sizeof text, "%0x:%0x", klass >> 16, klass & 0xffff);
  return text;
}

std::string class_chain(FrontKind kind, Family family, std::uint32_t n) {
  std::string out = kind == FrontKind::node_port ? "np_" : "";
  (out += family_suffix(family)) += "_n";
  return out + std::to_string(n);
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

bool before(const Element& a, const Element& b) {
  if (a.set != b.set) return a.set < b.set;
  return a.key < b.key;
}

}  // namespace podshim::netproxy
