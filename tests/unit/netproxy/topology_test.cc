// topology: which endpoints serve.
#include "netproxy/topology.h"

#include <gtest/gtest.h>

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
  EXPECT_EQ(not_served(s, {}).size(), 9U);
  EXPECT_EQ(model_of(s, {}, {}).ports.size(), 1U) << "SCTP is left out";
  EXPECT_EQ(model_of(s, {}, {}).vips.size(), 1U) << "IPv6 is left out";
}

}  // namespace
}  // namespace podshim::test
