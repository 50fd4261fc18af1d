// Software that is not ours: Debian's CNI plugins with the same configuration, and mixed with ours in one chain.
#include "common/sys/file.h"
#include "tests/root/cni/node.h"

namespace podshim::test {
namespace {

constexpr const char* kTheirs = "/usr/lib/cni";

class Debian : public Node {
 protected:
  void SetUp() override {
    Node::SetUp();
    if (!IsSkipped() && !sys::exists(std::string(kTheirs) + "/bridge"))
      GTEST_SKIP() << "NEEDS Debian's containernetworking-plugins in " << kTheirs;
  }
  static std::string theirs(const char* name) { return std::string(kTheirs) + "/" + name; }
  static std::string their_path() { return std::string("CNI_PATH=") + kTheirs; }
  // What both must agree on: everything but MACs and the name of the host end.
  static std::string comparable(const json::Value& result) {
    auto out = result;
    for (auto& [key, value] : out.as_object()) {
      if (key != "interfaces") continue;
      for (auto& i : value.as_array()) {
        i.set("mac", "");
        i.set("mtu", "");
        auto name = i.find("name")->as_string();
        if (name.starts_with("veth")) i.set("name", "veth");
      }
    }
    std::string text;
    for (const char* key : {"cniVersion", "interfaces", "ips", "routes"}) {
      const auto* v = out.find(key);
      text += std::string(key) + ": " + (v != nullptr ? sorted(*v) : "none") + "\n";
    }
    return text;
  }
  // The order of members does not count.
  static std::string sorted(const json::Value& v) {
    std::string out;
    if (v.is_array()) {
      for (const auto& item : v.as_array()) out += sorted(item) + ";";
      return "[" + out + "]";
    }
    if (!v.is_object()) return json::dump(v);
    std::map<std::string, std::string> members;
    for (const auto& [k, item] : v.as_object()) members[k] = sorted(item);
    for (const auto& [k, item] : members) out += k + "=" + item + ",";
    return "{" + out + "}";
  }
  void fresh_node() {
    TearDown();
    SetUp();
  }
};

TEST_F(Debian, TheSameConfigurationGivesTheSameResult) {
  std::string more = R"("dns":{"nameservers":["10.43.0.10"]},)";
  struct Case {
    const char* name;
    std::string version;
    std::string from, to;
  };
  const Case cases[] = {
      {"0.3.1", "0.3.1", "", ""},
      {"0.4.0", "0.4.0", "", ""},
      {"1.0.0", "1.0.0", "", ""},
      {"routes", "1.0.0", R"("ranges")",
       R"("routes":[{"dst":"203.0.113.0/24"},{"dst":"198.51.100.0/24","gw":"10.42.0.1"}],"ranges")"},
      {"gateway only", "1.0.0", R"("isDefaultGateway":true)", R"("isGateway":true)"},
      {"no gateway", "1.0.0", R"("isDefaultGateway":true,"ipMasq":true)", R"("mtu":1300)"},
      {"range", "1.0.0", R"({"subnet":"10.42.0.0/24"})",
       R"({"subnet":"10.42.0.0/24","rangeStart":"10.42.0.20","rangeEnd":"10.42.0.30","gateway":"10.42.0.254"})"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    std::string results[2];
    for (int side = 0; side < 2; side++) {
      fresh_node();
      if (IsSkipped()) return;
      make_pod("a");
      auto conf = bridge_conf(more, c.version);
      if (!c.from.empty()) {
        ASSERT_NE(conf.find(c.from), std::string::npos);
        conf.replace(conf.find(c.from), c.from.size(), c.to);
      }
      auto result = side == 0 ? add(theirs("bridge"), "a", conf, their_path()) : add("bridge", "a", conf);
      results[side] = comparable(result);
      // The directory's name is the one thing that differs between two nodes.
      auto at = results[side].find(dir_);
      if (at != std::string::npos) results[side].replace(at, dir_.size(), "DIR");
    }
    EXPECT_EQ(results[1], results[0]);
  }
}

TEST_F(Debian, LoopbackGivesTheSameResult) {
  make_pod("a");
  make_pod("b");
  std::string conf = R"({"cniVersion":"1.0.0","name":"lo","type":"loopback"})";
  auto ours = add("loopback", "a", conf);
  auto other = add(theirs("loopback"), "b", conf);
  std::string a = comparable(ours);
  std::string b = comparable(other);
  a.replace(a.find(dir_ + "/a"), dir_.size() + 2, "POD");
  b.replace(b.find(dir_ + "/b"), dir_.size() + 2, "POD");
  EXPECT_EQ(a, b);
  EXPECT_EQ(in(pod("a"), "busybox ping -c1 -W1 127.0.0.1 >/dev/null").rc, 0);
  EXPECT_EQ(plugin("loopback", "CHECK", "a", with_prev(conf, ours)).rc, 0);
  EXPECT_EQ(plugin("loopback", "DEL", "a", conf).rc, 0);
  EXPECT_EQ(code(plugin("loopback", "CHECK", "a", with_prev(conf, ours))), 103);
}

TEST_F(Debian, OurBridgeWithTheirHostLocalByExec) {
  make_pod("a");
  make_pod("b");
  auto conf = bridge_conf("", "1.0.0");
  auto a = add("bridge", "a", conf, their_path());
  EXPECT_EQ(address(a), "10.42.0.2");
  // Their file of the address is there: it was their program.
  EXPECT_TRUE(sys::exists(dir_ + "/ipam/podnet/10.42.0.2"));
  EXPECT_EQ(plugin("bridge", "CHECK", "a", with_prev(conf, a), their_path()).rc, 0);
  auto b = add("bridge", "b", conf, their_path());
  EXPECT_EQ(in(pod("a"), "busybox ping -c1 -W1 " + address(b) + " >/dev/null").rc, 0);
  EXPECT_EQ(plugin("bridge", "DEL", "a", with_prev(conf, a), their_path()).rc, 0);
  EXPECT_FALSE(sys::exists(dir_ + "/ipam/podnet/10.42.0.2"));
  EXPECT_EQ(sh("ip neigh show dev cni0 | grep -c 10.42.0.2").out, "0\n");
  // Its refusals come through with their code and words.
  auto failed = plugin("bridge", "ADD", "b", conf, their_path() + " CNI_CONTAINERID=b");
  EXPECT_NE(text(failed).find("/usr/lib/cni/host-local: code"), std::string::npos) << failed.out;
}

TEST_F(Debian, TheirBridgeWithOurHostLocalAndOurPortmap) {
  make_outside();
  make_pod("a");
  // Without ipMasq: theirs would run iptables for it.
  auto conf = bridge_conf("", "0.4.0");
  conf.replace(conf.find(R"("ipMasq":true,)"), 14, "");
  auto result = add(theirs("bridge"), "a", conf);
  EXPECT_TRUE(sys::exists(dir_ + "/ipam/podnet/leases"));
  std::string ports =
      R"({"cniVersion":"0.4.0","name":"podnet","type":"portmap","runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]}})";
  add("portmap", "a", with_prev(ports, result));
  serve(pod("a"), 80, "a");
  EXPECT_EQ(in(pod("outside"), "curl -gsm2 http://192.0.2.1:8080").out, "a ::ffff:192.0.2.2\n");
  EXPECT_EQ(sh("curl -gsm2 http://127.0.0.1:8080").out, "a ::ffff:10.42.0.1\n");
  EXPECT_EQ(plugin("portmap", "DEL", "a", with_prev(ports, result)).rc, 0);
  // A node that changes over: ours removes what theirs made.
  EXPECT_EQ(plugin("bridge", "DEL", "a", with_prev(conf, result)).rc, 0);
  EXPECT_EQ(sh("ip -o link show master cni0 | wc -l").out, "0\n");
}

}  // namespace
}  // namespace podshim::test
