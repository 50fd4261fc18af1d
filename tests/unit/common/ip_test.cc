#include "common/ip.h"

#include <gtest/gtest.h>

namespace podshim {
namespace {

TEST(Ip, ParseAndPrint) {
  struct Case {
    const char* text;
    const char* want;  // nullptr = refused
  };
  const Case cases[] = {
      {"10.42.0.1", "10.42.0.1"}, {"fd00:42:0::1", "fd00:42::1"}, {"::ffff:1.2.3.4", "::ffff:1.2.3.4"},
      {"10.1", nullptr},          {"010.0.0.1", nullptr},         {"", nullptr},
      {"1.2.3.4.5", nullptr},     {"fe80::1%eth0", nullptr}};
  for (const auto& c : cases) {
    auto ip = IpAddress::parse(c.text);
    EXPECT_EQ(ip.has_value(), c.want != nullptr) << c.text;
    EXPECT_EQ(ip ? ip->str() : "", c.want != nullptr ? c.want : "");
  }
}

TEST(Ip, PlusCarriesAndWraps) {
  EXPECT_EQ(IpAddress::parse("10.0.0.255")->plus(1).str(), "10.0.1.0");
  EXPECT_EQ(IpAddress::parse("255.255.255.255")->plus(1).str(), "0.0.0.0");
  EXPECT_EQ(IpAddress::parse("fd00::ffff:ffff")->plus(2).str(), "fd00::1:0:1");
  EXPECT_LT(*IpAddress::parse("10.0.0.2"), *IpAddress::parse("10.0.0.10"));
}

TEST(Ip, Cidr) {
  struct Case {
    const char* text;
    const char* network;
    const char* last;
  };
  const Case good[] = {{"10.0.0.5/24", "10.0.0.0", "10.0.0.255"},
                       {"10.0.0.5/32", "10.0.0.5", "10.0.0.5"},
                       {"10.0.0.5/0", "0.0.0.0", "255.255.255.255"},
                       {"10.42.130.1/17", "10.42.128.0", "10.42.255.255"},
                       {"fd00:42::5/64", "fd00:42::", "fd00:42::ffff:ffff:ffff:ffff"}};
  for (const auto& c : good) {
    auto cidr = Cidr::parse(c.text);
    ASSERT_TRUE(cidr) << c.text;
    EXPECT_EQ(cidr->network().str(), c.network);
    EXPECT_EQ(cidr->last().str(), c.last);
    EXPECT_EQ(cidr->str(), c.text);
    EXPECT_TRUE(cidr->contains(cidr->address));
  }
  for (const char* bad : {"10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "fd00::/129", "10.0.0.0/8x", "/8", "10.0.0.0/"})
    EXPECT_FALSE(Cidr::parse(bad)) << bad;
}

TEST(Ip, Overlaps) {
  auto overlaps = [](const char* a, const char* b) { return Cidr::parse(a)->overlaps(*Cidr::parse(b)); };
  EXPECT_TRUE(overlaps("10.42.0.0/16", "10.42.7.0/24"));
  EXPECT_TRUE(overlaps("10.42.7.0/24", "10.42.0.0/16"));
  EXPECT_FALSE(overlaps("10.42.0.0/16", "10.43.0.0/16"));
  EXPECT_FALSE(overlaps("0.0.0.0/0", "::/0"));
  EXPECT_TRUE(IpAddress::parse("127.8.8.8")->is_loopback());
  EXPECT_TRUE(IpAddress::parse("::1")->is_loopback());
  EXPECT_FALSE(IpAddress::parse("::2")->is_loopback());
}

}  // namespace
}  // namespace podshim
