// The batch as the kernel reads it, and replies as the kernel writes them, garbage too.
#include <gtest/gtest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <cstring>

#include "netproxy/netlink_reply.h"
#include "netproxy/render_netlink.h"
#include "tests/support/services.h"

namespace podshim::test {
namespace {

using namespace netproxy;

struct Sent {
  std::uint16_t type;
  std::size_t size;
  std::string set;
  std::size_t elements;
};

std::vector<Sent> read_back(netlink::Bytes bytes) {
  std::vector<Sent> out;
  while (auto m = netlink::next_message(bytes)) {
    auto a = m->attributes<nfgenmsg>();
    Sent sent{.type = m->type, .size = m->payload.size(), .set = {}, .elements = 0};
    if ((m->type & 0xff) == NFT_MSG_NEWSETELEM || (m->type & 0xff) == NFT_MSG_DELSETELEM) {
      sent.set = a.string(NFTA_SET_ELEM_LIST_SET);
      a.nested(NFTA_SET_ELEM_LIST_ELEMENTS).each([&](const netlink::Attribute&) { sent.elements++; });
    }
    out.push_back(sent);
  }
  return out;
}

TEST(RenderNetlink, EveryElementIsInAMessageOfItsService) {
  Applied applied(layout());
  auto plan = applied.plan(small_world());
  auto batch = render_netlink(plan);
  ASSERT_EQ(batch.batch.requests().size(), batch.service_of.size());
  auto sent = read_back(batch.batch.bytes());
  ASSERT_EQ(sent.size(), batch.service_of.size());
  EXPECT_EQ(sent.front().type, NFNL_MSG_BATCH_BEGIN);
  EXPECT_EQ(sent.back().type, NFNL_MSG_BATCH_END);
  std::map<std::size_t, std::size_t> elements;
  for (std::size_t i = 0; i < sent.size(); i++)
    if (sent[i].set != "by_n") elements[batch.service_of[i]] += sent[i].elements;
  for (std::size_t i = 0; i < plan.services.size(); i++) EXPECT_EQ(elements[i], plan.services[i].changes.size());
  EXPECT_EQ(elements[NftBatch::kNoService], plan.shared_changes.size());
}

TEST(RenderNetlink, AnEmptyPlanIsAnEmptyBatch) {
  Applied applied(layout());
  applied.accept(applied.plan(small_world()));
  auto batch = render_netlink(applied.plan(small_world()));
  EXPECT_EQ(read_back(batch.batch.bytes()).size(), 2U) << "begin and end alone";
}

TEST(RenderNetlink, ManyEndpointsAreSplitUnderTheLimitOfAMessage) {
  auto big = ModelOf{.key = "default/" + std::string(120, 'x')};
  for (int i = 0; i < 5000; i++)
    big.backends.push_back({.address = ip("10.42.0.2").plus(static_cast<std::uint64_t>(i)), .port = 8080});
  Applied applied(layout());
  auto batch = render_netlink(applied.plan({big.model()}));
  EXPECT_FALSE(batch.batch.too_large());
  std::size_t slots = 0;
  for (const auto& sent : read_back(batch.batch.bytes())) {
    EXPECT_LT(sent.size, 65536U);
    if (sent.set == "ep_ip") slots += sent.elements;
  }
  EXPECT_EQ(slots, 5000U);
}

TEST(RenderNetlink, DeletesComeBeforeAdds) {
  Applied applied(layout());
  applied.accept(applied.plan({ModelOf{.backends = {backend("10.42.0.2")}}.model()}));
  auto taker = ModelOf{.key = "default/taker", .backends = {backend("10.42.0.3")}}.model();
  auto batch = render_netlink(applied.plan({taker, {.key = "default/web"}}));
  bool added = false;
  for (const auto& sent : read_back(batch.batch.bytes())) {
    added = added || (sent.type & 0xff) == NFT_MSG_NEWSETELEM;
    if ((sent.type & 0xff) == NFT_MSG_DELSETELEM) {
      EXPECT_FALSE(added);
    }
  }
  EXPECT_TRUE(added);
}

TEST(RenderNetlink, AProbeHasNoEndAndNamesItsRequests) {
  auto probe = render_probe(layout());
  auto sent = read_back(probe.batch.bytes());
  ASSERT_EQ(sent.size(), probe.names.size());
  for (const auto& one : sent) EXPECT_NE(one.type, NFNL_MSG_BATCH_END);
  std::string all;
  for (std::size_t i = 0; i < sent.size(); i++) {
    if ((sent[i].type & 0xff) == NFT_MSG_NEWRULE) {
      EXPECT_NE(probe.names[i], "");
    }
    all += probe.names[i] + " ";
  }
  for (const char* need : {"fib (nft_fib_inet)", "reject (nft_reject_inet)", "masq (nft_masq)"})
    EXPECT_NE(all.find(need), std::string::npos) << need;
}

// ---- replies

// One element of a map as the kernel dumps it.
std::vector<std::uint8_t> dumped(std::size_t key_size, std::uint64_t left_ms) {
  netlink::Batch batch;
  batch.begin("element", "", {}, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM, 0, nfgenmsg{.nfgen_family = 1});
  batch.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
    batch.nest(NFTA_LIST_ELEM, [&] {
      std::vector<std::uint8_t> key(key_size, 7);
      batch.nest(NFTA_SET_ELEM_KEY, [&] { batch.put(NFTA_DATA_VALUE, key); });
      batch.nest(NFTA_SET_ELEM_DATA, [&] { batch.put(NFTA_DATA_VALUE, netlink::Bytes(key).first(8)); });
      if (left_ms != 0) batch.put_be64(NFTA_SET_ELEM_EXPIRATION, left_ms);
    });
  });
  return {batch.bytes().begin(), batch.bytes().end()};
}

TEST(Remembered, IsReadWithItsTimeAndGarbageIsNot) {
  struct Case {
    const char* name;
    std::vector<std::uint8_t> message;
    std::size_t want;
  };
  auto cut = dumped(16, 500);
  cut[cut.size() - 12] = 0xff;  // a length that leads outside
  const Case cases[] = {
      {"an entry", dumped(16, 500), 1},
      {"without a time", dumped(16, 0), 0},
      {"more time than the map gives", dumped(16, 60001), 0},
      {"a key longer than any of ours", dumped(64, 500), 0},
      {"a broken length", cut, 0},
  };
  for (const auto& c : cases) {
    std::vector<Remembered> out;
    netlink::Bytes bytes = c.message;
    while (auto m = netlink::next_message(bytes)) parse_remembered(*m, {SetKind::aff, Family::v4, 60}, out);
    EXPECT_EQ(out.size(), c.want) << c.name;
    if (!out.empty()) {
      EXPECT_EQ(out.front().expires_ms, 500U);
      EXPECT_EQ(out.front().key.size, 16);
    }
  }
}

std::vector<std::uint8_t> error_reply(std::uint32_t seq, int code) {
  struct {
    nlmsghdr header;
    nlmsgerr error;
  } reply{};
  reply.header.nlmsg_len = sizeof reply;
  reply.header.nlmsg_type = NLMSG_ERROR;
  reply.header.nlmsg_flags = NLM_F_CAPPED;
  reply.header.nlmsg_seq = seq;
  reply.error.error = code;
  std::vector<std::uint8_t> out(sizeof reply);
  std::memcpy(out.data(), &reply, sizeof reply);
  return out;
}

netlink::Batch numbered(std::uint32_t first) {
  auto batch = render_delete().batch;
  for (auto& r : batch.requests()) r.seq = first++;
  return batch;
}

TEST(Replies, AreMatchedByNumber) {
  auto batch = numbered(7);
  auto bytes = error_reply(8, -EEXIST);
  auto second = error_reply(9, -ENOENT);
  bytes.insert(bytes.end(), second.begin(), second.end());
  auto acknowledged = error_reply(10, 0);
  bytes.insert(bytes.end(), acknowledged.begin(), acknowledged.end());
  auto stranger = error_reply(99, -EPERM);
  bytes.insert(bytes.end(), stranger.begin(), stranger.end());
  auto refusals = parse_refusals(bytes, batch);
  ASSERT_EQ(refusals.size(), 2U);
  EXPECT_EQ(refusals[0].request, 1U);
  EXPECT_TRUE(refusals[0].error.is(EEXIST));
  EXPECT_STREQ(refusals[0].error.op, "add table");
  EXPECT_TRUE(refusals[1].error.is(ENOENT));
}

TEST(Replies, ACodeThatIsNoErrnoIsGarbage) {
  auto batch = numbered(1);
  for (int code : {INT32_MIN, -4096, 1}) EXPECT_TRUE(parse_refusals(error_reply(2, code), batch).empty()) << code;
  EXPECT_EQ(parse_refusals(error_reply(2, -4095), batch).size(), 1U);
}

TEST(Replies, CutAnywhereNothingIsReadBeyond) {
  auto batch = numbered(1);
  auto bytes = error_reply(2, -EEXIST);
  for (std::size_t n = 0; n < bytes.size(); n++) {
    std::vector<std::uint8_t> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    EXPECT_TRUE(parse_refusals(cut, batch).empty());
    EXPECT_FALSE(touches_our_table(cut, 1));
  }
}

std::vector<std::uint8_t> notification(std::uint16_t type, const char* table, std::uint32_t port,
                                       std::uint8_t family = NFPROTO_INET) {
  netlink::Batch b;
  b.begin("", "", "", static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type), 0,
          nfgenmsg{.nfgen_family = family, .version = 0, .res_id = 0});
  b.put_string(NFTA_TABLE_NAME, table);
  b.header(b.requests().front())->nlmsg_pid = port;
  return {b.bytes().begin(), b.bytes().end()};
}

TEST(Notifications, OnlyForeignChangesOfOurTableCount) {
  EXPECT_TRUE(touches_our_table(notification(NFT_MSG_DELTABLE, "podshim", 5), 4));
  EXPECT_TRUE(touches_our_table(notification(NFT_MSG_DELSETELEM, "podshim", 5), 4));
  EXPECT_FALSE(touches_our_table(notification(NFT_MSG_DELTABLE, "podshim", 4), 4)) << "our own";
  EXPECT_FALSE(touches_our_table(notification(NFT_MSG_DELTABLE, "podshim2", 5), 4));
  EXPECT_FALSE(touches_our_table(notification(NFT_MSG_DELTABLE, "podshim", 5, NFPROTO_IPV4), 4));
  EXPECT_FALSE(touches_our_table(notification(NFT_MSG_NEWGEN, "podshim", 5), 4));
}

}  // namespace
}  // namespace podshim::test
