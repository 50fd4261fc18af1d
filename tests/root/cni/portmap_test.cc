// Host ports: from outside, from the node by 127.0.0.1, from Pods, TCP and UDP; conflicts, DEL, GC, flows.
#include "common/sys/file.h"
#include "tests/root/cni/node.h"

namespace podshim::test {
namespace {

class Portmap : public Node {
 protected:
  std::string conf(const std::string& mappings, const std::string& more = {}) const {
    return R"({"cniVersion":"1.1.0","name":"podnet","type":"portmap","capabilities":{"portMappings":true},)" + more +
           R"("runtimeConfig":{"portMappings":[)" + mappings + "]}}";
  }
  static std::string port(int host, int container, const std::string& protocol = "tcp", const std::string& ip = {}) {
    return R"({"hostPort":)" + std::to_string(host) + R"(,"containerPort":)" + std::to_string(container) +
           R"(,"protocol":")" + protocol + R"(","hostIP":")" + ip + R"("})";
  }
  // bridge, then portmap.
  json::Value add_pod(const std::string& name, const std::string& mappings) {
    make_pod(name);
    auto result = add("bridge", name, bridge_conf());
    EXPECT_EQ(add("portmap", name, with_prev(conf(mappings), result)), result);
    return result;
  }
  static std::string elements() { return sh("nft list ruleset | grep -c 'comment \"podnet/'").out; }
};

TEST_F(Portmap, ReachedFromEverywhere) {
  make_outside();
  add_pod("web", port(8080, 80) + "," + port(5353, 53, "udp") + "," + port(8443, 80, "tcp", "192.0.2.1"));
  add_pod("client", "");
  serve(pod("web"), 80, "web");
  serve(pod("web"), 53, "dns");
  // From outside the client's address is kept.
  EXPECT_EQ(in(pod("outside"), "curl -gsm2 http://192.0.2.1:8080").out, "web ::ffff:192.0.2.2\n");
  EXPECT_EQ(in(pod("outside"), "curl -gsm2 http://192.0.2.1:8443").out, "web ::ffff:192.0.2.2\n");
  // From the node: by its address and by 127.0.0.1; the port of one address answers on that alone.
  EXPECT_EQ(sh("curl -gsm2 http://192.0.2.1:8080").out.substr(0, 4), "web ");
  EXPECT_EQ(sh("curl -gsm2 http://127.0.0.1:8080").out, "web ::ffff:10.42.0.1\n");
  EXPECT_NE(sh("curl -gsm2 http://127.0.0.1:8443").rc, 0);
  EXPECT_EQ(sh("curl -gsm2 'http://[fd00:42::1]:8080'").out.substr(0, 4), "web ");
  // From another Pod, and from the Pod to itself.
  EXPECT_EQ(in(pod("client"), "curl -gsm2 http://192.0.2.1:8080").out, "web ::ffff:10.42.0.3\n");
  EXPECT_EQ(in(pod("web"), "curl -gsm2 http://192.0.2.1:8080").out, "web ::ffff:10.42.0.1\n");
  EXPECT_EQ(in(pod("web"), "curl -gsm2 'http://[fd00:42::1]:8080'").out, "web fd00:42::1\n");
  EXPECT_EQ(ask_udp(pod("outside"), "192.0.2.1", 5353, 4000), "dns");
  // What anybody on this machine sees with nft.
  EXPECT_EQ(sh("nft list ruleset > /dev/null").rc, 0);
  EXPECT_EQ(sh("nft -j list ruleset > /dev/null").rc, 0);
  EXPECT_EQ(sh("nft list ruleset > " + dir_ + "/r && nft flush ruleset && nft -f " + dir_ + "/r").rc, 0);
  EXPECT_EQ(in(pod("outside"), "curl -gsm2 http://192.0.2.1:8080").out, "web ::ffff:192.0.2.2\n");
}

// Only addresses of the node are matched: a server elsewhere on the same port keeps its traffic.
TEST_F(Portmap, TrafficToOthersOnThatPortIsNotTouched) {
  make_outside();
  add_pod("dns", port(53, 53, "udp") + "," + port(80, 80));
  add_pod("client", "");
  serve(pod("dns"), 53, "stolen");
  serve(pod("outside"), 53, "right");
  serve(pod("outside"), 80, "right");
  EXPECT_EQ(ask_udp(pod("client"), "192.0.2.2", 53, 4000), "right");
  EXPECT_EQ(in(pod("client"), "curl -gsm2 http://192.0.2.2").out, "right ::ffff:192.0.2.1\n");
}

TEST_F(Portmap, LoopbackFromTheWireIsDropped) {
  make_outside();
  auto result = add_pod("web", port(8080, 80));
  serve(pod("web"), 80, "web");
  ASSERT_EQ(sh("cat /proc/sys/net/ipv4/conf/cni0/route_localnet").out, "1\n");
  // A Pod that routes 127.0.0.0/8 to the node would reach what listens on the node's loopback.
  int seen = 0;
  serve("/proc/self/ns/net", 9999, "secret");
  ASSERT_EQ(sh("curl -gsm1 http://127.0.0.1:9999").out.substr(0, 6), "secret");
  ASSERT_EQ(in(pod("web"),
               "ip link set lo down; echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet; ip route flush table local; "
               "ip route add local 10.42.0.2 dev eth0 table local")
                .rc,
            0);
  seen = in(pod("web"), "curl -gsm1 http://127.0.0.1:9999").rc;
  EXPECT_NE(seen, 0);
  // The rule is what stopped it.
  ASSERT_EQ(sh("nft flush chain inet podshim_cni guard").rc, 0);
  EXPECT_EQ(in(pod("web"), "curl -gsm1 http://127.0.0.1:9999").out.substr(0, 6), "secret");
}

TEST_F(Portmap, ATakenPortNamesItsHolder) {
  add_pod("first", port(8080, 80));
  make_pod("second");
  auto result = add("bridge", "second", bridge_conf());
  struct Case {
    const char* name;
    std::string mappings;
    bool free;
  };
  const Case cases[] = {{"same", port(8080, 81), false},
                        {"on one address", port(8080, 81, "tcp", "10.42.0.1"), false},
                        {"one of two", port(8081, 81) + "," + port(8080, 81), false},
                        {"other protocol", port(8080, 81, "udp"), true}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    auto output = plugin("portmap", "ADD", "second", with_prev(conf(c.mappings), result));
    EXPECT_EQ(output.rc == 0, c.free) << output.out;
    if (c.free) continue;
    EXPECT_EQ(code(output), 102) << output.out;
    EXPECT_NE(text(output).find("host port in use tcp "), std::string::npos) << output.out;
    EXPECT_NE(text(output).find("held by podnet/first/eth0"), std::string::npos) << output.out;
    EXPECT_EQ(elements(), "2\n");  // both families of the first Pod's port, nothing of the refused one
  }
}

TEST_F(Portmap, DelNeedsOnlyTheId) {
  auto a = add_pod("a", port(8080, 80) + "," + port(5353, 53, "udp", "10.42.0.1"));
  add_pod("b", port(8081, 80));
  auto bare = R"({"cniVersion":"1.1.0","name":"podnet","type":"portmap"})";
  EXPECT_EQ(elements(), "5\n");
  for (int i = 0; i < 3; i++) {
    auto output = plugin("portmap", "DEL", "a", bare);
    EXPECT_EQ(output.rc, 0) << output.out;
    EXPECT_EQ(elements(), "2\n");
  }
  EXPECT_EQ(sh("nft list set inet podshim_cni hairpins4 | grep -c '10.42.0.2'").out, "0\n");
  EXPECT_EQ(sh("nft list set inet podshim_cni hairpins4 | grep -c '10.42.0.3'").out, "1\n");
  // No table at all is fine too.
  sh("nft flush ruleset");
  EXPECT_EQ(plugin("portmap", "DEL", "b", bare).rc, 0);
}

TEST_F(Portmap, CheckAndGc) {
  auto a = add_pod("a", port(8080, 80));
  auto b = add_pod("b", port(8081, 80));
  auto conf_a = with_prev(conf(port(8080, 80)), a);
  EXPECT_EQ(plugin("portmap", "CHECK", "a", conf_a).rc, 0);
  EXPECT_EQ(plugin("portmap", "STATUS", "a", conf("")).rc, 0);
  auto gc = json::parse(conf(""));
  gc->set("cni.dev/valid-attachments",
          json::Value::array().push(json::Value::object().set("containerID", "b").set("ifname", "eth0")));
  EXPECT_EQ(plugin("portmap", "GC", "x", json::dump(*gc)).rc, 0);
  EXPECT_EQ(elements(), "2\n");
  auto gone = plugin("portmap", "CHECK", "a", conf_a);
  EXPECT_EQ(code(gone), 103);
  EXPECT_NE(text(gone).find("tcp 8080 -> 10.42.0.2:80"), std::string::npos) << gone.out;
  EXPECT_EQ(plugin("portmap", "CHECK", "b", with_prev(conf(port(8081, 80)), b)).rc, 0);
}

// A UDP sender that never stops: its flow must follow the port to the next Pod, and the flows of others stay.
TEST_F(Portmap, UdpFlowsFollowThePort) {
  make_outside();
  serve("/proc/self/ns/net", 7000, "node");
  add_pod("other", port(6000, 53, "udp"));
  serve(pod("other"), 53, "other");
  // Before any Pod has the port the node itself answers.
  EXPECT_EQ(ask_udp(pod("outside"), "192.0.2.1", 7000, 4000), "node");
  EXPECT_EQ(ask_udp(pod("outside"), "192.0.2.1", 6000, 4000), "other");
  auto other_flow = sh("conntrack -L -p udp --orig-port-dst 6000 -o id 2>/dev/null | grep -o 'id=[0-9]*'").out;
  ASSERT_NE(other_flow, "");
  add_pod("one", port(7000, 53, "udp"));
  serve(pod("one"), 53, "one");
  EXPECT_EQ(ask_udp(pod("outside"), "192.0.2.1", 7000, 4000), "one");
  EXPECT_EQ(plugin("portmap", "DEL", "one", conf("")).rc, 0);
  EXPECT_EQ(ask_udp(pod("outside"), "192.0.2.1", 7000, 4000), "node");
  add_pod("two", port(7000, 53, "udp"));
  serve(pod("two"), 53, "two");
  EXPECT_EQ(ask_udp(pod("outside"), "192.0.2.1", 7000, 4000), "two");
  EXPECT_EQ(sh("conntrack -L -p udp --orig-port-dst 6000 -o id 2>/dev/null | grep -o 'id=[0-9]*'").out, other_flow);
}

// The whole table as nft lists it, against the text in tests/golden/cni.
TEST_F(Portmap, TheTableIsTheOneInTheGoldenFile) {
  add_pod("a", port(8080, 80) + "," + port(5353, 53, "udp", "10.42.0.1"));
  auto listed = sh("nft -n list table inet podshim_cni");
  ASSERT_EQ(listed.rc, 0);
  std::string golden = PODSHIM_SOURCE_DIR "/tests/golden/cni/podshim_cni.nft";
  bool rewrite = ::getenv("PODSHIM_UPDATE_GOLDEN") != nullptr;
  ASSERT_TRUE(!rewrite || sys::write_file(golden, listed.out, 0644));
  auto text = sys::read_file(golden);
  ASSERT_TRUE(text);
  EXPECT_EQ(listed.out, *text);
}

}  // namespace
}  // namespace podshim::test
