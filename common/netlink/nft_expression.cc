#include "common/netlink/nft_expression.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>

namespace podshim::nft {
namespace {

std::vector<std::uint8_t> be32(std::uint32_t v) {
  v = htonl(v);
  const auto* p = reinterpret_cast<const std::uint8_t*>(&v);
  return {p, p + sizeof v};
}

std::vector<std::uint8_t> text(const std::string& s) { return {s.c_str(), s.c_str() + s.size() + 1}; }
std::vector<std::uint8_t> copy(netlink::Bytes b) { return {b.begin(), b.end()}; }
// The four 16-byte registers name the same storage; nft prints either form.
std::vector<std::uint8_t> reg32(int reg) { return be32(static_cast<std::uint32_t>(NFT_REG32_00 + reg)); }

}  // namespace

Expressions& Expressions::payload(Base base, std::uint32_t offset, std::uint32_t length, int reg) {
  all_.push_back({.name = "payload",
                  .fields = {{NFTA_PAYLOAD_DREG, reg32(reg)},
                             {NFTA_PAYLOAD_BASE, be32(static_cast<std::uint32_t>(base))},
                             {NFTA_PAYLOAD_OFFSET, be32(offset)},
                             {NFTA_PAYLOAD_LEN, be32(length)}}});
  return *this;
}

Expressions& Expressions::meta(Meta key, int reg) {
  all_.push_back({.name = "meta",
                  .fields = {{NFTA_META_KEY, be32(static_cast<std::uint32_t>(key))}, {NFTA_META_DREG, reg32(reg)}}});
  return *this;
}

Expressions& Expressions::ct_status(int reg) {
  all_.push_back({.name = "ct", .fields = {{NFTA_CT_KEY, be32(NFT_CT_STATUS)}, {NFTA_CT_DREG, reg32(reg)}}});
  return *this;
}

Expressions& Expressions::fib_type(std::uint32_t flag, int reg) {
  all_.push_back({.name = "fib",
                  .fields = {{NFTA_FIB_DREG, reg32(reg)},
                             {NFTA_FIB_RESULT, be32(NFT_FIB_RESULT_ADDRTYPE)},
                             {NFTA_FIB_FLAGS, be32(flag)}}});
  return *this;
}

Expressions& Expressions::fib_destination_type(int reg) { return fib_type(NFTA_FIB_F_DADDR, reg); }
Expressions& Expressions::fib_source_type(int reg) { return fib_type(NFTA_FIB_F_SADDR, reg); }

Expressions& Expressions::mask(netlink::Bytes mask, int reg) {
  all_.push_back({.name = "bitwise",
                  .fields = {{NFTA_BITWISE_SREG, reg32(reg)},
                             {NFTA_BITWISE_DREG, reg32(reg)},
                             {NFTA_BITWISE_LEN, be32(static_cast<std::uint32_t>(mask.size()))},
                             {NFTA_BITWISE_MASK, copy(mask), true},
                             {NFTA_BITWISE_XOR, std::vector<std::uint8_t>(mask.size()), true}}});
  return *this;
}

Expressions& Expressions::compare(std::uint32_t op, netlink::Bytes value, int reg) {
  all_.push_back(
      {.name = "cmp",
       .fields = {{NFTA_CMP_SREG, reg32(reg)}, {NFTA_CMP_OP, be32(op)}, {NFTA_CMP_DATA, copy(value), true}}});
  return *this;
}

Expressions& Expressions::in_set(const std::string& set, bool inverted, int reg) {
  all_.push_back({.name = "lookup",
                  .fields = {{NFTA_LOOKUP_SET, text(set)},
                             {NFTA_LOOKUP_SREG, reg32(reg)},
                             {NFTA_LOOKUP_FLAGS, be32(inverted ? NFT_LOOKUP_F_INV : 0)}}});
  return *this;
}

Expressions& Expressions::map(const std::string& map, int to_reg, int reg) {
  all_.push_back(
      {.name = "lookup",
       .fields = {{NFTA_LOOKUP_SET, text(map)}, {NFTA_LOOKUP_SREG, reg32(reg)}, {NFTA_LOOKUP_DREG, reg32(to_reg)}}});
  return *this;
}

Expressions& Expressions::immediate(std::int32_t code, const std::string& chain) {
  Expression e{.name = "immediate", .fields = {{NFTA_IMMEDIATE_DREG, be32(NFT_REG_VERDICT)}}};
  e.verdict.push_back({NFTA_VERDICT_CODE, be32(static_cast<std::uint32_t>(code))});
  if (!chain.empty()) e.verdict.push_back({NFTA_VERDICT_CHAIN, text(chain)});
  all_.push_back(std::move(e));
  return *this;
}

Expressions& Expressions::verdict(Verdict v) { return immediate(v == Verdict::drop ? NF_DROP : NF_ACCEPT, {}); }
Expressions& Expressions::jump(const std::string& chain) { return immediate(NFT_JUMP, chain); }

Expressions& Expressions::dnat(bool v4, int port_reg) {
  all_.push_back({.name = "nat",
                  .fields = {{NFTA_NAT_TYPE, be32(NFT_NAT_DNAT)},
                             {NFTA_NAT_FAMILY, be32(v4 ? NFPROTO_IPV4 : NFPROTO_IPV6)},
                             {NFTA_NAT_REG_ADDR_MIN, reg32(0)},
                             {NFTA_NAT_REG_PROTO_MIN, reg32(port_reg)}}});
  return *this;
}

Expressions& Expressions::masquerade() {
  all_.push_back({.name = "masq"});
  return *this;
}

Expressions& Expressions::value(netlink::Bytes value, int reg) {
  all_.push_back(
      {.name = "immediate", .fields = {{NFTA_IMMEDIATE_DREG, reg32(reg)}, {NFTA_IMMEDIATE_DATA, copy(value), true}}});
  return *this;
}

Expressions& Expressions::random(std::uint32_t modulus, int reg) {
  all_.push_back({.name = "numgen",
                  .fields = {{NFTA_NG_DREG, reg32(reg)},
                             {NFTA_NG_MODULUS, be32(modulus)},
                             {NFTA_NG_TYPE, be32(NFT_NG_RANDOM)},
                             {NFTA_NG_OFFSET, be32(0)}}});
  return *this;
}

Expressions& Expressions::priority(int reg) {
  all_.push_back({.name = "meta", .fields = {{NFTA_META_KEY, be32(NFT_META_PRIORITY)}, {NFTA_META_DREG, reg32(reg)}}});
  return *this;
}

Expressions& Expressions::set_priority(int reg) {
  all_.push_back({.name = "meta", .fields = {{NFTA_META_KEY, be32(NFT_META_PRIORITY)}, {NFTA_META_SREG, reg32(reg)}}});
  return *this;
}

Expressions& Expressions::ct_tuple(std::uint32_t key, std::uint8_t direction, int reg) {
  all_.push_back({.name = "ct",
                  .fields = {{NFTA_CT_KEY, be32(key)}, {NFTA_CT_DREG, reg32(reg)}, {NFTA_CT_DIRECTION, {direction}}}});
  return *this;
}

Expressions& Expressions::ct_original_destination(bool v4, int reg) {
  return ct_tuple(v4 ? NFT_CT_DST_IP : NFT_CT_DST_IP6, IP_CT_DIR_ORIGINAL, reg);
}
Expressions& Expressions::ct_original_destination_port(int reg) {
  return ct_tuple(NFT_CT_PROTO_DST, IP_CT_DIR_ORIGINAL, reg);
}
Expressions& Expressions::ct_reply_source_port(int reg) { return ct_tuple(NFT_CT_PROTO_SRC, IP_CT_DIR_REPLY, reg); }

Expressions& Expressions::update(const std::string& map, int data_reg) {
  all_.push_back({.name = "dynset",
                  .fields = {{NFTA_DYNSET_SET_NAME, text(map)},
                             {NFTA_DYNSET_OP, be32(NFT_DYNSET_OP_UPDATE)},
                             {NFTA_DYNSET_SREG_KEY, reg32(0)},
                             {NFTA_DYNSET_SREG_DATA, reg32(data_reg)}}});
  return *this;
}

Expressions& Expressions::counter() {
  all_.push_back({.name = "counter"});
  return *this;
}

Expressions& Expressions::verdict_map(const std::string& map, int reg) {
  all_.push_back(
      {.name = "lookup",
       .fields = {
           {NFTA_LOOKUP_SET, text(map)}, {NFTA_LOOKUP_SREG, reg32(reg)}, {NFTA_LOOKUP_DREG, be32(NFT_REG_VERDICT)}}});
  return *this;
}

Expressions& Expressions::go_to(const std::string& chain) { return immediate(NFT_GOTO, chain); }
Expressions& Expressions::leave() { return immediate(NFT_RETURN, {}); }

Expressions& Expressions::reject_reset() {
  all_.push_back(
      {.name = "reject",
       .fields = {{NFTA_REJECT_TYPE, be32(NFT_REJECT_TCP_RST)}, {NFTA_REJECT_ICMP_CODE, {std::uint8_t{0}}}}});
  return *this;
}

Expressions& Expressions::reject_unreachable() {
  all_.push_back({.name = "reject",
                  .fields = {{NFTA_REJECT_TYPE, be32(NFT_REJECT_ICMPX_UNREACH)},
                             {NFTA_REJECT_ICMP_CODE, {std::uint8_t{NFT_REJECT_ICMPX_PORT_UNREACH}}}}});
  return *this;
}

Expressions& Expressions::family(bool v4) {
  std::uint8_t family = v4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
  return meta(Meta::nfproto).equal({&family, 1});
}

Expressions& Expressions::status_dnat() {
  std::uint32_t bit = IPS_DST_NAT;  // in the host's byte order
  std::uint32_t zero = 0;
  ct_status();
  mask({reinterpret_cast<const std::uint8_t*>(&bit), sizeof bit});
  return not_equal({reinterpret_cast<const std::uint8_t*>(&zero), sizeof zero});
}

Expressions& Expressions::source(bool v4, int reg) { return payload(Base::network, v4 ? 12 : 8, v4 ? 4 : 16, reg); }
Expressions& Expressions::destination(bool v4, int reg) {
  return payload(Base::network, v4 ? 16 : 24, v4 ? 4 : 16, reg);
}

void Expressions::write(netlink::Batch& b) const {
  for (const auto& e : all_) {
    b.nest(NFTA_LIST_ELEM, [&] {
      b.put_string(NFTA_EXPR_NAME, e.name);
      if (e.fields.empty()) return;
      b.nest(NFTA_EXPR_DATA, [&] {
        for (const auto& f : e.fields) {
          if (!f.data) {
            b.put(f.type, f.value);
          } else {
            b.nest(f.type, [&] { b.put(NFTA_DATA_VALUE, f.value); });
          }
        }
        if (e.verdict.empty()) return;
        b.nest(NFTA_IMMEDIATE_DATA, [&] {
          b.nest(NFTA_DATA_VERDICT, [&] {
            for (const auto& f : e.verdict) b.put(f.type, f.value);
          });
        });
      });
    });
  }
}

}  // namespace podshim::nft
