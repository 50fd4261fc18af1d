#include <unistd.h>

#include "common/ids.h"
#include "common/sys/file.h"
#include "shim/apply/probe.h"
#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

const char* const kStatus =
    "Name:\tx\nCapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapEff:\t000001fffeffffff\nCapBnd:"
    "\t000001fffeffffff\n";

class Probe : public ::testing::Test {
 protected:
  void SetUp() override {
    put("/proc/self/status", kStatus);
    put("/proc/sys/kernel/cap_last_cap", "40\n");
    put("/proc/sys/kernel/hostname", "node-7\n");
  }
  void TearDown() override { ASSERT_TRUE(sys::remove_tree(dir)); }
  void put(const std::string& path, const std::string& text) {
    ASSERT_TRUE(sys::make_dirs(dir + path.substr(0, path.rfind('/'))));
    ASSERT_TRUE(sys::write_file(dir + path, text, 0644));
  }
  std::string mount(const std::string& point, const std::string& type, const std::string& options,
                    const std::string& root = "/") {
    return "31 23 0:28 " + root + " " + dir + point + " rw,relatime shared:9 - " + type + " x " + options + "\n";
  }
  Result<HostFacts> probe(const ProbeOverrides& off = {}) {
    return gather_host_facts({.proc = dir + "/proc", .cgroup = dir + "/cg"}, off);
  }
  std::string dir = "/tmp/podshim-test-" + random_hex(6);
};

TEST_F(Probe, HybridIsV1) {
  put("/proc/self/mountinfo",
      mount("/cg", "tmpfs", "rw") + mount("/cg/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct") +
          mount("/cg/memory", "cgroup", "rw,memory") + mount("/cg/freezer", "cgroup", "rw,freezer") +
          mount("/cg/systemd", "cgroup", "rw,xattr,name=systemd") + mount("/elsewhere/memory", "cgroup", "rw,memory") +
          mount("/cg/part", "cgroup", "rw,pids", "/docker/x") + mount("/cg/unified", "cgroup2", "rw"));
  auto facts = probe();
  ASSERT_TRUE(facts) << error_text(facts);
  EXPECT_EQ(facts->cgroup, CgroupVersion::v1);
  EXPECT_EQ(facts->cgroup_v1_mounts.at("cpu"), dir + "/cg/cpu,cpuacct");
  EXPECT_EQ(facts->cgroup_v1_mounts.at("cpuacct"), dir + "/cg/cpu,cpuacct");
  EXPECT_EQ(facts->cgroup_v1_mounts.at("memory"), dir + "/cg/memory");
  EXPECT_FALSE(facts->cgroup_v1_mounts.contains("pids"));
  EXPECT_TRUE(facts->cgroup_v2_root.empty());
  EXPECT_FALSE(facts->cgroup_kill);
  EXPECT_EQ(facts->capabilities, 0x1fffeffffffULL);
  EXPECT_FALSE(facts->can_lower_oom_score);
  EXPECT_FALSE(facts->can_raise_rlimits);
  EXPECT_EQ(facts->last_capability, 40U);
  EXPECT_EQ(facts->hostname, "node-7");
}

TEST_F(Probe, PureV2) {
  put("/proc/self/mountinfo", mount("/cg", "cgroup2", "rw,nsdelegate"));
  put("/cg/cgroup.controllers", "cpuset cpu io memory pids\n");
  auto facts = probe();
  ASSERT_TRUE(facts) << error_text(facts);
  EXPECT_EQ(facts->cgroup, CgroupVersion::v2);
  EXPECT_EQ(facts->cgroup_v2_root, dir + "/cg");
  EXPECT_EQ(facts->cgroup_v2_controllers, (std::vector<std::string>{"cpuset", "cpu", "io", "memory", "pids"}));
  EXPECT_EQ(sys::list_dir(dir + "/cg")->size(), 1U);  // the probe's own cgroup is gone
}

TEST_F(Probe, NoCgroupsAtAllIsSaid) {
  put("/proc/self/mountinfo", mount("/cg", "tmpfs", "rw"));
  auto facts = probe();
  ASSERT_FALSE(facts);
  EXPECT_NE(facts.error().text().find(dir + "/cg"), std::string::npos) << facts.error().text();
}

TEST_F(Probe, EveryFeatureCanBeSwitchedOff) {
  put("/proc/self/mountinfo", mount("/cg", "cgroup2", "rw"));
  put("/cg/cgroup.controllers", "memory\n");
  auto off = probe({.no_cgroup_kill = true,
                    .no_overlay_lowerdir_plus = true,
                    .no_memfd_exec = true,
                    .no_recursive_readonly = true,
                    .no_seccomp = true});
  ASSERT_TRUE(off);
  EXPECT_FALSE(off->cgroup_kill || off->overlay_lowerdir_plus || off->memfd_exec || off->recursive_readonly ||
               off->seccomp);
}

}  // namespace
}  // namespace podshim::testing
