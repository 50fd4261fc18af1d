#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>

#include "netproxy/nft_userdata.h"

namespace podshim::netproxy {
namespace {

using netlink::Bytes;
using nft::Expressions;

template <typename T>
Bytes bytes_of(const T& v) {
  return {reinterpret_cast<const std::uint8_t*>(&v), sizeof v};
}

class Translator {
 public:
  Expressions translate(const Rule& rule) {
    for (const auto& term : rule.terms) std::visit([this](const auto& t) { put(t); }, term);
    return std::move(out_);
  }

 private:
  // A rule of an inet table that reads an IP header asks for the family first, once.
  void need_family(Family f) {
    if (!family_known_) out_.family(f == Family::v4);
    family_known_ = true;
  }
  // Loads the key into registers from 0 on and returns the first free one.
  int load(const Key& key, Family f) { return load(key.fields, key.modulus, f, 0); }
  int load(const std::vector<Field>& fields, std::uint32_t modulus, Family f, int reg) {
    bool v4 = f == Family::v4;
    for (auto field : fields)
      if (field == Field::saddr || field == Field::daddr) need_family(f);
    for (auto field : fields) {
      switch (field) {
        case Field::saddr:
          out_.source(v4, reg);
          break;
        case Field::daddr:
          out_.destination(v4, reg);
          break;
        case Field::l4proto:
          out_.meta(Expressions::Meta::l4proto, reg);
          break;
        case Field::dport:
          out_.payload(Expressions::Base::transport, 2, 2, reg);
          break;
        case Field::slot:
          out_.random(modulus, reg);
          break;
        case Field::klass:
          out_.priority(reg);
          break;
        case Field::ct_daddr:
          out_.ct_original_destination(v4, reg);
          break;
        case Field::ct_dport:
          out_.ct_original_destination_port(reg);
          break;
        case Field::ct_reply_sport:
          out_.ct_reply_source_port(reg);
          break;
      }
      reg += is_address(field) && !v4 ? 4 : 1;
    }
    return reg;
  }

  void put(const term::Nfproto& t) { need_family(t.family); }
  void put(const term::L4proto& t) {
    auto number = protocol_number(t.protocol);
    out_.meta(Expressions::Meta::l4proto).equal(bytes_of(number));
  }
  void put(const term::LocalSaddr&) {
    std::uint32_t local = RTN_LOCAL;
    out_.fib_source_type().equal(bytes_of(local));
  }
  void put(const term::LocalDaddr&) {
    std::uint32_t local = RTN_LOCAL;
    out_.fib_destination_type().equal(bytes_of(local));
  }
  void put(const term::Dnatted&) { out_.status_dnat(); }
  void put(const term::Saddr& t) {
    need_family(t.cidr.address.family());
    out_.source(t.cidr.address.is_v4());
    within(t.cidr);
  }
  void put(const term::Daddr& t) {
    need_family(t.cidr.address.family());
    out_.destination(t.cidr.address.is_v4(), 0);
    within(t.cidr);
  }
  // The address in register 0.
  void within(const Cidr& cidr) {
    auto network = cidr.network();
    std::vector<std::uint8_t> mask(network.bytes().size());
    for (int i = 0; i < cidr.prefix; i++)
      mask[static_cast<std::size_t>(i / 8)] |= static_cast<std::uint8_t>(0x80 >> i % 8);
    if (cidr.prefix != network.bits()) out_.mask(mask);
    out_.equal(network.bytes());
  }
  void put(const term::In& t) {
    load(t.key, t.set.family);
    out_.in_set(set_name(t.set), t.negate);
  }
  void put(const term::SetPriority& t) {
    load(t.key, t.map.family);
    out_.map(set_name(t.map)).set_priority();
  }
  void put(const term::PutPriority& t) { out_.value(bytes_of(t.klass)).set_priority(); }
  void put(const term::PriorityVmap&) { out_.priority().verdict_map(set_name({SetKind::by_n, Family::v4})); }
  void put(const term::Dnat& t) {
    bool v4 = t.map.family == Family::v4;
    load(t.key, t.map.family);
    out_.map(set_name(t.map)).dnat(v4, v4 ? 1 : 4);
  }
  void put(const term::Update& t) {
    auto f = t.map.family;
    int free = load(t.key, f);
    load(t.data, 0, f, free);
    out_.update(set_name(t.map), free);
  }
  void put(const term::Counter&) { out_.counter(); }
  void put(const term::Jump& t) { out_.jump(t.chain); }
  void put(const term::Goto& t) { out_.go_to(t.chain); }
  void put(const term::Return&) { out_.leave(); }
  void put(const term::Drop&) { out_.verdict(Expressions::Verdict::drop); }
  void put(const term::Reject& t) { t.tcp_reset ? out_.reject_reset() : out_.reject_unreachable(); }
  void put(const term::Masquerade&) { out_.masquerade(); }

  Expressions out_;
  bool family_known_ = false;
};

}  // namespace

nft::Expressions rule_expressions(const Rule& rule) { return Translator().translate(rule); }

std::string rule_requirement(const Rule& rule) {
  std::string out;
  auto need = [&](std::string_view name) { (out += out.empty() ? "" : " ") += name; };
  for (const auto& term : rule.terms) {
    if (std::holds_alternative<term::LocalDaddr>(term) || std::holds_alternative<term::LocalSaddr>(term))
      need("fib (nft_fib_inet)");
    if (std::holds_alternative<term::Dnatted>(term)) need("ct (nft_ct)");
    if (std::holds_alternative<term::Reject>(term)) need("reject (nft_reject_inet)");
    if (std::holds_alternative<term::Masquerade>(term)) need("masq (nft_masq)");
    if (std::holds_alternative<term::Dnat>(term)) need("nat (nft_nat) numgen (nft_numgen)");
    if (std::holds_alternative<term::Update>(term)) need("dynset (nft_set_hash)");
    if (std::holds_alternative<term::Counter>(term)) need("counter (nft_counter)");
  }
  return out.empty() ? "nf_tables rule: " + std::to_string(rule.terms.size()) + " terms" : out;
}

}  // namespace podshim::netproxy
