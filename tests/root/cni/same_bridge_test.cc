// Pod -> Service address -> Pod on one bridge (design: netproxy, point 8). The address is translated by a table of this
// test, as any Service proxy would; what is measured is whether the answer comes back through connection tracking. The
// host-wide sysctl is 0 in every case.
#include <sys/mount.h>

#include "tests/root/cni/node.h"

namespace podshim::test {
namespace {

class SameBridge : public Node {
 protected:
  void SetUp() override {
    Node::SetUp();
    if (IsSkipped()) return;
    // /proc/sys/net is that of the namespace; a kernel without br_netfilter has no such directory.
    if (sh("test -e /proc/sys/net/bridge/bridge-nf-call-iptables").rc != 0)
      GTEST_SKIP() << "NEEDS br_netfilter in the kernel to switch it off";
    ASSERT_EQ(sh("echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables; echo 0 > "
                 "/proc/sys/net/bridge/bridge-nf-call-ip6tables")
                  .rc,
              0);
  }
  void TearDown() override {
    if (hidden_) ::umount("/proc/sys/net/bridge");
    Node::TearDown();
  }
  // As on a node where nobody loaded the module.
  void hide_bridge_netfilter() {
    ASSERT_EQ(::mount("none", "/proc/sys/net/bridge", "tmpfs", 0, nullptr), 0);
    hidden_ = true;
  }
  void make_pods_and_vips() {
    for (const char* name : {"client", "backend"}) {
      make_pod(name);
      add("bridge", name, bridge_conf());
    }
    serve(pod("backend"), 8080, "backend");
    ASSERT_EQ(sh("nft -f - <<'END'\n"
                 "table inet vips {\n chain pre {\n  type nat hook prerouting priority -100\n"
                 "  ip daddr 10.43.0.10 tcp dport 80 dnat ip to 10.42.0.3:8080\n"
                 "  ip6 daddr fd00:43::10 tcp dport 80 dnat ip6 to [fd00:42::3]:8080\n }\n}\nEND\n")
                  .rc,
              0);
  }
  std::string ask(const char* url) { return in(pod("client"), std::string("curl -gsm1 ") + url).out; }
  void expect_both_families() {
    EXPECT_EQ(ask("http://10.43.0.10"), "backend ::ffff:10.42.0.2\n");  // and the client's address is kept
    EXPECT_EQ(ask("http://[fd00:43::10]"), "backend fd00:42::2\n");
    EXPECT_EQ(ask("http://10.42.0.3:8080"), "backend ::ffff:10.42.0.2\n");  // and straight to the Pod
    EXPECT_EQ(ask("http://[fd00:42::3]:8080"), "backend fd00:42::2\n");
  }

 private:
  bool hidden_ = false;
};

TEST_F(SameBridge, WithBridgeNetfilterTheBridgeOptionIsEnough) {
  make_pods_and_vips();
  EXPECT_EQ(sh("cat /proc/sys/net/bridge/bridge-nf-call-iptables").out, "0\n");  // the node's own setting is left alone
  expect_both_families();
}

TEST_F(SameBridge, WithoutBridgeNetfilterPortsAreIsolatedAndRouted) {
  hide_bridge_netfilter();
  make_pods_and_vips();
  EXPECT_EQ(sh("bridge -d link show | grep -c 'isolated on'").out, "2\n");
  expect_both_families();
  EXPECT_EQ(plugin("bridge", "DEL", "backend", bridge_conf()).rc, 0);
  EXPECT_EQ(sh("ip -6 neigh show proxy dev cni0 | grep -c fd00:42::3").out, "0\n");
}

// The control: with neither, the answer takes the short way and the connection times out.
TEST_F(SameBridge, WithNeitherTheConnectionTimesOut) {
  make_pods_and_vips();
  ASSERT_EQ(sh("ip link set cni0 type bridge nf_call_iptables 0 nf_call_ip6tables 0").rc, 0);
  EXPECT_EQ(ask("http://10.43.0.10"), "");
  EXPECT_EQ(ask("http://[fd00:43::10]"), "");
}

// A bridge that another plugin made gets the option with its first Pod of ours.
TEST_F(SameBridge, AnExistingBridgeIsSwitchedOver) {
  ASSERT_EQ(sh("ip link add cni0 type bridge && ip addr add 10.42.0.1/24 dev cni0 && ip link set cni0 up").rc, 0);
  make_pods_and_vips();
  expect_both_families();
}

}  // namespace
}  // namespace podshim::test
