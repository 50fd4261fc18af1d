// topology: which endpoints serve.
#include "netproxy/topology.h"

#include <gtest/gtest.h>

#include "netproxy/tracker.h"
#include "tests/support/services.h"

namespace podshim::test {
namespace {

using namespace netproxy;

kube::Service service() {
  kube::Service s;
  s.meta.name = "web";
  s.cluster_ips = {ip("10.43.0.1")};
  s.ports = {{.name = "http", .port = 80, .target_port = {.name = "web"}}};
  return s;
}

struct At {
  const char* address;
  bool ready = true, serving = true, terminating = false;
  const char* node = "n1";
};

kube::EndpointSlice slice(std::initializer_list<At> list,
                          std::vector<kube::EndpointPort> ports = {{.name = "http", .port = 8080}}) {
  kube::EndpointSlice s;
  for (const auto& at : list)
    s.endpoints.push_back({.addresses = {ip(at.address)},
                           .ready = at.ready,
                           .serving = at.serving,
                           .terminating = at.terminating,
                           .node_name = at.node});
  s.ports = std::move(ports);
  return s;
}

std::string served(const kube::Service& s, std::initializer_list<kube::EndpointSlice> slices) {
  std::vector<const kube::EndpointSlice*> list;
  for (const auto& one : slices) list.push_back(&one);
  std::string out;
  for (const auto& port : model_of(s, list, {.node_name = "n1"}).ports) {
    out += "[" + port.name;
    for (const auto& b : port.backends) out += " " + b.str() + (b.local ? "" : " elsewhere");
    out += "]";
  }
  return out;
}

TEST(Topology, PicksTheEndpointsThatServe) {
  auto s = service();
  EXPECT_EQ(served(s, {}), "[http]");
  EXPECT_EQ(served(s, {slice({{"10.42.0.3"}, {"10.42.0.2"}})}), "[http 10.42.0.2:8080 10.42.0.3:8080]");
  EXPECT_EQ(served(s, {slice({{"10.42.0.2", false, true}, {"10.42.0.3"}})}), "[http 10.42.0.3:8080]") << "not ready";
  EXPECT_EQ(served(s, {slice({{"10.42.0.2", false, true, true}, {"10.42.0.3"}})}), "[http 10.42.0.3:8080]")
      << "a terminating one while others are ready";
  EXPECT_EQ(served(s, {slice({{"10.42.0.2", false, true, true}, {"10.42.0.3", false, false, true}})}),
            "[http 10.42.0.2:8080]")
      << "none is ready: those that still serve";
  EXPECT_EQ(served(s, {slice({{"10.42.0.2", false, true}})}), "[http]") << "not ready and not terminating: none";
  EXPECT_EQ(served(s, {slice({{"10.42.0.2"}}), slice({{"10.42.0.2"}, {"10.42.0.4"}})}),
            "[http 10.42.0.2:8080 10.42.0.4:8080]")
      << "one endpoint in two slices";
  EXPECT_EQ(served(s, {slice({{"10.42.9.6", true, true, false, "n2"}})}), "[http 10.42.9.6:8080 elsewhere]");
  EXPECT_EQ(served(s, {slice({{"10.42.0.2"}}, {{.name = "other", .port = 1}})}), "[http]") << "no port of that name";
  EXPECT_EQ(served(s, {slice({{"10.42.0.2"}}, {{.name = "http", .protocol = Protocol::udp, .port = 1}})}), "[http]");
  // A named target port may be another number in each slice.
  EXPECT_EQ(served(s, {slice({{"10.42.0.2"}}), slice({{"10.42.0.3"}}, {{.name = "http", .port = 9090}})}),
            "[http 10.42.0.2:8080 10.42.0.3:9090]");
}

TEST(Topology, PublishNotReadyTakesAll) {
  auto s = service();
  s.publish_not_ready = true;
  EXPECT_EQ(served(s, {slice({{"10.42.0.2", false, false, true}, {"10.42.0.3"}})}),
            "[http 10.42.0.2:8080 10.42.0.3:8080]");
}

TEST(Topology, ServicesWithoutFrontsHaveNoModel) {
  auto headless = service();
  headless.headless = true;
  headless.cluster_ips.clear();
  EXPECT_TRUE(model_of(headless, {}, {}).empty());
  auto unallocated = service();
  unallocated.cluster_ips.clear();
  EXPECT_TRUE(model_of(unallocated, {}, {}).empty());
  unallocated.ports.front().node_port = 30080;
  EXPECT_EQ(model_of(unallocated, {}, {}).ports.size(), 1U) << "a node port needs no address";
  auto name = service();
  name.type = kube::ServiceType::external_name;
  EXPECT_TRUE(model_of(name, {}, {}).empty());
}

// Under a Local policy this node's endpoints are judged alone: one that ends here still serves while others are ready.
TEST(Topology, LocalListsAreOfThisNode) {
  auto s = service();
  s.external_policy = kube::TrafficPolicy::local;
  NodeFacts node{.node_name = "n1"};
  auto locals = [&](const std::vector<kube::EndpointSlice>& slices) {
    std::vector<const kube::EndpointSlice*> list;
    for (const auto& one : slices) list.push_back(&one);
    std::string out;
    auto model = model_of(s, list, node);
    for (const auto& b : model.ports.front().local) out += b.address.str() + " ";
    return out;
  };
  auto here = slice({{"10.42.0.2", true, true, false, "n1"}, {"10.42.9.3", true, true, false, "n2"}});
  EXPECT_EQ(locals({here}), "10.42.0.2 ");
  EXPECT_EQ(locals({slice({{"10.42.0.2", false, true, true, "n1"}, {"10.42.9.3", true, true, false, "n2"}})}),
            "10.42.0.2 ")
      << "it ends, but serves";
  EXPECT_EQ(locals({slice({{"10.42.0.2", false, false, true, "n1"}, {"10.42.9.3", true, true, false, "n2"}})}), "");
  EXPECT_EQ(locals({slice({{"10.42.0.2", true, true, false, ""}})}), "") << "an unknown node is not this one";
  EXPECT_EQ(served(s, {slice({{"10.42.0.2", true, true, false, ""}})}), "[http 10.42.0.2:8080]")
      << "but may be: it would reach itself";
  s.external_policy = kube::TrafficPolicy::cluster;
  EXPECT_EQ(locals({here}), "") << "no list that nobody reads";
}

TEST(Topology, AddressesAreTakenOnceAndRangesDoNotOverlap) {
  auto s = service();
  s.type = kube::ServiceType::load_balancer;
  s.load_balancer_ips = {ip("203.0.113.1"), ip("203.0.113.1"), ip("2001:db8::1")};
  s.external_ips = {ip("203.0.113.1"), ip("203.0.113.2"), s.cluster_ips.front()};
  s.source_ranges = {*Cidr::parse("10.1.0.0/16"), *Cidr::parse("10.0.0.5/8"), *Cidr::parse("192.0.2.7/32")};
  auto model = model_of(s, {}, {});
  EXPECT_EQ(model.external, (std::vector{ip("203.0.113.1"), ip("203.0.113.2")}));
  EXPECT_EQ(model.fenced, std::vector{ip("203.0.113.1")});
  EXPECT_EQ(model.ranges, (std::vector{*Cidr::parse("10.0.0.0/8"), *Cidr::parse("192.0.2.7/32")}));
  s.type = kube::ServiceType::cluster_ip;
  model = model_of(s, {}, {});
  EXPECT_EQ(model.external, (std::vector{ip("203.0.113.1"), ip("203.0.113.2")})) << "externalIPs are of every type";
  EXPECT_TRUE(model.fenced.empty()) << "ranges are of load balancers alone";
}

TEST(Topology, RangesFenceTheAddressesOfTheirOwnFamilyAlone) {
  auto s = service();
  s.type = kube::ServiceType::load_balancer;
  s.load_balancer_ips = {ip("203.0.113.1"), ip("2001:db8::1")};
  NodeFacts both{.families = {Family::v4, Family::v6}};
  s.source_ranges = {*Cidr::parse("2001:db8:1::/48")};
  EXPECT_EQ(model_of(s, {}, both).fenced, std::vector{ip("2001:db8::1")});
  s.source_ranges = {*Cidr::parse("192.0.2.0/24")};
  EXPECT_EQ(model_of(s, {}, both).fenced, std::vector{ip("203.0.113.1")});
  s.source_ranges.push_back(*Cidr::parse("2001:db8:1::/48"));
  EXPECT_EQ(model_of(s, {}, both).fenced, s.load_balancer_ips);
}

// Nobody's word takes another Service's cluster address, whichever of them comes first.
TEST(Topology, NoExternalAddressLiesWhereClusterAddressesDo) {
  NodeFacts node{.reserved = {*Cidr::parse("10.43.0.0/16"), *Cidr::parse("192.0.2.53/32")}};
  auto thief = service();
  thief.type = kube::ServiceType::load_balancer;
  thief.external_ips = {ip("10.43.0.1"), ip("203.0.113.2"), ip("10.43.0.9")};
  thief.load_balancer_ips = {ip("10.43.0.1"), ip("192.0.2.53")};
  thief.cluster_ips = {ip("10.43.0.9")};
  for (const char* name : {"a-thief", "z-thief"}) {
    thief.meta.name = name;
    Tracker tracker(node);
    tracker.set(service(), {});
    tracker.set(thief, {});
    Applied applied(layout());
    auto keys = tracker.services();
    std::ranges::sort(keys);
    for (const auto& key : keys) applied.accept(applied.plan({tracker.model(key)}));
    ASSERT_NE(applied.find("default/web"), nullptr) << name;
    EXPECT_EQ(applied.find("default/web")->vips, std::vector{ip("10.43.0.1")}) << name;
    const auto* model = applied.find("default/" + std::string(name));
    ASSERT_NE(model, nullptr) << name;
    EXPECT_EQ(model->vips, std::vector{ip("10.43.0.9")}) << name;
    EXPECT_EQ(model->external, std::vector{ip("203.0.113.2")}) << name;
  }
  EXPECT_EQ(not_served(thief, node),
            (std::vector<std::string>{"spec.externalIPs: 10.43.0.1 is kept for cluster addresses",
                                      "status.loadBalancer.ingress: 10.43.0.1 is kept for cluster addresses",
                                      "status.loadBalancer.ingress: 192.0.2.53 is kept for cluster addresses"}));
}

TEST(Topology, AServiceIsOfTheFamiliesOfItsClusterAddresses) {
  auto s = service();
  s.ports.front().node_port = 30080;
  NodeFacts both{.families = {Family::v4, Family::v6}};
  EXPECT_EQ(model_of(s, {}, both).ports.size(), 1U) << "no node port where the Service is not";
  s.cluster_ips.push_back(ip("2001:db8::1"));
  EXPECT_EQ(model_of(s, {}, both).ports.size(), 2U);
}

TEST(Topology, SaysWhatIsNotServed) {
  auto s = service();
  EXPECT_TRUE(not_served(s, {}).empty());
  s.external_policy = s.internal_policy = kube::TrafficPolicy::local;
  s.affinity_seconds = 60;
  s.external_ips = s.load_balancer_ips = {ip("192.0.2.7")};
  s.source_ranges = {*Cidr::parse("192.0.2.0/24")};
  s.health_check_node_port = 31000;
  s.cluster_ips.push_back(ip("2001:db8::1"));
  s.ports.push_back({.name = "s", .protocol = Protocol::sctp, .port = 5});
  EXPECT_EQ(not_served(s, {}).size(), 2U) << "IPv6, SCTP";
  EXPECT_EQ(not_served(s, {.families = {Family::v4, Family::v6}}).size(), 1U);
  EXPECT_EQ(model_of(s, {}, {}).ports.size(), 1U) << "SCTP is left out";
  EXPECT_EQ(model_of(s, {}, {}).vips.size(), 1U) << "IPv6 is left out";
}

}  // namespace
}  // namespace podshim::test
