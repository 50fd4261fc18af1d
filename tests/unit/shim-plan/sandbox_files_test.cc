#include "shim/plan/sandbox_files.h"

#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

TEST(SandboxFiles, ResolvConf) {
  EXPECT_EQ(render_resolv_conf({.servers = {"10.10.10.10"}, .searches = {"google.com"}, .options = {"ndots:8"}}),
            "search google.com\nnameserver 10.10.10.10\noptions ndots:8\n");
  EXPECT_EQ(render_resolv_conf({.servers = {"1.1.1.1", "::1"}}), "nameserver 1.1.1.1\nnameserver ::1\n");
  EXPECT_EQ(render_resolv_conf({.searches = {"a.b", "c"}}), "search a.b c\n");
  EXPECT_EQ(render_resolv_conf({}), "");
}

TEST(SandboxFiles, PodAndHost) {
  const auto ip = *IpAddress::parse("10.42.0.5");
  auto pod = plan_sandbox_files("web-0", {ip, *IpAddress::parse("fd00::5")}, DnsConfig{.servers = {"10.43.0.10"}},
                                false, "host hosts", "host dns");
  EXPECT_NE(pod.hosts.find("127.0.0.1\tlocalhost\n"), std::string::npos);
  EXPECT_TRUE(pod.hosts.ends_with("10.42.0.5\tweb-0\nfd00::5\tweb-0\n")) << pod.hosts;
  EXPECT_EQ(pod.hostname, "web-0\n");
  EXPECT_EQ(pod.resolv_conf, "nameserver 10.43.0.10\n");
  auto node = plan_sandbox_files("node-1", {}, std::nullopt, true, "host hosts", "host dns");
  EXPECT_EQ(node, (SandboxFiles{.hosts = "host hosts", .hostname = "node-1\n", .resolv_conf = "host dns"}));
  // Present but empty means none (critest sends that).
  EXPECT_EQ(plan_sandbox_files("x", {}, DnsConfig{}, false, "", "host dns").resolv_conf, "host dns");
}

TEST(SandboxFiles, NoWordCanForgeALine) {
  EXPECT_TRUE(check_dns({.servers = {"1.1.1.1"}, .searches = {"a.b"}, .options = {"ndots:5"}}));
  expect_invalid(check_dns({.servers = {"1.1.1.1", "2\nnameserver 3"}}), "dns_config.servers[1]");
  expect_invalid(check_dns({.searches = {"a b"}}), "dns_config.searches[0]", "\"a b\"");
  expect_invalid(check_dns({.options = {""}}), "dns_config.options[0]");
}

}  // namespace
}  // namespace podshim::testing
