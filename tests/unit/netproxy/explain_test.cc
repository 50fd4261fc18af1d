// explain: which Service, which endpoints, and why not.
#include "netproxy/explain.h"

#include <gtest/gtest.h>

#include "tests/support/services.h"

namespace podshim::test {
namespace {

using namespace netproxy;

TEST(Explain, ReadsQuestions) {
  struct Case {
    const char* text;
    const char* want;
  };
  auto shown = [](const char* text) -> std::string {
    auto q = parse_question(text);
    if (!q) return "bad";
    if (!q->address) return q->service;
    return q->address->str() + " " + std::to_string(q->port) + (q->protocol == Protocol::udp ? " udp" : " tcp");
  };
  const Case cases[] = {
      {"10.43.0.1:80", "10.43.0.1 80 tcp"},
      {"10.43.0.1:80/tcp", "10.43.0.1 80 tcp"},
      {"[2001:db8::1]:53/udp", "2001:db8::1 53 udp"},
      {"web", "default/web"},
      {"shop/front", "shop/front"},
      {"", "bad"},
      {"10.43.0.1", "bad"},
      {"10.43.0.1:", "bad"},
      {"10.43.0.1:0", "bad"},
      {"10.43.0.1:70000", "bad"},
      {"10.43.0.1:80/sctp", "bad"},
      {"web:80", "bad"},
  };
  for (const auto& c : cases) EXPECT_EQ(shown(c.text), c.want) << c.text;
}

class ExplainTest : public testing::Test {
 protected:
  ExplainTest() { applied.accept(applied.plan(wide_world())); }
  std::string ask(const char* text) {
    auto answer = explain(*parse_question(text), facts);
    found = answer.found;
    return answer.text;
  }
  void expect(const char* question, std::initializer_list<const char*> lines) {
    auto text = ask(question);
    for (const char* line : lines) EXPECT_NE(text.find(line), std::string::npos) << question << ":\n" << text;
  }
  Tracker tracker{NodeFacts{.node_name = "node"}};
  Applied applied{wide_layout()};
  ExplainFacts facts{.tracker = tracker,
                     .applied = applied,
                     .conflicts = {},
                     .node_name = "node",
                     .node = {ip("192.0.2.1")},
                     .status = std::nullopt};
  bool found = false;
};

TEST_F(ExplainTest, SaysWhereAConnectionEndsAndWhyNot) {
  expect("203.0.113.10:80", {"203.0.113.10:80/tcp: external address of Service shop/front, port \"http\"",
                             "from Pods and this node: to one of 2 endpoints",
                             "from outside: to 10.42.0.7:8080 on this node, of 2; the endpoint sees the client's own",
                             "loadBalancerSourceRanges: 192.0.2.0/24, 10.42.0.0/16, 198.51.100.7/32; any other source "
                             "is DROPPED",
                             "no running netproxy was found"});
  expect("203.0.113.12:80", {"from outside: DROPPED: externalTrafficPolicy is Local and none of 1 endpoint is on node "
                             "\"node\"",
                             "sessionAffinity ClientIP: a client keeps its endpoint for 60 s"});
  expect("10.43.0.23:80", {"from anywhere: DROPPED: internalTrafficPolicy is Local"});
  expect("10.43.0.24:80", {"from anywhere: REFUSED (TCP reset): no endpoint is ready"});
  expect("10.43.0.20:80", {"from Pods and this node: to one of 2 endpoints; the endpoint sees the client's own address",
                           "from outside: to one of 2 endpoints; the endpoint sees this node's address"});
  expect("192.0.2.1:30091", {"IPv4 node port 30091/tcp: node port of Service shop/cart",
                             "from outside and this node: to one of 2 endpoints; the endpoint sees this node's"});
  EXPECT_TRUE(found);
  expect("10.43.0.20:81", {"REFUSED: 10.43.0.20 is an address of Service shop/front, which does not have this port; it "
                           "has 80/tcp"});
  expect("192.0.2.1:30095", {"no Service has it; packets are left alone (an address of this node"});
  EXPECT_FALSE(found);
  expect("198.51.100.1:30091", {"no Service has it; packets are left alone\n"});
  expect("nothing", {"there is no Service default/nothing"});
  EXPECT_FALSE(found);
}

TEST_F(ExplainTest, TellsEndpointsThatAreLeftOutAndConflicts) {
  auto now = Clock::now();
  kube::Service s;
  s.meta = {.name = "front", .name_space = "shop"};
  tracker.set(s, now);
  kube::EndpointSlice slice;
  slice.meta = {.name = "front-1", .name_space = "shop"};
  slice.service_name = "front";
  slice.endpoints = {{.addresses = {ip("10.42.0.9")}, .ready = false, .serving = true, .terminating = true}};
  tracker.set(slice, now);
  facts.conflicts["shop/front"] = {{"10.43.0.1 TCP 80", "default/web"}};
  facts.status = *json::parse(R"({"services": {"shop/front": {"acknowledged": "now", "quarantined": "EEXIST"}}})");
  expect("shop/front", {"endpoint 10.42.0.9 is not ready (ending, still serves)",
                        "NOT SERVED: 10.43.0.1 TCP 80 belongs to Service default/web",
                        "acknowledged by the kernel: now", "quarantined: EEXIST"});
  s.meta.name = "db";
  s.headless = true;
  tracker.set(s, now);
  expect("shop/db", {"is headless"});
}

}  // namespace
}  // namespace podshim::test
