// Where does this packet end? One table over the small world.
#include <gtest/gtest.h>

#include "tests/support/packet_tracer.h"
#include "tests/support/services.h"

namespace podshim::test {
namespace {

using netproxy::Protocol;

struct Case {
  const char* name;
  TracedPacket packet;
  std::uint32_t slot;
  const char* want;
};

const Case kCases[] = {
    {"pod to front, slot 0", {.from = "10.42.0.100", .to = "10.43.0.1"}, 0, "10.42.0.2:8080"},
    {"pod to front, slot 1", {.from = "10.42.0.100", .to = "10.43.0.1"}, 1, "10.42.0.3:8080"},
    {"node to front", {.from = "192.0.2.1", .to = "10.43.0.1", .by_node = true}, 1, "10.42.0.3:8080"},
    {"outside to front", {.from = "192.0.2.100", .to = "10.43.0.1"}, 0, "10.42.0.2:8080 masqueraded"},
    {"outside to a UDP front",
     {.from = "192.0.2.100", .to = "10.43.0.10", .port = 53, .protocol = Protocol::udp},
     2,
     "10.42.9.6:53 masqueraded"},
    {"backend to itself", {.from = "10.42.0.2", .to = "10.43.0.1"}, 0, "10.42.0.2:8080 masqueraded"},
    {"backend to its sister", {.from = "10.42.0.2", .to = "10.43.0.1"}, 1, "10.42.0.3:8080"},
    {"another port of a front, TCP", {.from = "10.42.0.100", .to = "10.43.0.1", .port = 81}, 0, "reset"},
    {"another protocol of a front",
     {.from = "10.42.0.100", .to = "10.43.0.1", .protocol = Protocol::udp},
     0,
     "unreachable"},
    {"front without endpoint, pod", {.from = "10.42.0.100", .to = "10.43.0.2"}, 0, "reset"},
    {"front without endpoint, node", {.from = "192.0.2.1", .to = "10.43.0.2", .by_node = true}, 0, "reset"},
    {"node port without endpoint", {.from = "192.0.2.100", .to = "192.0.2.1", .port = 30081}, 0, "reset"},
    {"outside to node port",
     {.from = "192.0.2.100", .to = "192.0.2.1", .port = 30080},
     1,
     "10.42.0.3:8080 masqueraded"},
    {"pod to node port keeps its address",
     {.from = "10.42.0.100", .to = "192.0.2.1", .port = 30080},
     0,
     "10.42.0.2:8080"},
    {"pod to node port on the bridge", {.from = "10.42.0.100", .to = "10.42.0.1", .port = 30080}, 0, "10.42.0.2:8080"},
    {"backend to itself by node port",
     {.from = "10.42.0.2", .to = "192.0.2.1", .port = 30080},
     0,
     "10.42.0.2:8080 masqueraded"},
    {"node to its node port",
     {.from = "192.0.2.1", .to = "192.0.2.1", .port = 30080, .by_node = true},
     0,
     "10.42.0.2:8080 masqueraded"},
    {"loopback node port",
     {.from = "127.0.0.1", .to = "127.0.0.1", .port = 30080, .by_node = true},
     0,
     "10.42.0.2:8080 masqueraded"},
    {"node port on another host is not ours",
     {.from = "10.42.0.100", .to = "192.0.2.100", .port = 30080},
     0,
     "as sent"},
    {"a local port that is no node port", {.from = "192.0.2.100", .to = "192.0.2.1", .port = 22}, 0, "as sent"},
    {"outside to outside", {.from = "192.0.2.100", .to = "192.0.2.101"}, 0, "as sent"},
    {"UDP front",
     {.from = "10.42.0.100", .to = "10.43.0.10", .port = 53, .protocol = Protocol::udp},
     2,
     "10.42.9.6:53"},
    {"UDP front over TCP", {.from = "10.42.0.100", .to = "10.43.0.10", .port = 53}, 0, "reset"},
    {"UDP node port, outside",
     {.from = "192.0.2.100", .to = "192.0.2.1", .port = 30053, .protocol = Protocol::udp},
     0,
     "10.42.0.4:53 masqueraded"},
    {"UDP hairpin",
     {.from = "10.42.0.5", .to = "10.43.0.10", .port = 53, .protocol = Protocol::udp},
     1,
     "10.42.0.5:53 masqueraded"},
    {"endpoint of another node to itself passes there, not here",
     {.from = "10.42.9.6", .to = "10.43.0.10", .port = 53, .protocol = Protocol::udp},
     2,
     "10.42.9.6:53"},
    {"a priority of others does not lead into our chains",
     {.from = "10.42.0.100", .to = "192.0.2.101", .priority = 0x00040002},
     0,
     "as sent"},
};

TEST(Packet, EndsWhereTheTableSays) {
  auto ruleset = netproxy::build_ruleset(layout(), small_world());
  for (const auto& c : kCases)
    EXPECT_EQ(trace(ruleset, c.packet, [&](std::uint32_t modulus) { return c.slot % modulus; }), c.want) << c.name;
}

const Case kWide[] = {
    // Local policy outside, behind ranges.
    {"Local, outside: this node's endpoint, client kept",
     {.from = "192.0.2.100", .to = "203.0.113.10"},
     1,
     "10.42.0.7:8080"},
    {"Local, a Pod: all endpoints, client kept", {.from = "10.42.0.100", .to = "203.0.113.10"}, 1, "10.42.9.8:8080"},
    {"Local, this node: all endpoints, seen as the node",
     {.from = "192.0.2.1", .to = "203.0.113.10", .by_node = true},
     1,
     "10.42.9.8:8080 masqueraded"},
    {"Local, an endpoint to itself", {.from = "10.42.0.7", .to = "203.0.113.10"}, 0, "10.42.0.7:8080 masqueraded"},
    {"Local node port, outside", {.from = "192.0.2.100", .to = "192.0.2.1", .port = 30090}, 1, "10.42.0.7:8080"},
    {"Local node port, a Pod", {.from = "10.42.0.100", .to = "192.0.2.1", .port = 30090}, 1, "10.42.9.8:8080"},
    {"Local node port, this node",
     {.from = "127.0.0.1", .to = "127.0.0.1", .port = 30090, .by_node = true},
     1,
     "10.42.9.8:8080 masqueraded"},
    {"cluster address of it, outside: all endpoints",
     {.from = "192.0.2.100", .to = "10.43.0.20"},
     1,
     "10.42.9.8:8080 masqueraded"},
    {"in a range of one address", {.from = "198.51.100.7", .to = "203.0.113.10"}, 0, "10.42.0.7:8080"},
    {"outside the ranges", {.from = "198.51.100.8", .to = "203.0.113.10"}, 0, "dropped"},
    {"ranges are of the load balancer's address alone",
     {.from = "198.51.100.8", .to = "192.0.2.1", .port = 30090},
     0,
     "10.42.0.7:8080"},
    {"another port of an external address is somebody else's",
     {.from = "198.51.100.8", .to = "203.0.113.10", .port = 22},
     0,
     "as sent"},
    // IPv6.
    {"IPv6 cluster address", {.from = "2001:db8:42::100", .to = "2001:db8:43::20"}, 0, "2001:db8:42::7:8080"},
    {"IPv6 cluster address, outside",
     {.from = "2001:db8::100", .to = "2001:db8:43::20"},
     0,
     "2001:db8:42::7:8080 masqueraded"},
    {"IPv6 cluster address, this node",
     {.from = "2001:db8::1", .to = "2001:db8:43::20", .by_node = true},
     0,
     "2001:db8:42::7:8080"},
    {"IPv6 Local, outside", {.from = "2001:db8::100", .to = "2001:db8:f::10"}, 0, "2001:db8:42::7:8080"},
    {"IPv6, outside the ranges", {.from = "2001:db8:1::1", .to = "2001:db8:f::10"}, 0, "dropped"},
    {"IPv6, another port", {.from = "2001:db8:42::100", .to = "2001:db8:43::20", .port = 81}, 0, "reset"},
    // Cluster policy.
    {"Cluster, outside", {.from = "192.0.2.100", .to = "203.0.113.11"}, 1, "10.42.9.8:8080 masqueraded"},
    {"Cluster, a Pod", {.from = "10.42.0.100", .to = "203.0.113.11"}, 1, "10.42.9.8:8080"},
    {"Cluster, this node",
     {.from = "192.0.2.1", .to = "203.0.113.11", .by_node = true},
     0,
     "10.42.0.7:8080 masqueraded"},
    // Local policy, nothing here.
    {"no local endpoint, outside: dropped", {.from = "192.0.2.100", .to = "203.0.113.12"}, 0, "dropped"},
    {"no local endpoint, a Pod", {.from = "10.42.0.100", .to = "203.0.113.12"}, 0, "10.42.9.8:8080"},
    {"no local endpoint, this node",
     {.from = "192.0.2.1", .to = "203.0.113.12", .by_node = true},
     0,
     "10.42.9.8:8080 masqueraded"},
    {"no local endpoint, node port", {.from = "192.0.2.100", .to = "192.0.2.1", .port = 30092}, 0, "dropped"},
    {"no local endpoint, node port, a Pod",
     {.from = "10.42.0.100", .to = "192.0.2.1", .port = 30092},
     0,
     "10.42.9.8:8080"},
    {"internal Local, no local endpoint", {.from = "10.42.0.100", .to = "10.43.0.23"}, 0, "dropped"},
    {"internal Local, by its external address", {.from = "10.42.0.100", .to = "203.0.113.13"}, 0, "10.42.9.8:8080"},
    {"no endpoint at all, Local, outside", {.from = "192.0.2.100", .to = "203.0.113.14"}, 0, "reset"},
    {"no endpoint at all, Local, a Pod", {.from = "10.42.0.100", .to = "203.0.113.14"}, 0, "reset"},
};

TEST(Packet, EndsWhereThePoliciesSay) {
  for (const auto& c : kWide) {
    auto ruleset = netproxy::build_ruleset(wide_layout(), wide_world());
    auto packet = c.packet;
    if (packet.to.find(':') != std::string::npos) packet.local = {"2001:db8::1"};
    EXPECT_EQ(trace(ruleset, packet, [&](std::uint32_t modulus) { return c.slot % modulus; }), c.want) << c.name;
  }
}

TEST(Packet, AffinityKeepsTheFirstChoicePerClientAndFront) {
  auto ruleset = netproxy::build_ruleset(wide_layout(), wide_world());
  auto go = [&](const char* from, const char* to, std::uint32_t slot, int port = 80) {
    return trace(ruleset, {.from = from, .to = to, .port = port}, [&](std::uint32_t m) { return slot % m; });
  };
  EXPECT_EQ(go("10.42.0.100", "10.43.0.21", 1), "10.42.9.8:8080");
  EXPECT_EQ(go("10.42.0.100", "10.43.0.21", 0), "10.42.9.8:8080") << "remembered";
  EXPECT_EQ(go("10.42.0.101", "10.43.0.21", 0), "10.42.0.7:8080") << "another client chooses anew";
  EXPECT_EQ(go("192.0.2.100", "203.0.113.11", 0), "10.42.0.7:8080 masqueraded");
  EXPECT_EQ(go("192.0.2.100", "203.0.113.11", 1), "10.42.0.7:8080 masqueraded") << "the client, not what it is seen as";
  EXPECT_EQ(go("192.0.2.100", "192.0.2.1", 1, 30091), "10.42.9.8:8080 masqueraded");
  EXPECT_EQ(go("192.0.2.100", "192.0.2.1", 0, 30091), "10.42.9.8:8080 masqueraded") << "a node port";
  // A front without affinity on a port that is a sticky node port elsewhere is not remembered.
  EXPECT_EQ(go("10.42.0.100", "10.43.0.20", 0), "10.42.0.7:8080");
  EXPECT_EQ(go("10.42.0.100", "10.43.0.20", 1), "10.42.9.8:8080");
}

// While a table is replaced its maps are gone before its sets: no packet may take another way meanwhile.
TEST(Packet, WithoutMapsNothingPasses) {
  auto ruleset = netproxy::build_ruleset(wide_layout(), wide_world());
  std::erase_if(ruleset.elements, [](const netproxy::Element& e) { return netproxy::set_decl(e.set).is_map(); });
  std::erase_if(ruleset.chains, [](const netproxy::Chain& c) { return c.class_id.has_value(); });
  for (const char* to : {"203.0.113.10", "203.0.113.11", "10.43.0.20"}) {
    for (const char* from : {"192.0.2.100", "10.42.0.100"}) {
      EXPECT_EQ(trace(ruleset, {.from = from, .to = to}, [](std::uint32_t) { return 0U; }), "dropped") << from << to;
    }
  }
  for (int port : {30090, 30091})
    EXPECT_EQ(
        trace(ruleset, {.from = "192.0.2.100", .to = "192.0.2.1", .port = port}, [](std::uint32_t) { return 0U; }),
        "dropped");
}

// And with the maps of the Local policy alone gone, a client from outside must not reach the list of all endpoints.
TEST(Packet, WithoutItsLocalMapAFrontIsDroppedFromOutside) {
  auto ruleset = netproxy::build_ruleset(wide_layout(), wide_world());
  std::erase_if(ruleset.elements, [](const netproxy::Element& e) {
    return e.set.kind == netproxy::SetKind::svc_local || e.set.kind == netproxy::SetKind::np_local;
  });
  auto slot = [](std::uint32_t m) { return m - 1; };
  EXPECT_EQ(trace(ruleset, {.from = "192.0.2.100", .to = "203.0.113.10"}, slot), "dropped");
  EXPECT_EQ(trace(ruleset, {.from = "192.0.2.100", .to = "192.0.2.1", .port = 30090}, slot), "dropped");
  EXPECT_EQ(trace(ruleset, {.from = "10.42.0.100", .to = "203.0.113.10"}, slot), "10.42.9.8:8080");
}

// Between the look-up of N and that of the slot a commit may come: slot 0 takes the packet, and without it nothing may
// leave untranslated.
TEST(Packet, AMissedSlotFallsToSlotZeroAndElseIsDropped) {
  auto ruleset = netproxy::build_ruleset(layout(), small_world());
  TracedPacket packet{.from = "10.42.0.100", .to = "10.43.0.1"};
  auto last = [](std::uint32_t modulus) { return modulus - 1; };
  auto without = [&](std::uint32_t slot) {
    std::erase_if(ruleset.elements, [&](const netproxy::Element& e) {
      netproxy::Bytes key = netproxy::Bytes().address(ip("10.43.0.1")).proto(Protocol::tcp).port(80).number(slot);
      return e.set.kind == netproxy::SetKind::ep && e.key == key;
    });
  };
  without(1);
  EXPECT_EQ(trace(ruleset, packet, last), "10.42.0.2:8080");
  without(0);
  EXPECT_EQ(trace(ruleset, packet, last), "dropped");
}

TEST(Packet, APortEqualToANodePortIsNotMasqueradedAtAFront) {
  auto world = small_world();
  world.push_back(
      ModelOf{.key = "default/same", .vip = "10.43.0.3", .port = 30080, .backends = {backend("10.42.0.7")}}.model());
  auto ruleset = netproxy::build_ruleset(layout(), world);
  TracedPacket packet{.from = "192.0.2.1", .to = "10.43.0.3", .port = 30080, .by_node = true};
  EXPECT_EQ(trace(ruleset, packet, [](std::uint32_t) { return 0U; }), "10.42.0.7:8080");
}

TEST(Packet, NodePortsAreServedOnlyWhereTheyShallBe) {
  auto facts = wide_layout();
  facts.node_port_addresses = {*Cidr::parse("192.0.2.1/32"), *Cidr::parse("127.0.0.0/8")};
  auto world = wide_world();
  world.push_back(
      ModelOf{.key = "default/six", .vip = "10.43.0.40", .node_port = 30095, .backends = {backend("10.42.0.9")}}
          .model());
  auto ruleset = netproxy::build_ruleset(facts, world);
  const Case cases[] = {
      {"listed", {.from = "192.0.2.100", .to = "192.0.2.1", .port = 30095}, 0, "10.42.0.9:8080 masqueraded"},
      {"listed, Local policy", {.from = "192.0.2.100", .to = "192.0.2.1", .port = 30090}, 0, "10.42.0.7:8080"},
      {"loopback",
       {.from = "127.0.0.1", .to = "127.0.0.1", .port = 30095, .by_node = true},
       0,
       "10.42.0.9:8080 masqueraded"},
      {"another local address", {.from = "192.0.2.100", .to = "10.42.0.1", .port = 30095}, 0, "as sent"},
      {"another one, Local policy", {.from = "192.0.2.100", .to = "10.42.0.1", .port = 30090}, 0, "as sent"},
      {"another one, from a Pod", {.from = "10.42.0.100", .to = "10.42.0.1", .port = 30095}, 0, "as sent"},
      {"a family of which none is listed",
       {.from = "2001:db8::100", .to = "2001:db8::1", .port = 30090, .local = {"2001:db8::1"}},
       0,
       "as sent"},
      {"a cluster address is no node port", {.from = "10.42.0.100", .to = "10.43.0.40"}, 0, "10.42.0.9:8080"},
  };
  for (const auto& c : cases)
    EXPECT_EQ(trace(ruleset, c.packet, [&](std::uint32_t modulus) { return c.slot % modulus; }), c.want) << c.name;
}

// Then who is outside cannot be told: at a cluster address everybody keeps the address, as under kube-proxy.
TEST(Packet, WithoutKnownPodRangesEveryClientOfANodePortIsMasqueradedAndNoneOfAClusterAddress) {
  auto facts = layout();
  facts.local_pods.clear();
  auto ruleset = netproxy::build_ruleset(facts, small_world());
  TracedPacket packet{.from = "10.42.0.100", .to = "192.0.2.1", .port = 30080};
  EXPECT_EQ(trace(ruleset, packet, [](std::uint32_t) { return 0U; }), "10.42.0.2:8080 masqueraded");
  packet = {.from = "192.0.2.100", .to = "10.43.0.1"};
  EXPECT_EQ(trace(ruleset, packet, [](std::uint32_t) { return 0U; }), "10.42.0.2:8080");
}

}  // namespace
}  // namespace podshim::test
