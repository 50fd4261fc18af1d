// Real traffic through the table: who answers, whom it sees, how fast a refusal comes.
#include <fstream>

#include "tests/root/netproxy/net_fixture.h"

namespace podshim::test {
namespace {

class TrafficTest : public BackendsTest {};

TEST_F(TrafficTest, SixHundredConnectionsSpreadEvenly) {
  write_service({.node_port = 30080});
  write_slice("web", backends);
  start_proxy();
  wait_endpoints("web", {backends.begin(), backends.end()});
  for (const std::string from : {"client", ""}) {
    std::map<std::string, int> count;
    int failures = 0;
    in(from, [&] {
      for (int i = 0; i < 600; i++) {
        auto a = ask_tcp("10.43.0.1", 80);
        a.error == 0 ? count[a.name]++ : failures++;
      }
    });
    EXPECT_EQ(failures, 0);
    ASSERT_EQ(count.size(), 3U);
    double chi_square = 0;
    for (const auto& [name, n] : count) chi_square += (n - 200.0) * (n - 200.0) / 200.0;
    // Two degrees of freedom: a fair spread is above 20 once in 22,000 runs.
    EXPECT_LT(chi_square, 20) << count["b0"] << " " << count["b1"] << " " << count["b2"];
  }
}

TEST_F(TrafficTest, CurlFromANamespace) {
  write_service({});
  write_slice("web", {backends[1]});
  start_proxy();
  wait_endpoints("web", {backends[1]});
  auto out = sh("ip netns exec client curl -sS -m 3 http://10.43.0.1/");
  EXPECT_EQ(out.code, 0) << out.text;
  EXPECT_EQ(out.text, "b1 10.42.0.100") << "the client's address is kept";
}

TEST_F(TrafficTest, HairpinTcpAndUdp) {
  write_service({.node_port = 30080});
  write_slice("web", {backends[0]});
  write_service({.name = "dns", .vip = "10.43.0.10", .protocol = "UDP", .port = 53});
  write_slice("dns", {backends[0]}, "UDP");
  start_proxy();
  wait_endpoints("dns", {backends[0]});
  auto tcp = tcp_from("b0", "10.43.0.1", 80);
  EXPECT_EQ(tcp.name, "b0") << "errno " << tcp.error;
  EXPECT_EQ(tcp.client, "10.42.0.1");
  auto udp = udp_from("b0", "10.43.0.10", 53);
  EXPECT_EQ(udp.name, "b0") << "errno " << udp.error;
  auto port = tcp_from("b0", "192.0.2.1", 30080);
  EXPECT_EQ(port.name, "b0") << "errno " << port.error;
}

TEST_F(TrafficTest, NodePortOnEveryLocalAddress) {
  write_service({.node_port = 30080});
  write_slice("web", {backends[0]});
  write_service({.name = "dns", .vip = "10.43.0.10", .protocol = "UDP", .port = 53, .node_port = 30053});
  write_slice("dns", {backends[0]}, "UDP");
  start_proxy();
  wait_endpoints("dns", {backends[0]});
  struct Case {
    const char *from, *address, *client;
  };
  const Case cases[] = {
      {"out", "192.0.2.1", "10.42.0.1"},       // masqueraded: the answer must come back this way
      {"client", "192.0.2.1", "10.42.0.100"},  // a Pod of this node keeps its address
      {"client", "10.42.0.1", "10.42.0.100"}, {"", "192.0.2.1", "10.42.0.1"},
      {"", "127.0.0.1", "10.42.0.1"},         {"", "10.42.0.1", "10.42.0.1"},
  };
  for (const auto& c : cases) {
    auto tcp = tcp_from(c.from, c.address, 30080);
    EXPECT_EQ(tcp.name, "b0") << c.from << " -> " << c.address << ": errno " << tcp.error;
    EXPECT_EQ(tcp.client, c.client) << c.from << " -> " << c.address;
    auto udp = udp_from(c.from, c.address, 30053);
    EXPECT_EQ(udp.name, "b0") << "UDP " << c.from << " -> " << c.address << ": errno " << udp.error;
  }
  EXPECT_EQ(tcp_from("out", "10.43.0.1", 80).name, "b0") << "a front from outside";
}

TEST_F(TrafficTest, NodePortsOnlyAtTheAddressesThatAreGiven) {
  write_service({.node_port = 30080});
  write_slice("web", {backends[0]});
  struct Case {
    const char* option;
    std::map<std::string, bool> serves;
  };
  const Case cases[] = {
      {"--node-ip 192.0.2.1", {{"192.0.2.1", true}, {"10.42.0.1", false}, {"127.0.0.1", true}}},
      {"--node-port-addresses 10.42.0.0/16,2001:db8::/64",
       {{"192.0.2.1", false}, {"10.42.0.1", true}, {"127.0.0.1", false}, {"2001:db8:42::1", false}}},
      {"--node-port-addresses 0.0.0.0/0", {{"192.0.2.1", true}, {"10.42.0.1", true}, {"127.0.0.1", true}}},
  };
  for (const auto& c : cases) {
    ASSERT_EQ(proxy_once(std::string("--cluster-cidr 10.42.0.0/16 --once ") + c.option).code, 0) << log();
    for (const auto& [address, serves] : c.serves) {
      auto answer = tcp_from("", address, 30080);
      EXPECT_EQ(answer.error, serves ? 0 : ECONNREFUSED) << c.option << ": " << address;
      if (address.starts_with("127.")) continue;
      answer = tcp_from("out", address, 30080);
      EXPECT_EQ(answer.error, serves ? 0 : ECONNREFUSED) << c.option << ": " << address << " from outside";
      auto host = address.find(':') == std::string::npos ? address : "[" + address + "]";
      auto explained = [&](const std::string& options) {
        auto told = proxy_once(options + " explain " + host + ":30080");
        EXPECT_EQ(told.code, serves ? 0 : 1) << options << ": " << told.text;
      };
      // By what the running one has, whatever its own options say; without a status file by these.
      explained("");
      explained("--node-ip 192.0.2.7");
      const auto file = dir + "/status.json";
      ASSERT_EQ(::rename(file.c_str(), (file + "-").c_str()), 0);
      explained(c.option);
      ASSERT_EQ(::rename((file + "-").c_str(), file.c_str()), 0);
    }
    // Beside the options it has no effect, and that is said.
    EXPECT_EQ(proxy_once("--once --dry-run --node-ip 192.0.2.1 --node-port-addresses 10.0.0.0/8").code, 2);
    EXPECT_EQ(proxy_once("--once --dry-run --node-port-addresses 10.0.0.1/8").code, 2);
    // What nft lists, it loads.
    auto again = sh("nft list ruleset > " + dir + "/t.nft && nft flush ruleset && nft -f " + dir + "/t.nft");
    EXPECT_EQ(again.code, 0) << again.text;
  }
}

TEST_F(TrafficTest, ExplainSaysWhatItMisses) {
  auto told = sh(command() + " explain 10.43.0.10 2>&1");
  EXPECT_EQ(told.code, 2) << told.text;
  EXPECT_EQ(told.text, "netproxy: invalid explain: \"10.43.0.10\" is neither ADDRESS:PORT nor a Service\n");
  sh("rm -rf " + dir + "/services");
  told = sh(command() + " explain 10.43.0.10:80 2>&1");
  EXPECT_EQ(told.code, 1) << told.text;
  EXPECT_NE(told.text.find("netproxy: read " + dir + "/services: ENOENT: give the --config or --source of the running"),
            std::string::npos)
      << told.text;
}

TEST_F(TrafficTest, NoEndpointIsRefusedAtOnce) {
  write_service({.node_port = 30080});
  write_service({.name = "dns", .vip = "10.43.0.10", .protocol = "UDP", .port = 53});
  write_service({.name = "served", .vip = "10.43.0.2"});
  write_slice("served", {backends[0]});
  start_proxy();
  wait_endpoints("served", {backends[0]});
  // What is dropped takes a second and more: a SYN is sent again after one, and a datagram is waited for so long.
  constexpr int kAtOnce = 900;
  for (const std::string from : {"client", ""}) {
    auto tcp = tcp_from(from, "10.43.0.1", 80);
    EXPECT_EQ(tcp.error, ECONNREFUSED);
    EXPECT_LT(tcp.took.count(), kAtOnce);
    auto udp = udp_from(from, "10.43.0.10", 53);
    // A local sender hears of the drop from send(2) itself.
    EXPECT_EQ(udp.error, from.empty() ? EPERM : ECONNREFUSED);
    EXPECT_LT(udp.took.count(), kAtOnce);
    auto other = tcp_from(from, "10.43.0.2", 81);
    EXPECT_EQ(other.error, ECONNREFUSED) << "a port that the Service does not have";
    EXPECT_LT(other.took.count(), kAtOnce);
  }
  EXPECT_EQ(tcp_from("out", "192.0.2.1", 30080).error, ECONNREFUSED);
  EXPECT_EQ(tcp_from("client", "10.43.0.2", 80).name, "b0");
}

TEST_F(TrafficTest, WithoutBridgeNetfilterPodsOfOneBridgeTimeOutAndDoctorSaysSo) {
  write_service({});
  write_slice("web", {backends[0]});
  start_proxy();
  wait_endpoints("web", {backends[0]});
  EXPECT_EQ(proxy_once("doctor").code, 0) << proxy_once("doctor").text;
  EXPECT_EQ(tcp_from("client", "10.43.0.1", 80).name, "b0");
  std::ofstream("/proc/sys/net/bridge/bridge-nf-call-iptables") << 0;
  EXPECT_EQ(tcp_from("client", "10.43.0.1", 80).error, ETIMEDOUT) << "this is why it is checked";
  auto doctor = proxy_once("doctor");
  EXPECT_EQ(doctor.code, 1);
  EXPECT_NE(doctor.text.find("BAD  same-bridge: Pods of bridge br0 cannot reach each other through a Service: "
                             "net.bridge.bridge-nf-call-iptables is 0"),
            std::string::npos)
      << doctor.text;
  // A bridge that hands its own frames to the IP hooks needs no sysctl, and is not complained of.
  ASSERT_EQ(sh("ip link set br0 type bridge nf_call_iptables 1").code, 0);
  EXPECT_EQ(tcp_from("client", "10.43.0.1", 80).name, "b0");
  EXPECT_EQ(proxy_once("doctor").code, 0) << proxy_once("doctor").text;
  std::ofstream("/proc/sys/net/ipv4/conf/up0/forwarding") << 0;
  doctor = proxy_once("doctor");
  EXPECT_EQ(doctor.code, 1);
  EXPECT_NE(doctor.text.find("BAD  forwarding: net.ipv4.conf.up0.forwarding is 0"), std::string::npos) << doctor.text;
}

}  // namespace
}  // namespace podshim::test
