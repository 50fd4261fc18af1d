#include "netproxy/render_netlink.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>

#include "netproxy/nft_userdata.h"

namespace podshim::netproxy {
namespace {

using netlink::Batch;

constexpr std::size_t kMaxMessage = 60000;  // an attribute's length has 16 bits
constexpr std::uint32_t kProbeTimeout = 1;
constexpr std::int32_t kPriorityDstnat = -100, kPrioritySrcnat = 100;

nfgenmsg generic(std::uint8_t family, std::uint16_t resource = 0) {
  return {.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource)};
}
constexpr std::uint16_t message(std::uint16_t type) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type);
}

// nft's own numbers of the types that a set is made of (its datatype.h); six bits each in a concatenation.
std::uint32_t type_number(Field field, Family f) {
  switch (field) {
    case Field::slot:
      return 4;  // integer
    case Field::saddr:
    case Field::daddr:
    case Field::ct_daddr:
      return f == Family::v4 ? 7 : 8;  // ipv4_addr, ipv6_addr
    case Field::l4proto:
      return 12;
    case Field::dport:
    case Field::ct_dport:
    case Field::ct_reply_sport:
      return 13;
    case Field::klass:
      return 23;  // classid
  }
  return 0;
}

std::uint32_t type_of(const std::vector<Field>& fields, Family f) {
  std::uint32_t out = 0;
  for (auto field : fields) out = out << 6 | type_number(field, f);
  return out;
}

std::uint32_t length_of(const std::vector<Field>& fields, Family f) {
  std::uint32_t out = 0;
  for (auto field : fields) out += is_address(field) && f == Family::v6 ? 16 : 4;
  return out;
}

// Without the padding to a register, as the description of a concatenation of ranges has it.
std::uint32_t plain_length(Field field, Family f) {
  if (is_address(field)) return f == Family::v4 ? 4 : 16;
  return field == Field::l4proto ? 1 : 2;
}

std::uint32_t flags_of(const SetDecl& s) {
  std::uint32_t out = s.is_map() ? NFT_SET_MAP : 0;
  if (s.is_interval()) out |= NFT_SET_INTERVAL | NFT_SET_CONCAT;
  if (s.is_dynamic()) out |= NFT_SET_TIMEOUT | NFT_SET_EVAL;
  return out;
}

class Writer {
 public:
  Writer() { control("begin", NFNL_MSG_BATCH_BEGIN); }

  NftBatch done() && {
    control("end", NFNL_MSG_BATCH_END);
    return std::move(out_);
  }
  // Without its end, a batch is checked and thrown away.
  Batch unfinished() && { return std::move(out_.batch); }
  std::size_t requests() const { return out_.service_of.size(); }

  void table(bool add) {
    begin(add ? "add table" : "delete table", "", add ? NFT_MSG_NEWTABLE : NFT_MSG_DELTABLE, add ? NLM_F_CREATE : 0);
    b().put_string(NFTA_TABLE_NAME, kTable);
    if (!add) return;
    b().put_be32(NFTA_TABLE_FLAGS, 0);
  }
  void set(const SetDecl& s);
  void chain(const Chain& c);
  void rules(const Chain& c);
  void rule(const std::string& chain, const Rule& r);
  void class_element(const Chain& c);
  // `elements` are of any set; runs of one set share messages.
  void elements(bool add, const std::vector<const Element*>& elements, const std::string& subject, std::size_t service);
  void remembered(bool add, const std::vector<Remembered>& list);
  void layout(const LayoutFacts& facts);
  void timeout(const Timeout& timeout);
  void plan(const Plan& plan);

 private:
  Batch& b() { return out_.batch; }
  void control(const char* op, std::uint16_t type) {
    b().begin(op, "nftables batch", {}, type, 0, generic(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
    out_.service_of.push_back(NftBatch::kNoService);
  }
  void begin(const char* op, std::string subject, std::uint16_t type, std::uint16_t flags,
             std::size_t service = NftBatch::kNoService) {
    b().begin(op, std::move(subject), {}, message(type), flags, generic(NFPROTO_INET));
    out_.service_of.push_back(service);
  }
  void element(bool add, const Element& e);
  NftBatch out_;
  std::uint32_t next_set_ = 1;  // unique within a transaction
};

void Writer::set(const SetDecl& s) {
  auto f = s.id.family;
  bool verdicts = s.id.kind == SetKind::by_n;
  begin("add set", set_name(s.id), NFT_MSG_NEWSET, NLM_F_CREATE);
  b().put_string(NFTA_SET_TABLE, kTable);
  b().put_string(NFTA_SET_NAME, set_name(s.id));
  b().put_be32(NFTA_SET_FLAGS, flags_of(s));
  b().put_be32(NFTA_SET_KEY_TYPE, type_of(s.key, f));
  b().put_be32(NFTA_SET_KEY_LEN, length_of(s.key, f));
  if (s.is_map()) {
    b().put_be32(NFTA_SET_DATA_TYPE, verdicts ? NFT_DATA_VERDICT : type_of(s.data, f));
    b().put_be32(NFTA_SET_DATA_LEN, verdicts ? 0 : length_of(s.data, f));
  }
  b().put_be32(NFTA_SET_ID, next_set_++);
  if (s.is_dynamic()) {
    b().nest(NFTA_SET_DESC, [&] { b().put_be32(NFTA_SET_DESC_SIZE, kMaxClients); });
    b().put_be64(NFTA_SET_TIMEOUT, std::uint64_t{s.id.seconds} * 1000);
  }
  if (s.is_interval()) {
    b().nest(NFTA_SET_DESC, [&] {
      b().nest(NFTA_SET_DESC_CONCAT, [&] {
        for (auto field : s.key)
          b().nest(NFTA_LIST_ELEM, [&] { b().put_be32(NFTA_SET_FIELD_LEN, plain_length(field, f)); });
      });
    });
  }
  b().put(NFTA_SET_USERDATA, set_userdata(s));
}

void Writer::chain(const Chain& c) {
  begin("add chain", c.name, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
  b().put_string(NFTA_CHAIN_TABLE, kTable);
  b().put_string(NFTA_CHAIN_NAME, c.name);
  if (!c.hook) return;
  static constexpr std::uint32_t kHooks[] = {NF_INET_PRE_ROUTING, NF_INET_LOCAL_IN, NF_INET_LOCAL_OUT,
                                             NF_INET_POST_ROUTING};
  bool source = *c.hook == Hook::postrouting || *c.hook == Hook::input;
  auto priority = source ? kPrioritySrcnat : kPriorityDstnat;
  b().nest(NFTA_CHAIN_HOOK, [&] {
    b().put_be32(NFTA_HOOK_HOOKNUM, kHooks[static_cast<std::size_t>(*c.hook)]);
    b().put_be32(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(priority));
  });
  b().put_be32(NFTA_CHAIN_POLICY, NF_ACCEPT);
  b().put_string(NFTA_CHAIN_TYPE, "nat");
}

void Writer::rule(const std::string& chain, const Rule& r) {
  begin("add rule", chain, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
  b().put_string(NFTA_RULE_TABLE, kTable);
  b().put_string(NFTA_RULE_CHAIN, chain);
  auto expressions = rule_expressions(r);
  b().nest(NFTA_RULE_EXPRESSIONS, [&] { expressions.write(b()); });
  if (!r.comment.empty()) b().put(NFTA_RULE_USERDATA, comment_userdata(r.comment));
}

void Writer::rules(const Chain& c) {
  for (const auto& r : c.rules) rule(c.name, r);
}

void Writer::class_element(const Chain& c) {
  begin("add element", "by_n " + class_text(*c.class_id), NFT_MSG_NEWSETELEM, NLM_F_CREATE);
  b().put_string(NFTA_SET_ELEM_LIST_TABLE, kTable);
  b().put_string(NFTA_SET_ELEM_LIST_SET, set_name({SetKind::by_n, Family::v4}));
  b().nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
    b().nest(NFTA_LIST_ELEM, [&] {
      b().nest(NFTA_SET_ELEM_KEY, [&] { b().put(NFTA_DATA_VALUE, Bytes().number(*c.class_id).view()); });
      b().nest(NFTA_SET_ELEM_DATA, [&] {
        b().nest(NFTA_DATA_VERDICT, [&] {
          b().put_be32(NFTA_VERDICT_CODE, static_cast<std::uint32_t>(NFT_GOTO));
          b().put_string(NFTA_VERDICT_CHAIN, c.name);
        });
      });
    });
  });
}

void Writer::element(bool add, const Element& e) {
  b().nest(NFTA_LIST_ELEM, [&] {
    b().nest(NFTA_SET_ELEM_KEY, [&] { b().put(NFTA_DATA_VALUE, e.key.view()); });
    if (e.set.kind == SetKind::ranges) {
      b().nest(NFTA_SET_ELEM_KEY_END, [&] { b().put(NFTA_DATA_VALUE, e.data.view()); });
    }
    if (!add) return;
    if (e.data.size != 0 && e.set.kind != SetKind::ranges)
      b().nest(NFTA_SET_ELEM_DATA, [&] { b().put(NFTA_DATA_VALUE, e.data.view()); });
    if (!e.comment.empty()) b().put(NFTA_SET_ELEM_USERDATA, comment_userdata(e.comment));
  });
}

void Writer::elements(bool add, const std::vector<const Element*>& list, const std::string& subject,
                      std::size_t service) {
  for (std::size_t i = 0; i < list.size();) {
    auto set = list[i]->set;
    // EEXIST on a key that is there already: two owners of one front are a broken invariant, not to be merged.
    begin(add ? "add element" : "delete element", subject, add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM,
          add ? NLM_F_CREATE | NLM_F_EXCL : 0, service);
    auto start = b().bytes().size();
    b().put_string(NFTA_SET_ELEM_LIST_TABLE, kTable);
    b().put_string(NFTA_SET_ELEM_LIST_SET, set_name(set));
    b().nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
      for (; i < list.size() && list[i]->set == set && b().bytes().size() - start < kMaxMessage; i++)
        element(add, *list[i]);
    });
  }
}

void Writer::remembered(bool add, const std::vector<Remembered>& list) {
  for (std::size_t i = 0; i < list.size();) {
    auto set = list[i].map;
    begin(add ? "add element" : "delete element", set_name(set), add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM,
          add ? NLM_F_CREATE : 0);
    auto start = b().bytes().size();
    b().put_string(NFTA_SET_ELEM_LIST_TABLE, kTable);
    b().put_string(NFTA_SET_ELEM_LIST_SET, set_name(set));
    b().nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
      for (; i < list.size() && list[i].map == set && b().bytes().size() - start < kMaxMessage; i++) {
        b().nest(NFTA_LIST_ELEM, [&] {
          b().nest(NFTA_SET_ELEM_KEY, [&] { b().put(NFTA_DATA_VALUE, list[i].key.view()); });
          if (!add) return;
          b().nest(NFTA_SET_ELEM_DATA, [&] { b().put(NFTA_DATA_VALUE, list[i].data.view()); });
          b().put_be64(NFTA_SET_ELEM_TIMEOUT, std::uint64_t{set.seconds} * 1000);
          b().put_be64(NFTA_SET_ELEM_EXPIRATION, list[i].expires_ms);
        });
      }
    });
  }
}

void Writer::timeout(const Timeout& timeout) {
  auto parts = timeout_parts(timeout);
  for (const auto& s : parts.sets) set(s);
  for (const auto& [chain, r] : parts.rules) rule(chain, r);
}

void Writer::layout(const LayoutFacts& facts) {
  for (const auto& s : layout_sets(facts)) set(s);
  auto chains = layout_chains(facts);
  for (const auto& c : chains) chain(c);
  for (const auto& c : chains) rules(c);
  for (const auto& c : chains)
    if (c.class_id) class_element(c);
}

void Writer::plan(const Plan& plan) {
  for (const auto& t : plan.timeouts) timeout(t);
  for (const auto& c : plan.chains) {
    chain(c);
    rules(c);
    class_element(c);
  }
  // An entry may have ended since it was read, and deleting what is not there refuses the batch: added again, which
  // does nothing to one that is there, it can be deleted in any case.
  remembered(true, plan.forgotten);
  remembered(false, plan.forgotten);
  // All that goes, goes first: a front may move from one Service to another in one batch.
  for (bool add : {false, true}) {
    for (std::size_t i = 0; i < plan.services.size(); i++) {
      std::vector<const Element*> list;
      for (const auto& change : plan.services[i].changes)
        if (change.add == add) list.push_back(&change.element);
      elements(add, list, plan.services[i].desired.key, i);
    }
    std::vector<const Element*> list;
    for (const auto& change : plan.shared_changes)
      if (change.add == add) list.push_back(&change.element);
    elements(add, list, "shared", NftBatch::kNoService);
  }
  remembered(true, plan.carried);
}

}  // namespace

NftBatch render_netlink(const Plan& plan) {
  Writer writer;
  writer.plan(plan);
  return std::move(writer).done();
}

NftBatch render_replace(const LayoutFacts& layout, const Plan& plan) {
  Writer writer;
  // The first makes the second succeed when there is no table.
  writer.table(true);
  writer.table(false);
  writer.table(true);
  writer.layout(layout);
  writer.plan(plan);
  return std::move(writer).done();
}

NftBatch render_delete() {
  Writer writer;
  writer.table(true);
  writer.table(false);
  return std::move(writer).done();
}

Probe render_probe(const LayoutFacts& layout) {
  Probe out;
  Writer writer;
  writer.table(true);
  writer.table(false);
  writer.table(true);
  writer.layout(layout);
  auto fixed = writer.requests();
  const Timeout probed{layout.families.front(), kProbeTimeout};
  writer.timeout(probed);
  out.names.resize(writer.requests());
  std::size_t at = 4 + layout_sets(layout).size();  // begin and three times the table come first
  auto chains = layout_chains(layout);
  for (const auto& c : chains) out.names[at++] = "chain " + c.name + " (type nat)";
  for (const auto& c : chains)
    for (const auto& r : c.rules) out.names[at++] = rule_requirement(r);
  auto parts = timeout_parts(probed);
  at = fixed + parts.sets.size();
  for (const auto& [chain, r] : parts.rules) out.names[at++] = rule_requirement(r);
  out.batch = std::move(writer).unfinished();
  return out;
}

}  // namespace podshim::netproxy
