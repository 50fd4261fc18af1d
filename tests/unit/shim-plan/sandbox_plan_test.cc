#include "shim/plan/sandbox_plan.h"

#include <sched.h>

#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

struct SandboxCase {
  SandboxSpec spec;
  HostFacts host = host_v1();
  SandboxCase() {
    spec.metadata = {.name = "web", .uid = "u", .name_space = "default"};
    spec.hostname = "web-0";
  }
  Result<SandboxPlan> plan() {
    return plan_sandbox({.spec = spec,
                         .host = host,
                         .instance = "0a1b2c",
                         .id = sandbox_id(),
                         .default_cgroup_parent = "/podshim",
                         .staging_dir = "/run/podshim/sandboxes/aa"});
  }
};

TEST(SandboxPlan, Ordinary) {
  SandboxCase c;
  auto plan = c.plan();
  ASSERT_TRUE(plan) << error_text(plan);
  EXPECT_TRUE(plan->own_netns && plan->own_ipc && plan->own_pid);
  EXPECT_EQ(plan->hostname, "web-0");
  EXPECT_EQ(plan->cgroup_parent, "/podshim");
  EXPECT_GE(index_of(plan->pause, Op::loopback_up), 0);
  EXPECT_EQ(steps_of(plan->pause, Op::set_hostname).at(0)->a, "web-0");
  EXPECT_EQ(plan->pause.steps.back().op, Op::exec_fd);
  EXPECT_EQ(plan->pause.steps.back().slot, static_cast<int>(Slot::pause));
  EXPECT_EQ(*plan, *c.plan());
}

// Nothing of the host is left to pause, and it holds no right: /proc/1 of a shared pid namespace leads nowhere.
TEST(SandboxPlan, PauseHasAnEmptyRootAndNoRights) {
  for (auto pid : {NamespaceMode::pod, NamespaceMode::container, NamespaceMode::node}) {
    SandboxCase c;
    c.spec.namespaces.pid = pid;
    auto plan = c.plan();
    ASSERT_TRUE(plan);
    EXPECT_NE(plan->clone.namespaces & CLONE_NEWNS, 0U);
    EXPECT_EQ(index_of(plan->pause, Op::no_dumpable), 0);
    const auto enter = index_of(plan->pause, Op::enter_root);
    EXPECT_LT(index_of(plan->pause, Op::new_mount), enter);
    EXPECT_LT(index_of(plan->pause, Op::readonly_root), enter);
    for (const auto* step : steps_of(plan->pause, Op::write_file))
      EXPECT_LT(index_of(plan->pause, Op::write_file, step->b), enter);
    const auto caps = steps_of(plan->pause, Op::set_caps);
    ASSERT_EQ(caps.size(), 1U);
    EXPECT_EQ(caps[0]->x | caps[0]->y | caps[0]->z | caps[0]->w, 0U);
    EXPECT_EQ(steps_of(plan->pause, Op::bound_caps).at(0)->x, 0U);
    EXPECT_LT(index_of(plan->pause, Op::set_uid), index_of(plan->pause, Op::parent_death));
    EXPECT_GE(index_of(plan->pause, Op::no_new_privs), 0);
  }
}

TEST(SandboxPlan, HostNetworkKeepsTheNodesName) {
  SandboxCase c;
  c.spec.namespaces.network = NamespaceMode::node;
  auto plan = c.plan();
  ASSERT_TRUE(plan);
  EXPECT_FALSE(plan->own_netns);
  EXPECT_EQ(plan->hostname, "node-1");
  EXPECT_EQ(index_of(plan->pause, Op::set_hostname), -1);
  EXPECT_EQ(index_of(plan->pause, Op::loopback_up), -1);
  c.spec.namespaces.network = NamespaceMode::pod;
  c.spec.hostname.clear();
  EXPECT_EQ(c.plan()->hostname, "node-1");
}

TEST(SandboxPlan, OomScoreMayFail) {
  SandboxCase c;
  const auto plan = c.plan();
  ASSERT_EQ(steps_of(plan->pause, Op::write_file).size(), 1U);
  for (const auto* step : steps_of(plan->pause, Op::write_file)) {
    EXPECT_EQ(step->b, "/proc/self/oom_score_adj");
    EXPECT_EQ(step->a, "-998");
    EXPECT_EQ(step->flags, kMayFail);
  }
}

TEST(SandboxPlan, MonitorLeafIsOutsideThePod) {
  SandboxCase c;
  c.spec.cgroup_parent = "/kubepods/podx";
  for (const auto& host : {host_v1(), host_v2()}) {
    c.host = host;
    auto plan = c.plan();
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->cgroup_parent, "/kubepods/podx");
    EXPECT_TRUE(plan->monitor_cgroup.paths.path.starts_with("/podshim-0a1b2c/podshim-0a1b2c-aa"));
    for (const auto& step : plan->monitor_cgroup.steps) EXPECT_EQ(step.path.find("kubepods"), std::string::npos);
  }
}

TEST(SandboxPlan, SysctlPaths) {
  const NamespaceOptions pod;
  struct Case {
    const char *name, *want;
  } cases[] = {{"net.ipv4.ip_local_port_range", "net/ipv4/ip_local_port_range"},
               {"net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding"},
               {"net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"},
               {"kernel.shm_rmid_forced", "kernel/shm_rmid_forced"},
               {"kernel.shmmax", "kernel/shmmax"},
               {"kernel.msgmax", "kernel/msgmax"},
               {"kernel.sem", "kernel/sem"},
               {"fs.mqueue.msg_max", "fs/mqueue/msg_max"}};
  for (const auto& c : cases) {
    auto got = sysctl_path(c.name, "1", pod);
    ASSERT_TRUE(got) << c.name << error_text(got);
    EXPECT_EQ(*got, c.want);
  }
  for (const char* bad : {"kernel.panic", "vm.swappiness", "kernel.semx", "fs.file-max", "fs.mqueue", "kernel.hostname",
                          "net", "", "net/../kernel/panic", "/net/ipv4/x", "net/", "kernel/shm/../panic"})
    expect_invalid(sysctl_path(bad, "1", pod), "sysctls[" + std::string(bad) + "]");
  expect_invalid(sysctl_path("net.core.somaxconn", "1\n2", pod), "sysctls[net.core.somaxconn]", "line break");
}

TEST(SandboxPlan, SysctlsOfTheNodeAreOutOfReach) {
  SandboxCase c;
  c.spec.sysctls = {{"net.core.somaxconn", "1024"}, {"kernel.shmmax", "65536"}};
  auto plan = c.plan();
  ASSERT_TRUE(plan) << error_text(plan);
  EXPECT_GE(index_of(plan->pause, Op::write_file, "/proc/sys/net/core/somaxconn"), 0);
  EXPECT_GE(index_of(plan->pause, Op::write_file, "/proc/sys/kernel/shmmax"), 0);
  c.spec.namespaces.ipc = NamespaceMode::node;
  expect_invalid(c.plan(), "sysctls[kernel.shmmax]", "ipc NODE");
  c.spec.namespaces = {.network = NamespaceMode::node};
  expect_invalid(c.plan(), "sysctls[net.core.somaxconn]", "network NODE");
}

TEST(SandboxPlan, BadRequestsNameTheField) {
  auto with = [](auto change) {
    SandboxCase c;
    change(c.spec);
    return c.plan();
  };
  expect_invalid(with([](auto& s) { s.hostname = std::string(65, 'h'); }), "config.hostname", "64 bytes");
  expect_invalid(with([](auto& s) { s.hostname = "a b"; }), "config.hostname", "\"a b\"");
  expect_invalid(with([](auto& s) { s.cgroup_parent = "kubepods"; }), "cgroup_parent", "\"kubepods\"");
  expect_invalid(with([](auto& s) { s.cgroup_parent = "/system.slice"; }), "cgroup_parent", "systemd");
  expect_invalid(with([](auto& s) { s.log_directory = "logs"; }), "log_directory", "\"logs\"");
  expect_invalid(with([](auto& s) { s.dns = DnsConfig{.servers = {"a b"}}; }), "dns_config.servers[0]");
  expect_invalid(with([](auto& s) { s.namespaces.pid = NamespaceMode::target; }), "namespace_options.pid");
}

}  // namespace
}  // namespace podshim::testing
