// Session affinity with real packets: one client, one endpoint, until the endpoint goes or the time is over.
#include <thread>

#include "tests/root/netproxy/net_fixture.h"

namespace podshim::test {
namespace {

class AffinityTest : public NetTest {
 protected:
  void SetUp() override {
    NetTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    for (int i = 0; i < 4; i++)
      backends.push_back(add_pod("b" + std::to_string(i), "10.42.0." + std::to_string(2 + i)));
    for (int i = 0; i < 4; i++)
      clients.push_back(add_pod("c" + std::to_string(i), "10.42.0." + std::to_string(100 + i), false));
  }
  // Who answered `count` connections.
  std::map<std::string, int> ask(const std::string& from, const std::string& address, int port, int count,
                                 bool udp = false) {
    std::map<std::string, int> out;
    for (int i = 0; i < count; i++) out[(udp ? udp_from(from, address, port) : tcp_from(from, address, port)).name]++;
    return out;
  }
  static std::string map_text(const std::string& name) { return sh("nft list map inet podshim " + name).text; }
  std::string address_of(const std::string& backend) { return "10.42.0." + std::to_string(2 + backend.back() - '0'); }
  std::vector<std::string> without(const std::string& backend) {
    auto out = backends;
    std::erase(out, address_of(backend));
    return out;
  }
  std::vector<std::string> backends, clients;
};

TEST_F(AffinityTest, OneClientOneEndpoint) {
  write_service({.node_port = 30080, .load_balancer = {"203.0.113.10"}, .affinity = 10800});
  write_slice("web", backends);
  write_service({.name = "dns", .vip = "10.43.0.10", .protocol = "UDP", .port = 53, .affinity = 60});
  write_slice("dns", backends, "UDP");
  start_proxy();
  wait_endpoints("web", {backends.begin(), backends.end()});
  wait_endpoints("dns", {backends.begin(), backends.end()});
  std::set<std::string> chosen;
  for (const std::string from : {"c0", "c1", "c2", "c3", ""}) {
    auto who = ask(from, "10.43.0.1", 80, 30);
    ASSERT_EQ(who.size(), 1U) << from;
    EXPECT_EQ(who.begin()->second, 30);
    chosen.insert(who.begin()->first);
    auto datagrams = ask(from, "10.43.0.10", 53, 30, true);
    EXPECT_EQ(datagrams.size(), 1U) << "UDP from " << from << ", first " << datagrams.begin()->first << " "
                                    << datagrams.begin()->second << " times\n"
                                    << map_text("aff_ip_60") << sh("conntrack -L -p udp").text;
  }
  EXPECT_EQ(ask("out", "203.0.113.10", 80, 30).size(), 1U);
  EXPECT_EQ(ask("out", "192.0.2.1", 30080, 30).size(), 1U);
  // Five clients that choose among four: all alike once in 256 runs, and then the others are asked.
  for (int i = 0; chosen.size() == 1 && i < 20; i++) {
    auto address = "192.0.2.1" + std::to_string(50 + i);
    ASSERT_EQ(sh("ip -n out addr add " + address + "/24 dev eth0").code, 0);
    auto out = sh("ip netns exec out curl -sS -m 2 --interface " + address + " http://203.0.113.10/");
    chosen.insert(out.text.substr(0, 2));
  }
  EXPECT_GT(chosen.size(), 1U) << "another client may have another endpoint";
  auto listed = map_text("aff_ip_10800");
  EXPECT_NE(listed.find("192.0.2.100 . 203.0.113.10 . tcp . 80 expires 2h59m"), std::string::npos) << listed;
}

TEST_F(AffinityTest, ItEndsWithItsEndpointAtOnce) {
  write_service({.affinity = 10800});
  write_slice("web", backends);
  start_proxy();
  wait_endpoints("web", {backends.begin(), backends.end()});
  auto first = ask("c0", "10.43.0.1", 80, 5).begin()->first;
  auto other = ask("c1", "10.43.0.1", 80, 5).begin()->first;
  write_slice("web", without(first));
  auto left = without(first);
  wait_endpoints("web", {left.begin(), left.end()});
  stop_pod(first);
  EXPECT_EQ(map_text("aff_ip_10800").find(address_of(first) + " . 8080"), std::string::npos) << "in the same batch";
  auto now = ask("c0", "10.43.0.1", 80, 30);
  ASSERT_EQ(now.size(), 1U) << "another one, and then that";
  EXPECT_NE(now.begin()->first, first);
  EXPECT_NE(now.begin()->first, "") << "no connection failed";
  if (other != first) {
    EXPECT_EQ(ask("c1", "10.43.0.1", 80, 10).begin()->first, other) << "another client's is not touched";
  }
}

TEST_F(AffinityTest, AStartCarriesOnlyWhatLeadsToAnEndpoint) {
  write_service({.affinity = 10800});
  write_slice("web", backends);
  start_proxy();
  wait_endpoints("web", {backends.begin(), backends.end()});
  auto left = without("b0");
  write_slice("web", left);
  wait_endpoints("web", {left.begin(), left.end()});
  auto add = [](const std::string& client, const std::string& to) {
    return sh("nft 'add element inet podshim aff_ip_10800 { " + client + " . 10.43.0.1 . tcp . 80 : " + to +
              " . 8080 }'")
        .code;
  };
  stop_proxy();  // its notification of our own hand in the table would make it build the table again
  ASSERT_EQ(add("10.42.0.100", address_of("b0")), 0);
  ASSERT_EQ(add("10.42.0.101", address_of("b1")), 0);
  start_proxy();
  wait_endpoints("web", {left.begin(), left.end()});
  EXPECT_EQ(ask("c1", "10.43.0.1", 80, 5).begin()->first, "b1") << "carried over";
  EXPECT_NE(ask("c0", "10.43.0.1", 80, 5).begin()->first, "") << "what leads nowhere is not";
  EXPECT_EQ(map_text("aff_ip_10800").find(address_of("b0") + " . 8080"), std::string::npos);
}

TEST_F(AffinityTest, ItSurvivesARestartWithTheTimeLeft) {
  write_service({.affinity = 100});
  write_slice("web", backends);
  start_proxy();
  wait_endpoints("web", {backends.begin(), backends.end()});
  std::map<std::string, std::string> before;
  for (int i = 0; i < 4; i++) {
    auto from = "c" + std::to_string(i);
    before[from] = ask(from, "10.43.0.1", 80, 2).begin()->first;
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  stop_proxy();
  start_proxy();
  wait_endpoints("web", {backends.begin(), backends.end()});
  auto listed = map_text("aff_ip_100");
  EXPECT_EQ(listed.find("expires 1m39s"), std::string::npos) << "the time began anew: " << listed;
  EXPECT_NE(listed.find("expires 1m3"), std::string::npos) << listed;
  for (const auto& [from, who] : before)
    EXPECT_EQ(ask(from, "10.43.0.1", 80, 10), (std::map<std::string, int>{{who, 10}})) << from;
}

// A map that is full costs the affinity of those who come after, not their connections.
TEST_F(AffinityTest, AFullMapServesWithoutAffinityAndCounts) {
  write_service({.affinity = 10800});
  write_slice("web", backends);
  start_proxy();
  wait_endpoints("web", {backends.begin(), backends.end()});
  stop_proxy();  // the rules stay; a running one would take our entries for a foreign change
  auto early = ask("c1", "10.43.0.1", 80, 3);
  ASSERT_EQ(early.size(), 1U);
  auto filled =
      sh("awk 'BEGIN { printf \"add element inet podshim aff_ip_10800 { \"; for (i = 1; i < 131072; i++) "
         "printf \"%s10.%d.%d.%d . 10.43.0.1 . tcp . 80 : 10.42.0.2 . 8080\", (i > 1 ? \", \" : \"\"), "
         "50 + int(i / 65536), int(i / 256) % 256, i % 256; print \" }\" }' > " +
         dir + "/full.nft; nft -f " + dir + "/full.nft");
  ASSERT_EQ(filled.code, 0) << filled.text.substr(0, 400);
  auto who = ask("c0", "10.43.0.1", 80, 60);
  EXPECT_EQ(who.count(""), 0U) << "a connection failed";
  EXPECT_GT(who.size(), 1U);
  auto rules = sh("nft list chain inet podshim ip_remember").text;
  EXPECT_NE(rules.find("@sticky_ip_10800 counter packets 60 "), std::string::npos) << rules;
  EXPECT_EQ(ask("c1", "10.43.0.1", 80, 30).begin()->second, 30) << "who was there keeps its endpoint";
  // A restart carries all of them.
  ASSERT_EQ(proxy_once("--once --node-name node").code, 0) << log();
  EXPECT_EQ(ask("c1", "10.43.0.1", 80, 30).begin()->first, early.begin()->first);
  EXPECT_GT(ask("c0", "10.43.0.1", 80, 30).size(), 1U) << "still full";
}

TEST_F(AffinityTest, ItTimesOutAndGoesWithTheSetting) {
  write_service({.affinity = 1});
  write_slice("web", backends);
  start_proxy();
  wait_endpoints("web", {backends.begin(), backends.end()});
  std::set<std::string> seen;
  for (int i = 0; i < 8 && seen.size() < 2; i++) {
    seen.insert(ask("c0", "10.43.0.1", 80, 1).begin()->first);
    std::this_thread::sleep_for(std::chrono::milliseconds(1200));
  }
  EXPECT_EQ(seen.size(), 2U) << "remembered for longer than a second";
  write_service({});
  std::map<std::string, int> spread;
  for (int i = 0; i < 200 && spread.size() < 3; i++) spread[tcp_from("c0", "10.43.0.1", 80).name]++;
  EXPECT_GE(spread.size(), 3U);
}

}  // namespace
}  // namespace podshim::test
