#include "common/netlink/nft.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>

namespace podshim::nft {
namespace {

using netlink::Attributes;
using netlink::Batch;
using netlink::Message;
using netlink::Socket;

// User data is a list of {type, length, value}; these are libnftnl's numbers for a comment.
constexpr std::uint8_t kComment = 0;
constexpr std::size_t kMaxComment = 127;

nfgenmsg generic(std::uint8_t family, std::uint16_t resource = 0) {
  return {.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource)};
}

std::uint16_t message_type(std::uint16_t message) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message);
}

std::vector<std::uint8_t> comment_data(const std::string& comment) {
  std::string_view text = std::string_view(comment).substr(0, kMaxComment);
  std::vector<std::uint8_t> out(2 + text.size() + 1);  // the last one is the NUL
  out[0] = kComment;
  out[1] = static_cast<std::uint8_t>(text.size() + 1);
  std::copy(text.begin(), text.end(), out.begin() + 2);
  return out;
}

std::string comment_in(Bytes data) {
  while (data.size() >= 2 && data.size() >= std::size_t{2} + data[1]) {
    if (data[0] == kComment) {
      std::string_view text(reinterpret_cast<const char*>(data.data() + 2), data[1]);
      return std::string(text.substr(0, text.find('\0')));
    }
    data = data.subspan(std::size_t{2} + data[1]);
  }
  return {};
}

std::uint32_t size_of(Type t) {
  switch (t) {
    case Type::ipv4_addr:
      return 4;
    case Type::ipv6_addr:
      return 16;
    case Type::inet_proto:
      return 1;
    case Type::inet_service:
      return 2;
  }
  return 0;
}

// nft's number of a concatenation: six bits a type, the last one lowest.
std::uint32_t type_of(const std::vector<Type>& types) {
  std::uint32_t out = 0;
  for (auto t : types) out = out << 6 | static_cast<std::uint32_t>(t);
  return out;
}

std::uint32_t length_of(const std::vector<Type>& types) {
  if (types.size() == 1) return size_of(types.front());
  std::uint32_t out = 0;
  for (auto t : types) out += (size_of(t) + 3) / 4 * 4;
  return out;
}

void put_element(Batch& b, const Element& e) {
  b.nest(NFTA_LIST_ELEM, [&] {
    if (e.interval_end) b.put_be32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
    b.nest(NFTA_SET_ELEM_KEY, [&] { b.put(NFTA_DATA_VALUE, e.key); });
    if (!e.data.empty()) b.nest(NFTA_SET_ELEM_DATA, [&] { b.put(NFTA_DATA_VALUE, e.data); });
    if (!e.comment.empty()) b.put(NFTA_SET_ELEM_USERDATA, comment_data(e.comment));
  });
}

// A look-up or a list of one set.
Batch ask_elements(const char* op, const std::string& table, const std::string& set) {
  Batch b;
  b.begin(op, table, set, message_type(NFT_MSG_GETSETELEM), 0, generic(NFPROTO_INET));
  b.put_string(NFTA_SET_ELEM_LIST_TABLE, table);
  b.put_string(NFTA_SET_ELEM_LIST_SET, set);
  return b;
}

}  // namespace

Fields& Fields::bytes(Bytes b) {
  data_.insert(data_.end(), b.begin(), b.end());
  data_.resize((data_.size() + 3) / 4 * 4);
  return *this;
}

Fields& Fields::be16(std::uint16_t v) {
  v = htons(v);
  return bytes({reinterpret_cast<const std::uint8_t*>(&v), sizeof v});
}

Element element(const Fields& key, const Fields& data, std::string comment) {
  return {.key = {key.view().begin(), key.view().end()},
          .data = {data.view().begin(), data.view().end()},
          .comment = std::move(comment)};
}

Transaction::Transaction(std::string table) : table_(std::move(table)) {
  batch_.begin("begin", "nftables batch", {}, NFNL_MSG_BATCH_BEGIN, 0, generic(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
}

void Transaction::begin(const char* op, std::string subject, std::uint16_t message, std::uint16_t flags,
                        std::uint8_t family) {
  batch_.begin(op, table_, std::move(subject), message_type(message), flags, generic(family));
}

void Transaction::add_table(const std::string& comment, bool must_be_new) {
  begin("add table", {}, NFT_MSG_NEWTABLE, static_cast<std::uint16_t>(NLM_F_CREATE | (must_be_new ? NLM_F_EXCL : 0)),
        NFPROTO_INET);
  batch_.put_string(NFTA_TABLE_NAME, table_);
  batch_.put_be32(NFTA_TABLE_FLAGS, 0);
  batch_.put(NFTA_TABLE_USERDATA, comment_data(comment));
}

void Transaction::delete_table() {
  begin("delete table", {}, NFT_MSG_DELTABLE, 0, NFPROTO_INET);
  batch_.put_string(NFTA_TABLE_NAME, table_);
}

void Transaction::add_chain(const BaseChain& chain) {
  begin("add chain", chain.name, NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFPROTO_INET);
  batch_.put_string(NFTA_CHAIN_TABLE, table_);
  batch_.put_string(NFTA_CHAIN_NAME, chain.name);
  batch_.nest(NFTA_CHAIN_HOOK, [&] {
    batch_.put_be32(NFTA_HOOK_HOOKNUM, static_cast<std::uint32_t>(chain.hook));
    batch_.put_be32(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(chain.priority));
  });
  batch_.put_be32(NFTA_CHAIN_POLICY, NF_ACCEPT);
  batch_.put_string(NFTA_CHAIN_TYPE, chain.type);
}

void Transaction::add_chain(const std::string& name) {
  begin("add chain", name, NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFPROTO_INET);
  batch_.put_string(NFTA_CHAIN_TABLE, table_);
  batch_.put_string(NFTA_CHAIN_NAME, name);
}

void Transaction::add_rule(const std::string& chain, const Expressions& expressions, const std::string& comment) {
  begin("add rule", chain, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, NFPROTO_INET);
  batch_.put_string(NFTA_RULE_TABLE, table_);
  batch_.put_string(NFTA_RULE_CHAIN, chain);
  batch_.nest(NFTA_RULE_EXPRESSIONS, [&] { expressions.write(batch_); });
  if (!comment.empty()) batch_.put(NFTA_RULE_USERDATA, comment_data(comment));
}

void Transaction::add_set(const Set& set) {
  begin("add set", set.name, NFT_MSG_NEWSET, NLM_F_CREATE, NFPROTO_INET);
  batch_.put_string(NFTA_SET_TABLE, table_);
  batch_.put_string(NFTA_SET_NAME, set.name);
  batch_.put_be32(NFTA_SET_ID, set.id);
  batch_.put_be32(NFTA_SET_FLAGS, static_cast<std::uint32_t>((set.interval ? NFT_SET_INTERVAL : 0) |
                                                             (set.data.empty() ? 0 : NFT_SET_MAP)));
  batch_.put_be32(NFTA_SET_KEY_TYPE, type_of(set.key));
  batch_.put_be32(NFTA_SET_KEY_LEN, length_of(set.key));
  if (set.data.empty()) return;
  batch_.put_be32(NFTA_SET_DATA_TYPE, type_of(set.data));
  batch_.put_be32(NFTA_SET_DATA_LEN, length_of(set.data));
}

void Transaction::put_elements(const std::string& set, const std::vector<Element>& elements) {
  batch_.put_string(NFTA_SET_ELEM_LIST_TABLE, table_);
  batch_.put_string(NFTA_SET_ELEM_LIST_SET, set);
  batch_.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
    for (const auto& e : elements) put_element(batch_, e);
  });
}

void Transaction::add_elements(const std::string& set, const std::vector<Element>& elements, bool must_be_new) {
  begin("add element", set, NFT_MSG_NEWSETELEM,
        static_cast<std::uint16_t>(NLM_F_CREATE | (must_be_new ? NLM_F_EXCL : 0)), NFPROTO_INET);
  put_elements(set, elements);
}

void Transaction::delete_elements(const std::string& set, const std::vector<Element>& elements) {
  begin("delete element", set, NFT_MSG_DELSETELEM, 0, NFPROTO_INET);
  std::vector<Element> keys = elements;
  for (auto& e : keys) {
    e.data.clear();
    e.comment.clear();
  }
  put_elements(set, keys);
}

Result<> Transaction::commit(Socket& socket) {
  batch_.begin("end", "nftables batch", {}, NFNL_MSG_BATCH_END, 0, generic(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
  return socket.transact(batch_);
}

Result<bool> table_exists(Socket& socket, const std::string& table) {
  Batch b;
  b.begin("find table", table, {}, message_type(NFT_MSG_GETTABLE), 0, generic(NFPROTO_INET));
  b.put_string(NFTA_TABLE_NAME, table);
  auto found = socket.query(b, [](const Message&) {});
  if (!found && found.error().is(ENOENT)) return false;
  TRY(found);
  return true;
}

std::vector<Element> parse_elements(const Message& m) {
  std::vector<Element> out;
  m.attributes<nfgenmsg>().nested(NFTA_SET_ELEM_LIST_ELEMENTS).each([&](const netlink::Attribute& item) {
    Attributes a(item.payload);
    Element e;
    auto key = a.nested(NFTA_SET_ELEM_KEY).find(NFTA_DATA_VALUE).value_or(Bytes{});
    auto data = a.nested(NFTA_SET_ELEM_DATA).find(NFTA_DATA_VALUE).value_or(Bytes{});
    e.key.assign(key.begin(), key.end());
    e.data.assign(data.begin(), data.end());
    e.interval_end = (a.be32(NFTA_SET_ELEM_FLAGS).value_or(0) & NFT_SET_ELEM_INTERVAL_END) != 0;
    e.comment = comment_in(a.find(NFTA_SET_ELEM_USERDATA).value_or(Bytes{}));
    out.push_back(std::move(e));
  });
  return out;
}

Result<std::optional<Element>> find_element(Socket& socket, const std::string& table, const std::string& set,
                                            const Element& key) {
  Batch b = ask_elements("find element", table, set);
  b.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] { put_element(b, {.key = key.key}); });
  std::optional<Element> out;
  auto asked = socket.query(b, [&](const Message& m) {
    auto found = parse_elements(m);
    if (!found.empty()) out = std::move(found.front());
  });
  if (!asked && asked.error().is(ENOENT)) return std::nullopt;
  TRY(asked);
  return out;
}

Result<std::vector<Element>> list_elements(Socket& socket, const std::string& table, const std::string& set) {
  Batch b = ask_elements("list elements", table, set);
  std::vector<Element> out;
  TRY(socket.dump(b, [&](const Message& m) {
    auto found = parse_elements(m);
    std::move(found.begin(), found.end(), std::back_inserter(out));
  }));
  return out;
}

}  // namespace podshim::nft
