// Each missing thing gets its finding with a fix; a good host has none.
#include "shim/doctor.h"

#include <gtest/gtest.h>

#include <functional>

namespace podshim {
namespace {

DoctorFacts good() {
  DoctorFacts f;
  f.host.cgroup = CgroupVersion::v2;
  f.host.cgroup_v2_controllers = {"cpu", "memory", "pids"};
  f.root = f.overlay = f.default_route = true;
  f.ip_forward = "1";
  f.bridge_nf_call = "1";
  f.network_name = "podshim";
  f.network_source = "/etc/cni/net.d/10.conflist";
  return f;
}

TEST(Doctor, AGoodHostHasNoProblems) {
  for (const auto& finding : examine(Config(), good())) {
    EXPECT_EQ(finding.level, Finding::Level::ok) << finding.check << ": " << finding.found;
    EXPECT_EQ(finding.fix, "") << finding.check;
  }
}

TEST(Doctor, TheOwnBridgeNeedsNoBridgeNetfilter) {
  auto facts = good();
  for (const auto& value : {std::optional<std::string>(), std::optional<std::string>("0")}) {
    facts.bridge_nf_call = value;
    for (const auto& finding : examine(Config(), facts)) EXPECT_EQ(finding.level, Finding::Level::ok) << finding.found;
  }
}

TEST(Doctor, NamesWhatIsMissing) {
  struct Case {
    const char* check;
    std::function<void(DoctorFacts&)> change;
    Finding::Level level;
    const char* found;
    const char* fix;
  };
  const auto problem = Finding::Level::problem;
  const Case cases[] = {
      {"root", [](auto& f) { f.root = false; }, problem, "not root", "as root"},
      {"root", [](auto& f) { f.host.can_raise_rlimits = false; }, Finding::Level::warning, "rlimits",
       "CAP_SYS_RESOURCE"},
      {"cgroups", [](auto& f) { f.host.cgroup_v2_controllers = {"cpu", "memory"}; }, problem, "pids",
       "subtree_control"},
      {"cgroups", [](auto& f) { f.host.cgroup = CgroupVersion::v1; }, problem, "cgroup v1 without cpu", "mount"},
      {"overlayfs", [](auto& f) { f.overlay = false; }, problem, "not in", "modprobe overlay"},
      {"seccomp", [](auto& f) { f.host.seccomp = false; }, problem, "no seccomp", "CONFIG_SECCOMP_FILTER"},
      {"nftables", [](auto& f) { f.nf_tables_error = "query: EINVAL"; }, problem, "EINVAL", "modprobe nf_tables"},
      {"ip-forward", [](auto& f) { f.ip_forward = "0"; }, Finding::Level::warning, "= 0",
       "sysctl -w net.ipv4.ip_forward=1"},
      {"ip-forward", [](auto& f) { f.ip_forward.reset(); }, problem, "cannot be read", "mount /proc"},
      {"ip-forward", [](auto& f) { f.deaf_uplinks = {"eth0"}; }, Finding::Level::warning, "off for eth0",
       "conf.eth0.forwarding=1"},
      {"cni-config", [](auto& f) { f.network_error = "no file"; }, problem, "no file", "podshim cni-config >"},
      {"cni-plugins", [](auto& f) { f.missing_plugins = {"bridge", "portmap"}; }, problem, "bridge, portmap",
       "--cni-bin-dir"},
      {"default-route", [](auto& f) { f.default_route = false; }, Finding::Level::warning, "none", "ip route"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.check);
    auto facts = good();
    c.change(facts);
    int hits = 0;
    for (const auto& finding : examine(Config(), facts)) {
      if (finding.level == Finding::Level::ok) continue;
      hits++;
      EXPECT_EQ(finding.check, c.check);
      EXPECT_EQ(finding.level, c.level);
      EXPECT_NE(finding.found.find(c.found), std::string::npos) << finding.found;
      EXPECT_NE(finding.fix.find(c.fix), std::string::npos) << finding.fix;
    }
    EXPECT_EQ(hits, 1);
  }
}

TEST(Doctor, LooksWithoutChangingAnything) {
  Config config;
  config.podshim.cni_conf_dir = "/no/such/directory";
  const auto facts = gather_doctor_facts(config, HostFacts());
  EXPECT_NE(facts.network_error.find("/no/such/directory"), std::string::npos) << facts.network_error;
  EXPECT_TRUE(facts.ip_forward.has_value());
}

}  // namespace
}  // namespace podshim
