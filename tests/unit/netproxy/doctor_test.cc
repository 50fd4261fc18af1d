// doctor: what a node lacks, each finding with its remedy; and the status file.
#include "netproxy/doctor.h"

#include <gtest/gtest.h>

#include "common/json.h"
#include "netproxy/status.h"
#include "tests/support/services.h"

namespace podshim::test {
namespace {

using namespace netproxy;

constexpr const char* kHeader = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";

Facts good() {
  return {.ip_forward = "1",
          .ipv6_forwarding = "0",
          .bridge_nf_call = "0",
          .routes = std::string(kHeader) + "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n",
          .bridges = {{.name = "podshim0", .nf_call = true, .routed = false}},
          .forwarding = {{"podshim0", "1"}, {"eth0", "1"}}};
}

std::string bad_checks(const Facts& facts) {
  std::string out;
  for (const auto& f : judge(facts, *Cidr::parse("10.43.0.0/16")))
    if (!f.ok) out += (out.empty() ? "" : " ") + f.check;
  return out;
}

TEST(Doctor, NamesWhatIsMissing) {
  EXPECT_EQ(bad_checks(good()), "");
  auto facts = good();
  facts.ip_forward = "0";
  EXPECT_EQ(bad_checks(facts), "ip_forward");
  for (const char* link : {"podshim0", "eth0"}) {
    facts = good();
    facts.forwarding[link] = "0";
    EXPECT_EQ(bad_checks(facts), "forwarding") << link;
  }
  facts = good();
  facts.ipv6_pods = true;
  EXPECT_EQ(bad_checks(facts), "ipv6-forwarding");
  facts = good();
  facts.routes = kHeader;
  EXPECT_EQ(bad_checks(facts), "route");
  facts = good();
  facts.lacking = {"numgen (nft_numgen): ENOENT"};
  EXPECT_EQ(bad_checks(facts), "nf_tables");
  facts.may_program = false;
  EXPECT_EQ(bad_checks(facts), "permission") << "not the consequences too";
}

TEST(Doctor, ABridgeNeedsOneOfThreeWaysForItsOwnTraffic) {
  struct Case {
    const char* name;
    std::vector<BridgeFacts> bridges;
    const char* sysctl;
    const char* want;
  };
  const Case cases[] = {
      {"its own option", {{.name = "podshim0", .nf_call = true}}, "0", ""},
      {"routed between its ports, without br_netfilter", {{.name = "podshim0", .routed = true}}, "", ""},
      {"the host's sysctl", {{.name = "cni0"}}, "1", ""},
      {"none", {{.name = "cni0"}}, "0", "same-bridge"},
      {"none, without br_netfilter", {{.name = "cni0"}}, "", "same-bridge"},
      {"one of two", {{.name = "podshim0", .nf_call = true}, {.name = "cni0"}}, "0", "same-bridge"},
      {"no bridge yet", {}, "", ""},
  };
  for (const auto& c : cases) {
    auto facts = good();
    facts.bridges = c.bridges;
    facts.bridge_nf_call = c.sysctl;
    EXPECT_EQ(bad_checks(facts), c.want) << c.name;
  }
}

TEST(Doctor, FindsTheUplinksOfDefaultRoutes) {
  auto routes = std::string(kHeader) +
                "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
                "br0\t00002A0A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
                "eth1\t00000000\t010200C0\t0000\t0\t0\t0\t00000000\t0\t0\t0\n"
                "eth0\t00000000\t010200C0\t0003\t0\t0\t10\t00000000\t0\t0\t0\n";
  EXPECT_EQ(uplinks(routes), std::vector<std::string>{"eth0"});
}

TEST(Doctor, FindsARouteThatCovers) {
  auto route = [](const char* line) { return std::string(kHeader) + line + "\n"; };
  auto to = ip("10.43.0.1");
  EXPECT_TRUE(has_route(route("lo\t00002B0A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0"), to)) << "10.43.0.0/16";
  EXPECT_FALSE(has_route(route("br0\t00002A0A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0"), to)) << "10.42.0.0/16";
  EXPECT_FALSE(has_route(route("eth0\t00000000\t00000000\t0000\t0\t0\t0\t00000000\t0\t0\t0"), to)) << "not up";
  EXPECT_FALSE(has_route(route("garbage"), to));
  EXPECT_FALSE(has_route("", to));
}

TEST(Status, SaysWhatWasAcknowledged) {
  Status status("", {*Cidr::parse("192.0.2.1/32")});
  status.next_generation();
  status.acknowledged(small_world().front(), 1.25);
  status.trouble("default/bad", "quarantined", "EEXIST \"x\"");
  auto doc = json::parse(status.text());
  ASSERT_TRUE(doc) << status.text();
  EXPECT_EQ(doc->find("generation")->as_integer(), 1);
  EXPECT_EQ(doc->find("nodePortAddresses")->as_array().at(0).as_string(), "192.0.2.1/32");
  const auto* web = doc->find("services")->find("default/web");
  ASSERT_NE(web, nullptr);
  EXPECT_EQ(web->find("latencyMs")->as_number(), 1.25);
  EXPECT_EQ(web->find("endpoints")->find("http")->as_array().size(), 2U);
  EXPECT_EQ(web->find("endpoints")->find("http")->as_array()[0].as_string(), "10.42.0.2:8080");
  EXPECT_EQ(doc->find("services")->find("default/bad")->find("quarantined")->as_string(), "EEXIST \"x\"");
  status.removed("default/web");
  EXPECT_EQ(json::parse(status.text())->find("services")->find("default/web"), nullptr);
}

}  // namespace
}  // namespace podshim::test
