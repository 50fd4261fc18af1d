// nf_tables over nfnetlink: tables, chains, rules, sets and elements as messages of one transaction, which the kernel
// takes whole or not at all. Element look-ups and lists are requests of their own. What a rule does is an
// nft::Expressions value (nft_expression.h). Only bytecode that nft 1.0.6 prints may be built: a test lists what the
// callers make.
//
// Closing an nfnetlink socket waits for RCU when elements were deleted in the namespace a moment ago (8-15 ms): see
// docs/cni.md. include/uapi/linux/netfilter/nf_tables.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/netlink/nft_expression.h"
#include "common/netlink/socket.h"

namespace podshim::nft {

using netlink::Bytes;

// Types of set keys and data as nft names them; concatenations are lists. The values are nft's own (datatype.h).
enum class Type : std::uint32_t { ipv4_addr = 7, ipv6_addr = 8, inet_proto = 12, inet_service = 13 };

struct Set {
  std::string name;
  std::uint32_t id = 0;  // unique within the transaction that makes it
  std::vector<Type> key;
  std::vector<Type> data;  // not empty = a map
  bool interval = false;
};

// Fields of a key or of a datum, each padded to four bytes: what a register holds.
class Fields {
 public:
  Fields& bytes(Bytes b);
  Fields& u8(std::uint8_t v) { return bytes({&v, 1}); }
  Fields& be16(std::uint16_t v);
  Bytes view() const { return data_; }
  bool operator==(const Fields&) const = default;

 private:
  std::vector<std::uint8_t> data_;
};

struct Element {
  std::vector<std::uint8_t> key;
  std::vector<std::uint8_t> data;
  std::string comment;  // at most 127 bytes
  bool interval_end = false;
  bool operator==(const Element&) const = default;
};
Element element(const Fields& key, const Fields& data = {}, std::string comment = {});

enum class Hook : std::uint32_t { prerouting = 0, input = 1, forward = 2, output = 3, postrouting = 4 };

struct BaseChain {
  std::string name;
  const char* type;  // "filter" or "nat"
  Hook hook;
  std::int32_t priority;
};

// One batch on one table of family inet.
class Transaction {
 public:
  explicit Transaction(std::string table);

  void add_table(const std::string& comment, bool must_be_new);
  void delete_table();
  void add_chain(const BaseChain& chain);
  void add_chain(const std::string& name);
  void add_rule(const std::string& chain, const Expressions& expressions, const std::string& comment = {});
  void add_set(const Set& set);
  void add_elements(const std::string& set, const std::vector<Element>& elements, bool must_be_new);
  void delete_elements(const std::string& set, const std::vector<Element>& elements);

  // ENOENT names a missing table, set or element; EEXIST what must_be_new refused.
  Result<> commit(netlink::Socket& socket);

 private:
  void begin(const char* op, std::string subject, std::uint16_t message, std::uint16_t flags, std::uint8_t family);
  void put_elements(const std::string& set, const std::vector<Element>& elements);
  std::string table_;
  netlink::Batch batch_;
};

Result<bool> table_exists(netlink::Socket& socket, const std::string& table);
Result<std::optional<Element>> find_element(netlink::Socket& socket, const std::string& table, const std::string& set,
                                            const Element& key);
// ENOENT when the table or the set is missing.
Result<std::vector<Element>> list_elements(netlink::Socket& socket, const std::string& table, const std::string& set);
std::vector<Element> parse_elements(const netlink::Message& message);

}  // namespace podshim::nft
