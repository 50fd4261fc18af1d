// common/netlink without a kernel: what is built reads back, and broken input ends a walk instead of leaving the
// buffer.
#include <gtest/gtest.h>
#include <linux/rtnetlink.h>

#include "common/netlink/address.h"
#include "common/netlink/link.h"
#include "common/netlink/nft.h"
#include "common/netlink/route.h"

namespace podshim::netlink {
namespace {

Message only_message(const Batch& b) {
  Bytes rest = b.bytes();
  auto m = next_message(rest);
  EXPECT_TRUE(m);
  EXPECT_TRUE(rest.empty());
  return *m;
}

TEST(Message, WhatIsBuiltReadsBack) {
  Batch b;
  b.begin("op", "a", "b", 7, 0x10, std::uint32_t{42});
  b.put_u8(1, 5);
  b.put_string(2, "name");
  b.nest(3, [&] {
    b.put_be16(1, 8080);
    b.nest(2, [&] { b.put_be32(1, 0x01020304); });
  });
  auto m = only_message(b);
  EXPECT_EQ(m.type, 7);
  EXPECT_EQ(m.flags, 0x11);
  EXPECT_EQ(*m.header<std::uint32_t>(), 42U);
  auto a = m.attributes<std::uint32_t>();
  EXPECT_EQ(*a.u8(1), 5);
  EXPECT_EQ(a.string(2), "name");
  EXPECT_EQ(*a.nested(3).be16(1), 8080);
  EXPECT_EQ(*a.nested(3).nested(2).be32(1), 0x01020304U);
  EXPECT_FALSE(a.find(9));
  EXPECT_FALSE(a.u32(1));  // shorter than asked for
}

TEST(Message, AnAttributeOverItsLengthMarksTheBatch) {
  Batch b;
  b.begin("op", "", "", 1, 0, std::uint32_t{0});
  std::vector<std::uint8_t> big(70000);
  b.put(1, big);
  EXPECT_TRUE(b.too_large());
  Batch n;
  n.begin("op", "", "", 1, 0, std::uint32_t{0});
  n.nest(1, [&] {
    for (int i = 0; i < 3; i++) n.put(2, Bytes(big).subspan(0, 30000));
  });
  EXPECT_TRUE(n.too_large());
}

TEST(Message, EveryCutOfAReplyIsSurvived) {
  Batch b;
  add_address(b, 3, *Cidr::parse("10.0.0.1/24"), "x");
  add_route(b,
            {.destination = *Cidr::parse("fd00::/64"), .gateway = *IpAddress::parse("fd00::1"), .link = 3, .mtu = 1400},
            "x");
  change_link(b, {.name = "x", .up = true, .alias = "y", .ipv6_link_local = false, .hairpin = true});
  for (std::size_t cut = 0; cut <= b.bytes().size(); cut++) {
    std::vector<std::uint8_t> copy(b.bytes().begin(), b.bytes().begin() + static_cast<long>(cut));
    Bytes rest = copy;
    while (auto m = next_message(rest)) {
      parse_link(*m);
      parse_address(*m);
      parse_route(*m);
      nft::parse_elements(*m);
    }
  }
  Bytes rest = b.bytes();
  auto address = parse_address(*next_message(rest));
  EXPECT_EQ(address->cidr.str(), "10.0.0.1/24");
  EXPECT_EQ(address->index, 3);
  auto route = parse_route(*next_message(rest));
  EXPECT_EQ(route->gateway->str(), "fd00::1");
  EXPECT_EQ(route->mtu, 1400U);
  auto link = parse_link(*next_message(rest));
  EXPECT_EQ(link->name, "x");
  EXPECT_TRUE(link->up);
  EXPECT_TRUE(link->hairpin);
}

TEST(Mac, ParseAndPrint) {
  EXPECT_EQ(Mac::parse("0a:58:0a:2a:00:05")->str(), "0a:58:0a:2a:00:05");
  for (const char* bad : {"", "0a:58:0a:2a:00", "0a:58:0a:2a:00:05:06", "01:00:5e:00:00:01", "00:00:00:00:00:00",
                          "0a-58-0a-2a-00-05", "0a:58:0a:2a:0:055"})
    EXPECT_FALSE(Mac::parse(bad)) << bad;
}

}  // namespace
}  // namespace podshim::netlink
