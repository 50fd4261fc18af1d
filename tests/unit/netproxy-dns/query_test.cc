// Bytes that are no proper question.
#include <gtest/gtest.h>

#include "netproxy/dns/ldns.h"
#include "tests/unit/netproxy-dns/dns_world.h"

namespace podshim::netproxy::dns::test {
namespace {

using Wire = std::vector<std::uint8_t>;

Wire good(const Ask& ask = {}) { return query_for("web.default.svc.cluster.local.", "A", ask); }

Wire with(Wire w, std::size_t at, std::uint8_t value) {
  w.at(at) = value;
  return w;
}

Wire cut(Wire w, std::size_t size) {
  w.resize(size);
  return w;
}

Wire joined(Wire w, const Wire& more) {
  w.insert(w.end(), more.begin(), more.end());
  return w;
}

const Wire kOpt = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0};

// A header for one question and these bytes.
Wire question(const Wire& bytes) { return joined({0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, bytes); }

Wire long_name(std::size_t labels_of_63) {
  Wire out;
  for (std::size_t i = 0; i < labels_of_63; i++) {
    out.push_back(63);
    out.insert(out.end(), 63, 'a');
  }
  return joined(out, {0, 0, 1, 0, 1});
}

TEST(DnsQuery, WhatIsMalformedGetsItsCode) {
  struct Case {
    const char* name;
    Wire wire;
    std::string want;
  };
  const Case cases[] = {
      {"empty", {}, "drop"},
      {"half a header", cut(good(), 11), "drop"},
      {"an answer", with(good(), 2, 0x81), "drop"},
      {"header alone", cut(good(), 12), "FORMERR"},
      {"cut name", cut(good(), 20), "FORMERR"},
      {"cut type", cut(good(), good().size() - 3), "FORMERR"},
      {"no question", with(good(), 5, 0), "FORMERR"},
      {"two questions", with(good(), 5, 2), "FORMERR"},
      {"65,535 records that are not there", with(with(good(), 10, 255), 11, 255), "FORMERR"},
      {"pointer in the question", question({0xc0, 0x0c, 0, 1, 0, 1}), "FORMERR"},
      {"pointer to itself behind a label", question({1, 'a', 0xc0, 0x0c, 0, 1, 0, 1}), "FORMERR"},
      {"label type of no standard", question({0x41, 'a', 0, 0, 1, 0, 1}), "FORMERR"},
      {"name of 257", question(long_name(4)), "FORMERR"},
      {"update", with(good(), 2, 5 << 3), "NOTIMPL"},
      {"status", with(good(), 2, 2 << 3), "NOTIMPL"},
      {"EDNS", joined(with(good(), 11, 1), kOpt),
       "NOERROR aa opt1232\nan web.default.svc.cluster.local. 5 IN A 10.43.0.1"},
      {"EDNS version 1", joined(with(good(), 11, 1), with(kOpt, 6, 1)), "NOERROR+1 opt1232"},
      {"two OPT records", joined(with(good(), 11, 2), joined(kOpt, kOpt)), "FORMERR opt1232"},
      {"OPT with a name", joined(with(good(), 11, 1), joined({1, 'x'}, kOpt)), "FORMERR"},
      {"OPT, cut", joined(with(good(), 11, 1), cut(kOpt, 9)), "FORMERR"},
      {"OPT longer than the message", joined(with(good(), 11, 1), with(kOpt, 10, 200)), "FORMERR"},
      {"more than 512 bytes", joined(good(), Wire(512)), "FORMERR"},
      {"bytes behind the question", joined(good(), {1, 2, 3}),
       "NOERROR aa\nan web.default.svc.cluster.local. 5 IN A 10.43.0.1"},
  };
  World world;
  for (const auto& c : cases) {
    std::array<std::uint8_t, kOurUdp> out;
    Query query;
    auto outcome = answer(c.wire, false, world.zone, world.facts, 0, out, query);
    auto got = outcome.next == Next::drop ? "drop" : text_of(Bytes(out).first(outcome.size));
    EXPECT_EQ(got, c.want) << c.name;
  }
}

// Additional records whose owners are pointers; ldns would follow a ring of them 65,535 times.
TEST(DnsQuery, OwnersOfRecordsLeadBackInFewSteps) {
  const auto at = static_cast<std::uint8_t>(good().size());  // where the first record begins
  const Wire record = {0, 1, 0, 1, 0, 0, 0, 0, 0, 0};        // behind an owner: A, IN, no data
  auto one = [&](const Wire& owner) { return joined(with(good(), 11, 1), joined(owner, record)); };
  auto chain = [&](std::uint8_t pointers) {  // the last of so many, the others in the data of a record before it
    auto wire =
        joined(with(good(), 11, 2), joined({0}, with(record, 9, static_cast<std::uint8_t>(2 * (pointers - 1)))));
    std::uint8_t target = kHeader;
    for (; pointers > 0; pointers--) {
      auto here = static_cast<std::uint8_t>(wire.size());
      wire = joined(wire, {0xc0, target});
      target = here;
    }
    return joined(wire, record);
  };
  struct Case {
    const char* name;
    Wire wire;
    bool taken;
  };
  const Case cases[] = {
      {"back to the question", one({0xc0, kHeader}), true},
      {"a label, then back", one({1, 'x', 0xc0, kHeader}), true},
      {"eight of them", chain(8), true},
      {"nine of them", chain(9), false},
      {"to itself", one({0xc0, at}), false},
      {"to the label before it", one({1, 'x', 0xc0, at}), false},
      {"into the header", one({0xc0, 0}), false},
      {"forward", one({0xc0, static_cast<std::uint8_t>(at + 2)}), false},
      {"half a pointer", joined(with(good(), 11, 1), {0xc0}), false},
      {"label type of no standard", one({0x41, 'a', 0}), false},
  };
  for (const auto& c : cases) {
    Query query;
    auto parsed = parse_query(c.wire, query);
    EXPECT_EQ(parsed.verdict, c.taken ? Verdict::take : Verdict::refuse) << c.name;
    EXPECT_EQ(parsed.rcode, c.taken ? LDNS_RCODE_NOERROR : LDNS_RCODE_FORMERR) << c.name;
  }
}

TEST(DnsQuery, TheLongestNameIsTaken) {
  // 3 x 64 + 62 + 1 = 255
  Wire bytes = cut(long_name(3), 3 * 64);
  bytes.push_back(61);
  bytes.insert(bytes.end(), 61, 'b');
  bytes = joined(bytes, {0, 0, 1, 0, 1});
  Query query;
  EXPECT_EQ(parse_query(question(bytes), query).verdict, Verdict::take);
  EXPECT_EQ(query.name.wire().size(), 255U);
  EXPECT_EQ(query.name.labels(), 4U);
}

TEST(DnsQuery, EveryCutOfAQuestionIsSurvived) {
  World world;
  auto wire = good({.edns = true, .dnssec_ok = true});
  for (std::size_t size = 0; size < wire.size(); size++) {
    std::array<std::uint8_t, kOurUdp> out;
    Query query;
    auto outcome = answer(Bytes(wire).first(size), false, world.zone, world.facts, 0, out, query);
    EXPECT_EQ(outcome.next, size < kHeader ? Next::drop : Next::reply) << size;
    if (size < kHeader) continue;
    EXPECT_TRUE(text_of(Bytes(out).first(outcome.size)).starts_with("FORMERR")) << size;
  }
}

TEST(DnsRecords, DashesThereAndBack) {
  for (const char* text : {"10.42.0.7", "0.0.0.0", "255.255.255.255", "fd00::7", "2001:db8::1:0:0:1"}) {
    auto ip = *IpAddress::parse(text);
    EXPECT_EQ(undashed(dashed(ip)), ip) << text;
  }
  EXPECT_EQ(dashed(*IpAddress::parse("::1")), "0--1");
  EXPECT_EQ(undashed("0--1"), *IpAddress::parse("::1"));
  EXPECT_EQ(dashed(*IpAddress::parse("fd00::")), "fd00--0");
  for (const char* text : {"", "10-42-0", "10-42-0-256", "web", "-", "1-2-3-4-5"}) EXPECT_FALSE(undashed(text)) << text;
}

TEST(DnsRecords, AHostnameThatIsNoLabelIsNotUsed) {
  kube::Service service{.headless = true};
  kube::EndpointSlice slice;
  for (const char* hostname : {"Good-1", "two.labels", "-x"})
    slice.endpoints.push_back({.addresses = {IpAddress::v4(0x0a2a0001 + static_cast<unsigned>(slice.endpoints.size()))},
                               .hostname = hostname});
  auto records = records_of(service, {&slice});
  std::vector<std::string> names;
  for (const auto& e : records.endpoints) names.push_back(e.name);
  EXPECT_EQ(names, (std::vector<std::string>{"10-42-0-2", "10-42-0-3", "good-1"}));
}

}  // namespace
}  // namespace podshim::netproxy::dns::test
