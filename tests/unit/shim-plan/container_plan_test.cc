#include "shim/plan/container_plan.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>

#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

const SeccompChoice kDefaultProfile{.type = SeccompChoice::Type::runtime_default};

std::vector<Op> tail(const Program& program, Op from) {
  std::vector<Op> out;
  for (auto i = static_cast<std::size_t>(index_of(program, from)); i < program.steps.size(); i++)
    out.push_back(program.steps[i].op);
  return out;
}

TEST(ContainerPlan, SameInputSamePlan) {
  ContainerCase c;
  auto a = c.plan(), b = c.plan();
  ASSERT_TRUE(a) << error_text(a);
  EXPECT_EQ(*a, *b);
  EXPECT_EQ(a->print(), b->print());
}

TEST(ContainerPlan, ReachesTheHostOnlyBeforeTheRootIsEntered) {
  for (const auto& host : {host_v1(), host_v2()}) {
    ContainerCase c;
    c.host = host;
    c.container.mounts = {{.container_path = "/m", .host_path = "/h"}};
    auto plan = c.plan();
    ASSERT_TRUE(plan) << error_text(plan);
    const auto& steps = plan->program.steps;
    EXPECT_EQ(steps[0].op, Op::no_dumpable);
    const auto root = index_of(plan->program, Op::attach_root), enter = index_of(plan->program, Op::enter_root);
    for (std::size_t i = 0; i < steps.size(); i++) {
      const auto at = static_cast<std::ptrdiff_t>(i);
      if (steps[i].op == Op::open_tree || steps[i].op == Op::write_file || steps[i].op == Op::set_ns) {
        EXPECT_LT(at, root) << i;
      }
      if (steps[i].op == Op::attach || steps[i].op == Op::make_node || steps[i].op == Op::make_symlink) {
        EXPECT_GT(at, root) << i;
        EXPECT_LT(at, enter) << i;
      }
    }
    EXPECT_EQ(steps.back().op, Op::exec);
  }
}

TEST(ContainerPlan, JoinsCgroupsByVersion) {
  ContainerCase c;
  auto v1 = c.plan();
  std::size_t tasks = 0;
  for (const auto* step : steps_of(v1->program, Op::write_file)) tasks += step->b.ends_with("/tasks") && step->a == "0";
  EXPECT_EQ(tasks, 8U);
  EXPECT_EQ(index_of(v1->program, Op::unshare), -1);
  c.host = host_v2();
  auto v2 = c.plan();
  for (const auto* step : steps_of(v2->program, Op::write_file))
    EXPECT_FALSE(step->b.starts_with("/sys/fs/cgroup")) << step->b;
  EXPECT_GE(index_of(v2->program, Op::unshare), 0);  // the monitor clones into the cgroup
  EXPECT_LT(index_of(v2->program, Op::unshare), index_of(v2->program, Op::attach, "/sys/fs/cgroup"));
}

TEST(ContainerPlan, CredentialsInOrderWithoutNoNewPrivs) {
  ContainerCase c;
  c.container.security.seccomp = kDefaultProfile;
  c.user = {.uid = 1000, .gid = 1001, .groups = {1001, 1234}};
  auto plan = c.plan();
  ASSERT_TRUE(plan) << error_text(plan);
  EXPECT_EQ(tail(plan->program, Op::umask),
            (std::vector<Op>{Op::umask, Op::bound_caps, Op::set_groups, Op::set_gid, Op::set_uid, Op::set_caps,
                             Op::change_dir, Op::parent_death, Op::seccomp, Op::set_caps, Op::exec}));
  const auto caps = steps_of(plan->program, Op::set_caps);
  EXPECT_EQ(caps[0]->x, default_capabilities() | 1U << kCapSysAdmin);  // seccomp(2) asks for it
  EXPECT_EQ(caps[1]->x, default_capabilities());
  EXPECT_EQ(caps[1]->y, default_capabilities());
  EXPECT_EQ(steps_of(plan->program, Op::bound_caps)[0]->x, default_capabilities());
  EXPECT_EQ(steps_of(plan->program, Op::set_uid)[0]->x, 1000U);
  EXPECT_EQ(steps_of(plan->program, Op::set_gid)[0]->x, 1001U);
  const std::uint32_t groups[] = {1001, 1234};
  EXPECT_EQ(steps_of(plan->program, Op::set_groups)[0]->a,
            std::string(reinterpret_cast<const char*>(groups), sizeof groups));
}

TEST(ContainerPlan, CredentialsInOrderWithNoNewPrivs) {
  ContainerCase c;
  c.container.security.seccomp = kDefaultProfile;
  c.container.security.no_new_privs = true;
  auto plan = c.plan();
  ASSERT_TRUE(plan) << error_text(plan);
  EXPECT_EQ(tail(plan->program, Op::umask),
            (std::vector<Op>{Op::umask, Op::bound_caps, Op::set_groups, Op::set_gid, Op::set_uid, Op::set_caps,
                             Op::change_dir, Op::no_new_privs, Op::parent_death, Op::seccomp, Op::exec}));
  EXPECT_EQ(steps_of(plan->program, Op::set_caps)[0]->x, default_capabilities());
}

TEST(ContainerPlan, UnconfinedAndDropAll) {
  ContainerCase c;
  c.container.security.capabilities.drop = {"ALL"};
  auto plan = c.plan();
  ASSERT_TRUE(plan);
  EXPECT_EQ(index_of(plan->program, Op::seccomp), -1);
  EXPECT_EQ(steps_of(plan->program, Op::bound_caps)[0]->x, 0U);
  EXPECT_EQ(steps_of(plan->program, Op::set_caps).size(), 1U);
  EXPECT_EQ(steps_of(plan->program, Op::set_caps)[0]->x, 0U);
}

TEST(ContainerPlan, Privileged) {
  ContainerCase c;
  c.sandbox.privileged = c.container.security.privileged = true;
  c.container.security.seccomp = kDefaultProfile;
  c.container.security.masked_paths = {"/proc/kcore"};
  c.container.security.readonly_paths = {"/proc/sys"};
  c.devices = {{.host_path = "/dev/sda",
                .container_path = "/dev/sda",
                .type = 'b',
                .major = 8,
                .minor = 0,
                .mode = 0660,
                .gid = 6}};
  auto plan = c.plan();
  ASSERT_TRUE(plan) << error_text(plan);
  EXPECT_EQ(index_of(plan->program, Op::seccomp), -1);
  EXPECT_EQ(index_of(plan->program, Op::mask_path), -1);
  EXPECT_EQ(index_of(plan->program, Op::readonly_path), -1);
  EXPECT_EQ(steps_of(plan->program, Op::set_caps)[0]->x, kAllCapabilities);
  const auto at = index_of(plan->program, Op::make_node, "/dev/sda");
  ASSERT_GE(at, 0);
  EXPECT_EQ(plan->program.steps[static_cast<std::size_t>(at)].x, static_cast<std::uint64_t>(S_IFBLK | 0660));
  c.sandbox.privileged = false;
  expect_invalid(c.plan(), "security_context.privileged");
}

TEST(ContainerPlan, PathsAreSealedAfterAllIsMade) {
  ContainerCase c;
  c.container.security.masked_paths = {"/proc/kcore", "/bin/ls"};
  c.container.security.readonly_paths = {"/proc/sys"};
  c.container.security.readonly_rootfs = true;
  c.container.working_dir = "/srv/app";
  auto plan = c.plan();
  ASSERT_TRUE(plan);
  const auto made = index_of(plan->program, Op::make_dir, "/srv/app");
  EXPECT_GE(made, 0);
  EXPECT_LT(made, index_of(plan->program, Op::readonly_path, "/proc/sys"));
  EXPECT_LT(index_of(plan->program, Op::readonly_path), index_of(plan->program, Op::mask_path, "/proc/kcore"));
  EXPECT_GE(index_of(plan->program, Op::mask_path, "/bin/ls"), 0);
  EXPECT_LT(index_of(plan->program, Op::mask_path, "/bin/ls"), index_of(plan->program, Op::readonly_root));
  EXPECT_LT(index_of(plan->program, Op::readonly_root), index_of(plan->program, Op::enter_root));
  EXPECT_EQ(steps_of(plan->program, Op::change_dir)[0]->b, "/srv/app");
}

TEST(ContainerPlan, CgroupViewIsSealedAfterItsMountPointsAreMade) {
  ContainerCase c;
  c.host.cgroup_v1_mounts["cpu"] = c.host.cgroup_v1_mounts["cpuacct"] = "/sys/fs/cgroup/cpu,cpuacct";
  auto plan = c.plan();
  ASSERT_TRUE(plan);
  const auto base = index_of(plan->program, Op::attach, "/sys/fs/cgroup");
  const auto& keep = plan->program.steps[static_cast<std::size_t>(base)];
  EXPECT_EQ(keep.x, 1U);
  const auto link = index_of(plan->program, Op::make_symlink, "/sys/fs/cgroup/cpu");
  EXPECT_GT(link, index_of(plan->program, Op::attach, "/sys/fs/cgroup/cpu,cpuacct"));
  std::ptrdiff_t sealed = -1;
  for (std::size_t i = 0; i < plan->program.steps.size(); i++)
    if (plan->program.steps[i].op == Op::mount_attr && plan->program.steps[i].slot == keep.slot)
      sealed = static_cast<std::ptrdiff_t>(i);
  EXPECT_GT(sealed, link);
}

TEST(ContainerPlan, Terminal) {
  ContainerCase c;
  EXPECT_EQ(index_of(c.plan()->program, Op::new_session), -1);
  c.container.tty = true;
  auto plan = c.plan();
  ASSERT_TRUE(plan);
  EXPECT_EQ(steps_of(plan->program, Op::new_session).at(0)->x, 1U);
  const auto& env = plan->program.steps.back().lc;
  EXPECT_NE(std::find(env.begin(), env.end(), "TERM=xterm"), env.end());
}

TEST(ContainerPlan, OwnNetworkBringsLoopbackUp) {
  ContainerCase c;
  EXPECT_EQ(index_of(c.plan()->program, Op::loopback_up), -1);
  c.container.security.namespaces.network = NamespaceMode::container;
  EXPECT_GE(index_of(c.plan()->program, Op::loopback_up), 0);
}

TEST(ContainerPlan, TreeIsKilledWhenThePidNamespaceIsShared) {
  ContainerCase c;
  EXPECT_FALSE(c.plan()->kill_tree_at_exit);
  c.sandbox.namespaces.pid = c.container.security.namespaces.pid = NamespaceMode::pod;
  EXPECT_TRUE(c.plan()->kill_tree_at_exit);
  c.container.security.namespaces.pid = NamespaceMode::node;
  EXPECT_TRUE(c.plan()->kill_tree_at_exit);
}

TEST(ContainerPlan, OomScoreAndRlimitsWithoutTheCapability) {
  ContainerCase c;
  c.container.resources = Resources{.oom_score_adj = -997};
  c.config.rlimits = {{"nofile", {RLIMIT_NOFILE, 1024, 2048}}};
  auto flags = [&](Op op, const std::string& b) {
    auto plan = c.plan();
    return plan->program.steps[static_cast<std::size_t>(index_of(plan->program, op, b))].flags;
  };
  EXPECT_EQ(flags(Op::write_file, "/proc/self/oom_score_adj"), 0);
  EXPECT_EQ(flags(Op::rlimit, ""), 0);
  c.host.can_lower_oom_score = c.host.can_raise_rlimits = false;
  EXPECT_EQ(flags(Op::write_file, "/proc/self/oom_score_adj"), kMayFail);
  EXPECT_EQ(flags(Op::rlimit, ""), kMayFail);
}

TEST(ContainerPlan, AMountOnDevLeavesItAlone) {
  ContainerCase c;
  c.container.mounts = {{.container_path = "/dev", .host_path = "/dev"}};
  auto plan = c.plan();
  ASSERT_TRUE(plan);
  EXPECT_EQ(index_of(plan->program, Op::make_node), -1);
  EXPECT_EQ(index_of(plan->program, Op::make_symlink), -1);
  c.container.mounts = {{.container_path = "/dev/null", .host_path = "/x"}};
  plan = c.plan();
  EXPECT_EQ(index_of(plan->program, Op::make_node, "/dev/null"), -1);
  EXPECT_GE(index_of(plan->program, Op::make_node, "/dev/zero"), 0);
}

TEST(ContainerPlan, DirectoriesOfDevicesAreMadeOnce) {
  ContainerCase c;
  c.devices = {{.container_path = "/dev/net/tun", .major = 10, .minor = 200},
               {.container_path = "/dev/net/x", .major = 1}};
  auto plan = c.plan();
  std::size_t made = 0;
  for (const auto* step : steps_of(plan->program, Op::make_dir)) made += step->b == "/dev/net";
  EXPECT_EQ(made, 1U);
  EXPECT_LT(index_of(plan->program, Op::make_dir, "/dev/net"), index_of(plan->program, Op::make_node, "/dev/net/tun"));
}

TEST(ContainerPlan, UnavailableCapabilitiesAreTold) {
  ContainerCase c;
  c.host.capabilities &= ~(std::uint64_t{1} << 24);
  c.container.security.capabilities.add = {"SYS_RESOURCE"};
  EXPECT_EQ(print_capabilities(c.plan()->unavailable_caps), "SYS_RESOURCE");
}

TEST(ContainerPlan, BadRequestsNameTheField) {
  auto with = [](auto change) {
    ContainerCase c;
    change(c);
    return c.plan();
  };
  expect_invalid(with([](auto& c) { c.image = {}; }), "config.command", "no command");
  expect_invalid(with([](auto& c) { c.container.security.capabilities.add = {"X"}; }), "add_capabilities[0]");
  expect_invalid(with([](auto& c) { c.container.resources = Resources{.oom_score_adj = 1001}; }), "oom_score_adj",
                 "1001");
  expect_invalid(with([](auto& c) { c.container.resources = Resources{.unified = {{"memory.high", "1"}}}; }),
                 "unified");
  expect_invalid(with([](auto& c) { c.sandbox.cgroup_parent = "a"; }), "cgroup_parent");
  expect_invalid(with([](auto& c) { c.container.mounts = {{.container_path = "/", .host_path = "/"}}; }), "mounts[0]");
  expect_invalid(
      with([](auto& c) { c.container.devices = {{.container_path = "/d", .host_path = "/d", .permissions = "z"}}; }),
      "devices[0]");
  expect_invalid(with([](auto& c) {
                   c.host.seccomp = false;
                   c.container.security.seccomp = kDefaultProfile;
                 }),
                 "security_context.seccomp");
  auto bad = with([](auto& c) {
    c.container.security.seccomp = {.type = SeccompChoice::Type::localhost, .localhost_ref = "/p.json"};
    c.seccomp_profile = "{}";
  });
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().text().find("/p.json"), std::string::npos) << bad.error().text();
}

}  // namespace
}  // namespace podshim::testing
