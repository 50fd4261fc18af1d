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
    {"outside to front", {.from = "192.0.2.100", .to = "10.43.0.1"}, 0, "10.42.0.2:8080"},
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
  TracedPacket packet{.from = "192.0.2.100", .to = "10.43.0.3", .port = 30080};
  EXPECT_EQ(trace(ruleset, packet, [](std::uint32_t) { return 0U; }), "10.42.0.7:8080");
}

TEST(Packet, WithoutKnownPodRangesEveryClientOfANodePortIsMasqueraded) {
  auto facts = layout();
  facts.local_pods.clear();
  auto ruleset = netproxy::build_ruleset(facts, small_world());
  TracedPacket packet{.from = "10.42.0.100", .to = "192.0.2.1", .port = 30080};
  EXPECT_EQ(trace(ruleset, packet, [](std::uint32_t) { return 0U; }), "10.42.0.2:8080 masqueraded");
}

}  // namespace
}  // namespace podshim::test
