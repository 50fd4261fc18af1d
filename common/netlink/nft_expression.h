// The expressions of one nf_tables rule, in order, as netlink attributes. Each method appends one expression; registers
// are 32-bit ones numbered 0..15 (NFT_REG32_00...), as concatenations need them. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/netlink/message.h"

namespace podshim::nft {

class Expressions {
 public:
  enum class Base : std::uint32_t { link = 0, network = 1, transport = 2 };
  enum class Meta : std::uint32_t { iifname = 6, nfproto = 15, l4proto = 16 };
  enum class Verdict { accept, drop };

  Expressions& payload(Base base, std::uint32_t offset, std::uint32_t length, int reg = 0);
  Expressions& meta(Meta key, int reg = 0);
  Expressions& ct_status(int reg = 0);
  Expressions& fib_destination_type(int reg = 0);
  Expressions& fib_source_type(int reg = 0);
  Expressions& mask(netlink::Bytes mask, int reg = 0);
  Expressions& equal(netlink::Bytes value, int reg = 0) { return compare(0, value, reg); }
  Expressions& not_equal(netlink::Bytes value, int reg = 0) { return compare(1, value, reg); }
  Expressions& in_set(const std::string& set, bool inverted = false, int reg = 0);
  Expressions& map(const std::string& map, int to_reg = 0, int reg = 0);
  Expressions& verdict(Verdict v);
  Expressions& jump(const std::string& chain);
  // The address is in register 0, the port in `port_reg`.
  Expressions& dnat(bool v4, int port_reg);
  Expressions& masquerade();

  // What a balancer needs beyond that.
  Expressions& value(netlink::Bytes value, int reg = 0);       // a constant
  Expressions& random(std::uint32_t modulus, int reg = 0);     // numgen random mod
  Expressions& priority(int reg = 0);                          // meta priority
  Expressions& set_priority(int reg = 0);                      // meta priority set
  Expressions& ct_original_destination(bool v4, int reg = 0);  // ct original ip|ip6 daddr
  Expressions& ct_original_destination_port(int reg = 0);      // ct original proto-dst
  Expressions& ct_reply_source_port(int reg = 0);              // ct reply proto-src
  // update @map { key : data }: the key begins in register 0, the data in `data_reg`.
  Expressions& update(const std::string& map, int data_reg);
  Expressions& counter();
  Expressions& verdict_map(const std::string& map, int reg = 0);  // vmap
  Expressions& go_to(const std::string& chain);
  Expressions& leave();               // return
  Expressions& reject_reset();        // reject with tcp reset
  Expressions& reject_unreachable();  // reject: icmpx port-unreachable

  // Combinations that many rules share.
  Expressions& family(bool v4);                    // meta nfproto ipv4|ipv6
  Expressions& status_dnat();                      // ct status dnat
  Expressions& source(bool v4, int reg = 0);       // ip|ip6 saddr
  Expressions& destination(bool v4, int reg = 0);  // ip|ip6 daddr

  // Appends the expressions as the elements of the rule's list.
  void write(netlink::Batch& batch) const;

 private:
  struct Field {
    std::uint16_t type;
    std::vector<std::uint8_t> value;
    bool data = false;  // wrapped in NFTA_DATA_VALUE
  };
  struct Expression {
    std::string name;
    std::vector<Field> fields;
    std::vector<Field> verdict;  // nested inside NFTA_IMMEDIATE_DATA
  };
  Expressions& compare(std::uint32_t op, netlink::Bytes value, int reg);
  Expressions& ct_tuple(std::uint32_t key, std::uint8_t direction, int reg);
  Expressions& fib_type(std::uint32_t flag, int reg);
  Expressions& immediate(std::int32_t code, const std::string& chain);
  std::vector<Expression> all_;
};

}  // namespace podshim::nft
