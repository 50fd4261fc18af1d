// External addresses and the Local policies with real packets: whom the endpoint sees, what a node without an endpoint
// does, whom source ranges keep out. The client is curl.
#include <netinet/in.h>
#include <sys/socket.h>

#include <fstream>

#include "tests/root/netproxy/net_fixture.h"

namespace podshim::test {
namespace {

constexpr const char* kNoAnswer = "exit 28";

class PolicyTest : public NetTest {
 protected:
  void SetUp() override {
    NetTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    backends = {add_pod("b0", "10.42.0.2"), add_pod("b1", "10.42.0.3")};
    add_pod("client", "10.42.0.100", false);
    // Its bridge port forwards a moment later.
    for (const std::string address : {"10.42.0.2", "2001:db8:42::2"})
      for (int i = 0; i < 30 && tcp_from("client", address, 8080).error != 0; i++) continue;
  }
  // What curl prints in a namespace: "<endpoint> <whom it saw>", or "exit <its code>": 7 refused, 28 no answer. It
  // waits so long that a busy node answers; `unanswered` is for those that nobody answers.
  std::string curl(const std::string& from, const std::string& url, const std::string& options = "", int seconds = 5) {
    auto command = "curl -sS -g -m " + std::to_string(seconds) + " " + options + " http://" + url + "/";
    auto out = sh(from.empty() ? command : "ip netns exec " + from + " " + command);
    return out.code == 0 ? out.text : "exit " + std::to_string(out.code);
  }
  std::string unanswered(const std::string& from, const std::string& url, const std::string& options = "") {
    return curl(from, url, options, 1);
  }
  // Again until it prints `want`, for 20 s: the last it printed.
  std::string curl_until(const std::string& want, const std::string& from, const std::string& url,
                         const std::string& options = "") {
    const auto end = SteadyClock::now() + std::chrono::seconds(20);
    std::string got;
    do got = want == kNoAnswer ? unanswered(from, url, options) : curl(from, url, options);
    while (got != want && SteadyClock::now() < end);
    return got;
  }
  std::vector<std::string> backends;
};

TEST_F(PolicyTest, TheEndpointSeesTheClientUnderLocalAndTheNodeUnderCluster) {
  write_service(
      {.node_port = 30080, .load_balancer = {"203.0.113.10"}, .external = {"203.0.113.20"}, .external_local = true});
  write_slice("web", {backends[0]});
  write_service({.name = "shared",
                 .vip = "10.43.0.2",
                 .node_port = 30081,
                 .load_balancer = {"203.0.113.11"},
                 .external = {"203.0.113.21"}});
  write_slice("shared", {backends[0]});
  start_proxy();
  wait_endpoints("web", {backends[0]});
  wait_endpoints("shared", {backends[0]});
  struct Case {
    const char *from, *url, *want;
  };
  const Case cases[] = {
      {"out", "203.0.113.10", "b0 192.0.2.100"},
      {"out", "203.0.113.20", "b0 192.0.2.100"},
      {"out", "192.0.2.1:30080", "b0 192.0.2.100"},
      {"out", "203.0.113.11", "b0 10.42.0.1"},
      {"out", "203.0.113.21", "b0 10.42.0.1"},
      {"out", "192.0.2.1:30081", "b0 10.42.0.1"},
      {"client", "203.0.113.10", "b0 10.42.0.100"},
      {"client", "203.0.113.11", "b0 10.42.0.100"},
      {"client", "192.0.2.1:30080", "b0 10.42.0.100"},
      {"", "203.0.113.10", "b0 10.42.0.1"},
      {"", "203.0.113.11", "b0 10.42.0.1"},
      {"", "127.0.0.1:30080", "b0 10.42.0.1"},
      {"b0", "203.0.113.10", "b0 10.42.0.1"},
  };
  for (const auto& c : cases) EXPECT_EQ(curl(c.from, c.url), c.want) << c.from << " -> " << c.url;
  // What conntrack made of the one from outside under Local: no source translation.
  EXPECT_NE(sh("conntrack -L -p tcp --orig-dst 203.0.113.10 --orig-src 192.0.2.100 2>/dev/null")
                .text.find("src=10.42.0.2 dst=192.0.2.100"),
            std::string::npos);
}

// The directory is one; what is local is told by --node-name. The other node can reach the endpoint: that it does not
// is its decision.
TEST_F(PolicyTest, ANodeWithoutALocalEndpointDropsWhatComesFromOutside) {
  write_service({.node_port = 30080, .load_balancer = {"203.0.113.10"}, .external_local = true});
  write_slice("web", {backends[0]}, "TCP", {{backends[0], "node"}});
  write_service({.name = "shared", .vip = "10.43.0.2", .node_port = 30081});
  write_slice("shared", {backends[0]}, "TCP", {{backends[0], "node"}});
  auto made =
      sh("set -e; ip netns add nodeb; ip -n out link add eth1 type veth peer name up0 netns nodeb\n"
         "ip -n nodeb link set lo up; ip -n nodeb addr add 198.51.100.2/24 dev up0; ip -n nodeb link set up0 up\n"
         "ip -n out addr add 198.51.100.100/24 dev eth1; ip -n out link set eth1 up\n"
         "ip -n nodeb route add default via 198.51.100.100\n"
         "ip -n out route replace 203.0.113.10/32 via 198.51.100.2\n"
         "for n in out nodeb; do ip netns exec $n sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'; done\n"
         "ip netns exec nodeb " +
         command() +
         " --node-name node-b --once\n"
         "ip netns exec nodeb nft add table inet seen\n"
         "ip netns exec nodeb nft 'add chain inet seen forward { type filter hook forward priority 0; }'\n"
         "ip netns exec nodeb nft 'add rule inet seen forward counter'");
  pods.push_back("nodeb");
  ASSERT_EQ(made.code, 0) << made.text;
  EXPECT_EQ(unanswered("out", "203.0.113.10"), kNoAnswer) << "dropped: neither refused nor answered";
  EXPECT_EQ(unanswered("out", "198.51.100.2:30080"), kNoAnswer);
  auto seen = sh("ip netns exec nodeb nft list chain inet seen forward");
  EXPECT_NE(seen.text.find("counter packets 0 bytes 0"), std::string::npos) << "forwarded: " << seen.text;
  EXPECT_EQ(curl("out", "198.51.100.2:30081").substr(0, 3), "b0 ") << "under Cluster it goes to the other node";
  EXPECT_EQ(curl("nodeb", "203.0.113.10").substr(0, 3), "b0 ") << "the node itself uses all endpoints";
  auto why = sh("ip netns exec nodeb " + command() + " --node-name node-b explain 203.0.113.10:80 2>&1");
  EXPECT_NE(why.text.find("from outside: DROPPED: externalTrafficPolicy is Local and none of 1 endpoint is on node "
                          "\"node-b\""),
            std::string::npos)
      << why.text;
  // And with the Service on its own node it is served, whatever the other does.
  ASSERT_EQ(sh("ip -n out route replace 203.0.113.10/32 via 192.0.2.1").code, 0);
  start_proxy();
  wait_endpoints("web", {backends[0]});
  EXPECT_EQ(curl("out", "203.0.113.10"), "b0 192.0.2.100");
}

// The cluster range is routed to this node, and the endpoint has a way back to Pods and nodes only.
TEST_F(PolicyTest, AClientFromOutsideReachesAClusterAddressThroughThisNode) {
  write_service({.vip6 = "2001:db8:43::1"});
  write_slice("web", {backends[0]});
  write_slice("web", {"2001:db8:42::2"});
  auto cut =
      sh("set -e; ip -n b0 route del default; ip -n b0 route add 192.0.2.1 via 10.42.0.1\n"
         "ip -n b0 -6 route del default; ip -n b0 -6 route add 2001:db8::1 via 2001:db8:42::1");
  ASSERT_EQ(cut.code, 0) << cut.text;
  start_proxy();
  wait_endpoints("web", {backends[0]});
  EXPECT_EQ(unanswered("out", "10.42.0.2:8080"), kNoAnswer) << "no way back to it: the test would show nothing";
  EXPECT_EQ(curl("out", "10.43.0.1"), "b0 10.42.0.1");
  EXPECT_EQ(curl("out", "[2001:db8:43::1]"), "b0 2001:db8:42::1");
  EXPECT_EQ(curl("client", "10.43.0.1"), "b0 10.42.0.100") << "a Pod keeps its address";
  EXPECT_EQ(curl("client", "[2001:db8:43::1]"), "b0 2001:db8:42::100");
  EXPECT_EQ(curl("", "10.43.0.1"), "b0 192.0.2.1") << "this node keeps that of its route";
  EXPECT_EQ(curl("", "[2001:db8:43::1]"), "b0 2001:db8::1");
}

TEST_F(PolicyTest, OnlyThisNodesEndpointsServeUnderLocal) {
  write_service({.node_port = 30080, .load_balancer = {"203.0.113.10"}, .external_local = true});
  write_slice("web", backends, "TCP", {{backends[0], "node"}, {backends[1], "elsewhere"}});
  write_service({.name = "inner", .vip = "10.43.0.2", .internal_local = true});
  write_slice("inner", backends, "TCP", {{backends[0], "node"}, {backends[1], "elsewhere"}});
  write_service({.name = "away", .vip = "10.43.0.3", .external = {"203.0.113.30"}, .internal_local = true});
  write_slice("away", {backends[1]}, "TCP", {{backends[1], "elsewhere"}});
  start_proxy();
  wait_endpoints("away", {backends[1]});
  wait_endpoints("web", {backends.begin(), backends.end()});
  std::map<std::string, int> outside, pod, inner;
  for (int i = 0; i < 20; i++) {
    outside[tcp_from("out", "203.0.113.10", 80).name]++;
    pod[tcp_from("client", "203.0.113.10", 80).name]++;
    inner[tcp_from("client", "10.43.0.2", 80).name]++;
  }
  EXPECT_EQ(outside, (std::map<std::string, int>{{"b0", 20}}));
  EXPECT_EQ(pod.size(), 2U) << "a Pod uses all";
  EXPECT_EQ(inner, (std::map<std::string, int>{{"b0", 20}})) << "internalTrafficPolicy";
  EXPECT_EQ(unanswered("client", "10.43.0.3"), kNoAnswer) << "none here: dropped";
  EXPECT_EQ(curl("client", "203.0.113.30"), "b1 10.42.0.100") << "the policy is of the cluster address alone";
}

// What a load balancer asks before it sends anything here.
TEST_F(PolicyTest, HealthCheckNodePortTellsWhetherAnEndpointIsHere) {
  ServiceFile balanced{
      .node_port = 30080, .load_balancer = {"203.0.113.10"}, .external_local = true, .health_port = 31000};
  write_service(balanced);
  write_slice("web", backends, "TCP", {{backends[0], "node"}, {backends[1], "elsewhere"}});
  write_service({.name = "zone",
                 .vip = "10.43.0.2",
                 .load_balancer = {"203.0.113.11"},
                 .external_local = true,
                 .health_port = 31000});
  write_service({.name = "late",
                 .vip = "10.43.0.3",
                 .load_balancer = {"203.0.113.12"},
                 .external_local = true,
                 .health_port = 31001});
  auto at_port = [](int port) {
    return sockaddr_in{.sin_family = AF_INET,
                       .sin_port = htons(static_cast<std::uint16_t>(port)),
                       .sin_addr = {htonl(0xc0000201)},
                       .sin_zero = {}};
  };
  Fd holder(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto taken = at_port(31001);
  ASSERT_EQ(::bind(holder.get(), reinterpret_cast<sockaddr*>(&taken), sizeof taken), 0);
  ASSERT_EQ(::listen(holder.get(), 1), 0);
  start_proxy();
  wait_endpoints("web", {backends.begin(), backends.end()});
  EXPECT_NE(log().find("healthCheckNodePort not served yet"), std::string::npos);
  holder.reset();
  auto health = [&](const std::string& at, const std::string& want) {
    std::string got;
    auto end = SteadyClock::now() + std::chrono::seconds(20);
    while (got.find(want) == std::string::npos && SteadyClock::now() < end) {
      auto out = sh("ip netns exec out curl -sS -g -m 2 -w '%{http_code}' http://" + at + "/healthz");
      got = out.code == 0 ? out.text : "exit " + std::to_string(out.code);
    }
    return got;
  };
  const std::string who = R"("service":{"namespace":"default","name":"web"})", v6 = "[2001:db8::1]:31000";
  auto here = health("192.0.2.1:31000", "200");
  EXPECT_NE(here.find(R"("localEndpoints":1)"), std::string::npos) << here;
  EXPECT_NE(here.find(who), std::string::npos) << here;
  EXPECT_NE(health(v6, "200").find("200"), std::string::npos);
  write_slice("web", {backends[1]}, "TCP", {{backends[1], "elsewhere"}});
  auto away = health("192.0.2.1:31000", "503");
  EXPECT_NE(away.find(R"("localEndpoints":0)"), std::string::npos) << away;
  EXPECT_NE(away.find("503"), std::string::npos) << away;
  // More silent connections than there are places keep nobody out.
  std::vector<Fd> silent;
  for (int i = 0; i < 200; i++) {
    auto to = at_port(31000);
    silent.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(silent.back().get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  }
  EXPECT_NE(health("192.0.2.1:31000", "503").find("503"), std::string::npos);
  // The port goes with what asked for it, to the next that does.
  balanced.external_local = false;
  balanced.health_port = 0;
  write_service(balanced);
  EXPECT_NE(health("192.0.2.1:31000", R"("zone")").find(R"("zone")"), std::string::npos);
  remove_file("zone.json");
  EXPECT_EQ(health("192.0.2.1:31000", "exit 7"), "exit 7");
  EXPECT_NE(health("192.0.2.1:31001", R"("late")").find(R"("late")"), std::string::npos) << "a port that was taken";
}

TEST_F(PolicyTest, SourceRangesAreOfTheirOwnAddressAndPort) {
  write_service({.node_port = 30080,
                 .load_balancer = {"203.0.113.10"},
                 .ranges = {"192.0.2.100/32", "10.42.0.100/31", "10.42.0.100/32"}});
  write_slice("web", {backends[0]});
  write_service({.name = "open", .vip = "10.43.0.2", .port = 81, .load_balancer = {"203.0.113.10"}});
  write_slice("open", {backends[0]});
  start_proxy();
  wait_endpoints("web", {backends[0]});
  wait_endpoints("open", {backends[0]});
  EXPECT_EQ(curl("out", "203.0.113.10"), "b0 10.42.0.1");
  EXPECT_EQ(unanswered("out", "203.0.113.10", "--interface 192.0.2.101"), kNoAnswer) << "dropped";
  EXPECT_EQ(curl("out", "203.0.113.10:81", "--interface 192.0.2.101"), "b0 10.42.0.1") << "the other Service's port";
  EXPECT_EQ(curl("out", "192.0.2.1:30080", "--interface 192.0.2.101"), "b0 10.42.0.1") << "not of node ports";
  EXPECT_EQ(curl("client", "203.0.113.10"), "b0 10.42.0.100");
  EXPECT_EQ(unanswered("b1", "203.0.113.10"), kNoAnswer) << "a Pod outside the ranges";
  EXPECT_EQ(unanswered("", "203.0.113.10"), kNoAnswer) << "this node too";
  EXPECT_EQ(curl("b1", "10.43.0.1"), "b0 10.42.0.3") << "the cluster address is open";
  // Changed while it runs, and taken away.
  write_service({.node_port = 30080, .load_balancer = {"203.0.113.10"}, .ranges = {"192.0.2.101/32"}});
  auto until = [&](const std::string& options, const std::string& want) {
    return curl_until(want, "out", "203.0.113.10", options);
  };
  EXPECT_EQ(until("--interface 192.0.2.101", "b0 10.42.0.1"), "b0 10.42.0.1");
  EXPECT_EQ(until("--interface 192.0.2.100", kNoAnswer), kNoAnswer);
  write_service({.node_port = 30080, .load_balancer = {"203.0.113.10"}});
  EXPECT_EQ(until("--interface 192.0.2.100", "b0 10.42.0.1"), "b0 10.42.0.1");
}

TEST_F(PolicyTest, DualStackIsServedOverIPv6) {
  write_service({.node_port = 30080,
                 .vip6 = "2001:db8:43::1",
                 .load_balancer = {"203.0.113.10", "2001:db8:f::10"},
                 .external_local = true});
  write_slice("web", {backends[0]});
  write_slice("web", {"2001:db8:42::3"});
  write_service({.name = "none", .vip = "10.43.0.2", .vip6 = "2001:db8:43::2"});
  start_proxy();
  wait_endpoints("web", {backends[0]});
  struct Case {
    const char *from, *url, *want;
  };
  const Case cases[] = {
      {"client", "[2001:db8:43::1]", "b1 2001:db8:42::100"},
      {"client", "10.43.0.1", "b0 10.42.0.100"},
      {"out", "[2001:db8:43::1]", "b1 2001:db8:42::1"},
      {"b1", "[2001:db8:43::1]", "b1 2001:db8:42::1"},
      {"out", "[2001:db8::1]:30080", "b1 2001:db8::100"},
      {"out", "[2001:db8:f::10]", "b1 2001:db8::100"},
      {"client", "[2001:db8:43::2]", "exit 7"},
      {"client", "[2001:db8:43::1]:81", "exit 7"},
  };
  for (const auto& c : cases) EXPECT_EQ(curl(c.from, c.url), c.want) << c.from << " -> " << c.url;
  EXPECT_EQ(curl("", "[2001:db8:43::1]").substr(0, 3), "b1 ");
  // A front comes and goes in this family too.
  write_slice("web", {"2001:db8:42::2"});
  EXPECT_EQ(curl_until("b0 2001:db8:42::100", "client", "[2001:db8:43::1]"), "b0 2001:db8:42::100");
}

}  // namespace
}  // namespace podshim::test
