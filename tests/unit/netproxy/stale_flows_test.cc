// Which UDP flows go: a matrix of what changed and what the flow is.
#include "netproxy/stale_flows.h"

#include <gtest/gtest.h>

#include "tests/support/services.h"

namespace podshim::test {
namespace {

using namespace netproxy;

// client -> to:port, which the table sent on to `served_by`.
netlink::Flow flow(const std::string& to, int port, const std::string& served_by, int served_port) {
  netlink::Flow f;
  f.original = {.source = ip("10.42.0.100"),
                .destination = ip(to),
                .protocol = 17,
                .source_port = 4000,
                .destination_port = static_cast<std::uint16_t>(port)};
  f.reply = {.source = ip(served_by),
             .destination = ip("10.42.0.100"),
             .protocol = 17,
             .source_port = static_cast<std::uint16_t>(served_port),
             .destination_port = 4000};
  return f;
}

ServiceModel dns(std::vector<Backend> backends, int node_port = 30053) {
  return ModelOf{.key = "kube-system/dns",
                 .vip = "10.43.0.10",
                 .name = "dns",
                 .protocol = kube::Protocol::udp,
                 .port = 53,
                 .node_port = node_port,
                 .backends = std::move(backends)}
      .model();
}

const Backend kA = backend("10.42.0.4", 53), kB = backend("10.42.0.5", 53);

TEST(StaleFlows, OnlyWhatTheFrontNoLongerAllowsGoes) {
  bool came = false;
  auto fronts = changed_fronts(dns({kA, kB}), dns({kB}), &came);
  EXPECT_FALSE(came);
  ASSERT_EQ(fronts.size(), 2U) << "address and node port";
  StaleFlows stale(fronts, {.pods = {}, .node = {ip("192.0.2.1")}}, std::nullopt);
  EXPECT_TRUE(stale(flow("10.43.0.10", 53, "10.42.0.4", 53))) << "the departed";
  EXPECT_FALSE(stale(flow("10.43.0.10", 53, "10.42.0.5", 53))) << "one who stays";
  EXPECT_TRUE(stale(flow("192.0.2.1", 30053, "10.42.0.4", 53)));
  EXPECT_FALSE(stale(flow("192.0.2.1", 30053, "10.42.0.5", 53)));
  EXPECT_FALSE(stale(flow("192.0.2.9", 30053, "192.0.2.9", 30053))) << "a node port's number on another host";
  EXPECT_FALSE(stale(flow("10.43.0.10", 54, "10.42.0.4", 53))) << "another front";
  EXPECT_FALSE(stale(flow("192.0.2.1", 53, "10.42.0.4", 53))) << "a host port of others";
}

TEST(StaleFlows, ScaledToZeroAndDeleted) {
  bool came = false;
  auto zero_fronts = changed_fronts(dns({kA}), dns({}), &came);
  EXPECT_TRUE(StaleFlows(zero_fronts, {}, std::nullopt)(flow("10.43.0.10", 53, "10.42.0.4", 53)));
  auto gone = changed_fronts(dns({kA}), {.key = "kube-system/dns"}, &came);
  ASSERT_EQ(gone.size(), 2U);
  StaleFlows deleted(gone, {.pods = {}, .node = {ip("192.0.2.1")}}, std::nullopt);
  EXPECT_TRUE(deleted(flow("10.43.0.10", 53, "10.42.0.4", 53)));
  EXPECT_FALSE(deleted(flow("192.0.2.1", 30053, "192.0.2.1", 30053))) << "a program of the node took the port";
  EXPECT_FALSE(came);
}

TEST(StaleFlows, AFrontThatComesTakesFlowsThatNobodyTranslated) {
  bool came = false;
  auto fronts = changed_fronts({}, dns({kA}), &came);
  EXPECT_TRUE(came);
  StaleFlows stale(fronts, {.pods = {}, .node = {ip("192.0.2.1")}}, std::nullopt);
  EXPECT_TRUE(stale(flow("10.43.0.10", 53, "10.43.0.10", 53)));
  EXPECT_FALSE(stale(flow("10.43.0.10", 53, "10.42.0.4", 53)));
  EXPECT_FALSE(stale(flow("10.43.0.99", 53, "10.43.0.99", 53)));
}

TEST(StaleFlows, AnUnchangedOrGrownFrontIsNotLookedAt) {
  bool came = false;
  EXPECT_TRUE(changed_fronts(dns({kA}), dns({kA}), &came).empty());
  EXPECT_TRUE(changed_fronts(dns({kA}), dns({kB, kA}), &came).empty());
  EXPECT_TRUE(changed_fronts(ModelOf{.backends = {kA}}.model(), ModelOf{}.model(), &came).empty()) << "TCP";
}

TEST(StaleFlows, AtStartAServiceRangeWithoutOwnerIsStale) {
  auto fronts = all_fronts(dns({kA}));
  StaleFlows stale(fronts, {.pods = {}, .node = {ip("192.0.2.1")}}, *Cidr::parse("10.43.0.0/16"));
  EXPECT_TRUE(stale(flow("10.43.7.7", 53, "10.42.0.4", 53))) << "deleted while nobody watched";
  EXPECT_FALSE(stale(flow("10.43.0.10", 53, "10.42.0.4", 53)));
  EXPECT_FALSE(stale(flow("10.43.7.7", 53, "10.43.7.7", 53))) << "not translated";
  EXPECT_FALSE(stale(flow("192.0.2.1", 8053, "10.42.0.4", 53))) << "a host port of others";
}

// --node-ip became narrower while nobody watched.
TEST(StaleFlows, WhereNodePortsAreNotServedOnlyWhatOneTranslatedIsStale) {
  auto model = dns({kA});
  model.external_local = true;
  model.ports.front().local = {kB};
  auto fronts = all_fronts(model);
  StaleFlows stale(fronts, {.pods = {}, .node = {ip("192.0.2.1"), ip("192.0.2.2")}}, std::nullopt,
                   {.node_port_addresses = {*Cidr::parse("192.0.2.1/32")}});
  struct Case {
    const char *to, *served_by;
    int served_port;
    bool stale;
  };
  const Case cases[] = {
      {"192.0.2.1", "10.42.0.5", 53, false},    {"192.0.2.1", "192.0.2.1", 30053, true},
      {"192.0.2.2", "10.42.0.4", 53, true},     {"192.0.2.2", "10.42.0.5", 53, true},
      {"192.0.2.2", "10.42.0.9", 53, false},  // a host port of others
      {"192.0.2.2", "192.0.2.2", 30053, false},
  };
  for (const auto& c : cases)
    EXPECT_EQ(stale(flow(c.to, 30053, c.served_by, c.served_port)), c.stale) << c.to << " by " << c.served_by;
}

TEST(StaleFlows, AFrontThatMovedIsJudgedByItsNewOwner) {
  UdpFront removed{.vip = ip("10.43.0.10"), .port = 53, .removed = true};
  UdpFront there{.vip = ip("10.43.0.10"), .port = 53, .allowed = {kB}};
  for (const auto& order : {std::vector{removed, there}, std::vector{there, removed}}) {
    StaleFlows stale(order, {}, std::nullopt);
    EXPECT_FALSE(stale(flow("10.43.0.10", 53, "10.42.0.5", 53)));
    EXPECT_TRUE(stale(flow("10.43.0.10", 53, "10.42.0.4", 53)));
  }
}

}  // namespace
}  // namespace podshim::test
