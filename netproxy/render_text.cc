#include "netproxy/render_text.h"

#include <algorithm>
#include <cstring>

namespace podshim::netproxy {
namespace {

template <typename... Fs>
struct Overload : Fs... {
  using Fs::operator()...;
};

std::string_view protocol_text(std::uint8_t number) {
  switch (number) {
    case 6:
      return "tcp";
    case 17:
      return "udp";
    case 132:
      return "sctp";
  }
  return "?";
}

std::string_view family_text(Family f) { return f == Family::v4 ? "ip" : "ip6"; }

// A field as an expression of a rule.
std::string field_text(Field field, Family f, std::uint32_t modulus) {
  std::string ip(family_text(f));
  switch (field) {
    case Field::saddr:
      return ip + " saddr";
    case Field::daddr:
      return ip + " daddr";
    case Field::l4proto:
      return "meta l4proto";
    case Field::dport:
      return "th dport";
    case Field::slot:
      return "numgen random mod " + std::to_string(modulus);
    case Field::klass:
      return "meta priority";
    case Field::ct_daddr:
      return "ct original " + ip + " daddr";
    case Field::ct_dport:
      return "ct original proto-dst";
    case Field::ct_reply_sport:
      return "ct reply proto-src";
  }
  return "?";
}

// A field as a plain type of a set.
std::string_view type_text(Field field, Family f) {
  switch (field) {
    case Field::saddr:
    case Field::daddr:
    case Field::ct_daddr:
      return f == Family::v4 ? "ipv4_addr" : "ipv6_addr";
    case Field::l4proto:
      return "inet_proto";
    case Field::dport:
    case Field::ct_dport:
    case Field::ct_reply_sport:
      return "inet_service";
    case Field::klass:
      return "classid";
    case Field::slot:
      return "integer";
  }
  return "?";
}

template <typename Text>
std::string joined(const std::vector<Field>& fields, Text text) {
  std::string out;
  for (auto field : fields) (out += out.empty() ? "" : " . ") += text(field);
  return out;
}

std::string key_text(const Key& key, Family f) {
  return joined(key.fields, [&](Field field) { return field_text(field, f, key.modulus); });
}

std::string bytes_text(const Bytes& bytes, const std::vector<Field>& fields, Family f) {
  const auto* at = bytes.raw.data();
  return joined(fields, [&](Field field) -> std::string {
    const auto* here = at;
    std::uint32_t number = 0;
    std::size_t length = is_address(field) && f == Family::v6 ? 16 : 4;
    at += length;
    if (is_address(field)) return IpAddress::from_bytes(f, {here, length}).str();
    if (field == Field::l4proto) return std::string(protocol_text(*here));
    if (field == Field::dport || field == Field::ct_dport) return std::to_string(here[0] << 8 | here[1]);
    std::memcpy(&number, here, sizeof number);
    return field == Field::klass ? class_text(number) : std::to_string(number);
  });
}

// A range as nft prints it: "192.0.2.0/24", a plain address when it is one.
std::string range_text(const Element& e, const SetDecl& decl) {
  auto f = e.set.family;
  std::size_t length = f == Family::v4 ? 4 : 16;
  auto out = bytes_text(e.key, decl.key, f);
  auto first = e.key.view().last(length), last = e.data.view().last(length);
  int prefix = 0;
  while (prefix < static_cast<int>(length) * 8 &&
         ((first[static_cast<std::size_t>(prefix / 8)] ^ last[static_cast<std::size_t>(prefix / 8)]) &
          (0x80 >> prefix % 8)) == 0)
    prefix++;
  return prefix == static_cast<int>(length) * 8 ? out : out + "/" + std::to_string(prefix);
}

std::string time_text(std::uint32_t seconds) {
  std::string out;
  auto part = [&](std::uint32_t unit, const char* name) {
    if (seconds >= unit) out += std::to_string(seconds / unit) + name;
    seconds %= unit;
  };
  part(86400, "d");
  part(3600, "h");
  part(60, "m");
  part(1, "s");
  return out;
}

// A single address without its length.
std::string cidr_text(const Cidr& c) { return c.prefix == c.address.bits() ? c.address.str() : c.str(); }

std::string in_text(const term::In& t) {
  return key_text(t.key, t.set.family) + (t.negate ? " != @" : " @") + set_name(t.set);
}

std::string term_text(const Term& term) {
  return std::visit(
      Overload{
          [](const term::Nfproto& t) { return "meta nfproto ipv" + std::string(t.family == Family::v4 ? "4" : "6"); },
          [](const term::L4proto& t) {
            return "meta l4proto " + std::string(protocol_text(protocol_number(t.protocol)));
          },
          [](const term::LocalSaddr&) { return std::string("fib saddr type local"); },
          [](const term::LocalDaddr&) { return std::string("fib daddr type local"); },
          [](const term::Dnatted&) { return std::string("ct status dnat"); },
          [](const term::Saddr& t) {
            return std::string(family_text(t.cidr.address.family())) + " saddr " + cidr_text(t.cidr);
          },
          [](const term::Daddr& t) {
            return std::string(family_text(t.cidr.address.family())) + " daddr " + cidr_text(t.cidr);
          },
          [](const term::In& t) { return in_text(t); },
          [](const term::SetPriority& t) {
            return "meta priority set " + key_text(t.key, t.map.family) + " map @" + set_name(t.map);
          },
          [](const term::PutPriority& t) {
            return "meta priority set " + (t.klass == 0 ? "none" : class_text(t.klass));
          },
          [](const term::PriorityVmap&) { return std::string("meta priority vmap @by_n"); },
          [](const term::Dnat& t) {
            return "dnat " + std::string(family_text(t.map.family)) + " to " + key_text(t.key, t.map.family) +
                   " map @" + set_name(t.map);
          },
          [](const term::Update& t) {
            return "update @" + set_name(t.map) + " { " + key_text(t.key, t.map.family) + " : " +
                   key_text({t.data}, t.map.family) + " }";
          },
          [](const term::Counter&) { return std::string("counter packets 0 bytes 0"); },
          [](const term::Jump& t) { return "jump " + t.chain; },
          [](const term::Goto& t) { return "goto " + t.chain; },
          [](const term::Return&) { return std::string("return"); },
          [](const term::Drop&) { return std::string("drop"); },
          [](const term::Reject& t) { return std::string(t.tcp_reset ? "reject with tcp reset" : "reject"); },
          [](const term::Masquerade&) { return std::string("masquerade"); },
      },
      term);
}

std::string hook_text(Hook hook) {
  switch (hook) {
    case Hook::prerouting:
      return "type nat hook prerouting priority dstnat; policy accept;";
    case Hook::input:
      return "type nat hook input priority 100; policy accept;";
    case Hook::output:
      return "type nat hook output priority -100; policy accept;";
    case Hook::postrouting:
      return "type nat hook postrouting priority srcnat; policy accept;";
  }
  return "";
}

// nft names an integer of a key only by an expression that yields it (docs/nftables.md): typeof where a slot is.
std::string set_type(const SetDecl& s) {
  auto f = s.id.family;
  if (s.id.kind == SetKind::by_n) return "type classid : verdict";
  bool by_expression = std::ranges::find(s.key, Field::slot) != s.key.end();
  auto side = [&](const std::vector<Field>& fields) {
    return joined(fields, [&](Field field) {
      return by_expression ? field_text(field, f, 65535) : std::string(type_text(field, f));
    });
  };
  return (by_expression ? "typeof " : "type ") + side(s.key) + (s.data.empty() ? "" : " : " + side(s.data));
}

void set_text(const SetDecl& s, const std::vector<std::string>& elements, std::string& out) {
  out += std::string("\t") + (s.is_map() ? "map " : "set ") + set_name(s.id) + " {\n\t\t" + set_type(s) + "\n";
  if (s.is_interval()) out += "\t\tflags interval\n";
  if (s.is_dynamic())
    out += "\t\tsize " + std::to_string(kMaxClients) + "\n\t\tflags dynamic,timeout\n\t\ttimeout " +
           time_text(s.id.seconds) + "\n";
  if (!s.comment.empty()) out += "\t\tcomment \"" + s.comment + "\"\n";
  for (std::size_t i = 0; i < elements.size(); i++)
    out += (i == 0 ? "\t\telements = { " : ",\n\t\t\t     ") + elements[i];
  if (!elements.empty()) out += " }\n";
  out += "\t}\n\n";
}

void chain_text(const Chain& chain, std::string& out) {
  out += "\tchain " + chain.name + " {\n";
  if (chain.hook) out += "\t\t" + hook_text(*chain.hook) + "\n";
  for (const auto& rule : chain.rules) out += "\t\t" + rule_text(rule) + "\n";
  out += "\t}\n";
}

std::string class_element(const Chain& chain) { return class_text(*chain.class_id) + " : goto " + chain.name; }

}  // namespace

std::string element_text(const Element& e) {
  auto decl = set_decl(e.set);
  auto out = decl.is_interval() ? range_text(e, decl) : bytes_text(e.key, decl.key, e.set.family);
  if (!e.comment.empty()) out += " comment \"" + e.comment + "\"";
  if (!decl.data.empty()) out += " : " + bytes_text(e.data, decl.data, e.set.family);
  return out;
}

std::string rule_text(const Rule& rule) {
  std::string out;
  for (const auto& term : rule.terms) (out += out.empty() ? "" : " ") += term_text(term);
  if (!rule.comment.empty()) out += " comment \"" + rule.comment + "\"";
  return out;
}

std::string render_text(const Ruleset& ruleset) {
  std::string out = std::string("table inet ") + kTable + " {\n";
  for (const auto& set : ruleset.sets) {
    std::vector<std::string> elements;
    for (const auto& e : ruleset.elements)
      if (e.set == set.id) elements.push_back(element_text(e));
    if (set.id.kind == SetKind::by_n) {
      std::vector<const Chain*> chains;
      for (const auto& chain : ruleset.chains)
        if (chain.class_id) chains.push_back(&chain);
      std::ranges::sort(chains, {}, [](const Chain* c) { return *c->class_id; });
      for (const auto* chain : chains) elements.push_back(class_element(*chain));
    }
    set_text(set, elements, out);
  }
  for (std::size_t i = 0; i < ruleset.chains.size(); i++) {
    if (i != 0) out += "\n";
    chain_text(ruleset.chains[i], out);
  }
  return out + "}\n";
}

std::string render_text(const Plan& plan) {
  std::string out, table = std::string(" inet ") + kTable + " ";
  for (const auto& t : plan.timeouts)
    out += "# " + std::string(family_text(t.family)) + " session affinity of " + time_text(t.seconds) + "\n";
  for (const auto& chain : plan.chains) {
    out += "add chain" + table + chain.name + "\n";
    for (const auto& rule : chain.rules) out += "add rule" + table + chain.name + " " + rule_text(rule) + "\n";
    out += "add element" + table + "by_n { " + class_element(chain) + " }\n";
  }
  auto remembered = [&](const char* verb, const Remembered& r) {
    auto text = element_text({.set = r.map, .key = r.key, .data = r.data});
    out += verb + table + set_name(r.map) + " { " + text + " }\n";
  };
  for (const auto& r : plan.forgotten) remembered("delete element", r);
  for (bool add : {false, true}) {
    auto line = [&](const Change& c) {
      if (c.add == add)
        out += (add ? "add element" : "delete element") + table + set_name(c.element.set) + " { " +
               element_text(c.element) + " }\n";
    };
    for (const auto& service : plan.services) std::ranges::for_each(service.changes, line);
    std::ranges::for_each(plan.shared_changes, line);
  }
  for (const auto& r : plan.carried) remembered("add element", r);
  return out;
}

}  // namespace podshim::netproxy
