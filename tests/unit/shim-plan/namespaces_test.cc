#include "shim/plan/namespaces.h"

#include <sched.h>

#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

using Mode = NamespaceMode;
using Slots = std::vector<Slot>;

constexpr Mode kModes[] = {Mode::pod, Mode::container, Mode::node, Mode::target};

NamespaceOptions options(Mode net, Mode pid, Mode ipc, std::string target = "") {
  return {.network = net, .pid = pid, .ipc = ipc, .target_id = std::move(target)};
}

TEST(Namespaces, SandboxByMode) {
  const std::uint64_t kNet = CLONE_NEWNET | CLONE_NEWUTS;
  struct Case {
    NamespaceOptions o;
    std::uint64_t want;
  } cases[] = {
      {options(Mode::pod, Mode::pod, Mode::pod), CLONE_NEWNS | kNet | CLONE_NEWIPC | CLONE_NEWPID},
      {options(Mode::pod, Mode::container, Mode::pod), CLONE_NEWNS | kNet | CLONE_NEWIPC},
      {options(Mode::pod, Mode::node, Mode::pod), CLONE_NEWNS | kNet | CLONE_NEWIPC},
      {options(Mode::node, Mode::pod, Mode::pod), CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID},
      {options(Mode::node, Mode::node, Mode::node), CLONE_NEWNS},
      {options(Mode::container, Mode::container, Mode::container), CLONE_NEWNS | kNet | CLONE_NEWIPC},
  };
  for (const auto& c : cases) {
    auto plan = plan_sandbox_namespaces(c.o);
    ASSERT_TRUE(plan) << error_text(plan);
    EXPECT_EQ(print_clone_flags(plan->clone.namespaces), print_clone_flags(c.want));
    EXPECT_EQ(plan->host_net, c.o.network == Mode::node);
    EXPECT_EQ(plan->shared_pid, c.o.pid == Mode::pod);
  }
}

TEST(Namespaces, TargetIsForPidOfContainers) {
  expect_invalid(plan_sandbox_namespaces(options(Mode::target, Mode::pod, Mode::pod)), "namespace_options.network",
                 "TARGET");
  expect_invalid(plan_sandbox_namespaces(options(Mode::pod, Mode::pod, Mode::target)), "namespace_options.ipc",
                 "TARGET");
  expect_invalid(plan_sandbox_namespaces(options(Mode::pod, Mode::target, Mode::pod)), "namespace_options.pid",
                 "TARGET");
  const NamespaceOptions pod;
  expect_invalid(plan_container_namespaces(pod, options(Mode::target, Mode::pod, Mode::pod), false, host_v1()),
                 "network");
  expect_invalid(plan_container_namespaces(pod, options(Mode::pod, Mode::pod, Mode::target), false, host_v1()), "ipc");
  expect_invalid(plan_container_namespaces(pod, options(Mode::pod, Mode::target, Mode::pod), false, host_v1()),
                 "target_id");
}

struct PidCase {
  Mode sandbox, container;
  bool new_pid, join_sandbox, host;
};

TEST(Namespaces, PidOfContainerByBothModes) {
  const PidCase cases[] = {
      {Mode::pod, Mode::pod, false, true, false},
      {Mode::container, Mode::pod, true, false, false},
      {Mode::node, Mode::pod, false, false, true},
      {Mode::pod, Mode::container, true, false, false},
      {Mode::container, Mode::container, true, false, false},
      {Mode::node, Mode::container, true, false, false},
      {Mode::pod, Mode::node, false, false, true},
      {Mode::container, Mode::node, false, false, true},
      {Mode::node, Mode::node, false, false, true},
  };
  for (const auto& c : cases) {
    auto plan = plan_container_namespaces(options(Mode::pod, c.sandbox, Mode::pod),
                                          options(Mode::pod, c.container, Mode::pod), false, host_v1());
    ASSERT_TRUE(plan);
    const auto name = std::string(mode_name(c.sandbox)) + " / " + std::string(mode_name(c.container));
    EXPECT_EQ((plan->clone.namespaces & CLONE_NEWPID) != 0, c.new_pid) << name;
    EXPECT_EQ(plan->clone.join_sandbox_pid, c.join_sandbox) << name;
    EXPECT_EQ(plan->host_pid, c.host) << name;
    EXPECT_EQ(plan->shared_pid, !c.new_pid) << name;
  }
  auto target = plan_container_namespaces({}, options(Mode::pod, Mode::target, Mode::pod, "abc"), false, host_v1());
  ASSERT_TRUE(target);
  EXPECT_EQ(target->clone.join_pid_of, "abc");
  EXPECT_EQ(target->clone.namespaces & CLONE_NEWPID, 0U);
  EXPECT_TRUE(target->shared_pid);
}

TEST(Namespaces, NetAndIpcOfContainer) {
  struct Case {
    Mode sandbox_net, net, sandbox_ipc, ipc;
    Slots join;
    std::uint64_t fresh;
  } cases[] = {
      {Mode::pod, Mode::pod, Mode::pod, Mode::pod, {Slot::net, Slot::ipc, Slot::uts}, 0},
      {Mode::node, Mode::pod, Mode::pod, Mode::pod, {Slot::ipc}, 0},
      {Mode::pod, Mode::node, Mode::pod, Mode::pod, {Slot::ipc}, 0},
      {Mode::node, Mode::node, Mode::node, Mode::node, {}, 0},
      {Mode::pod, Mode::pod, Mode::node, Mode::pod, {Slot::net, Slot::uts}, 0},
      {Mode::pod, Mode::pod, Mode::pod, Mode::node, {Slot::net, Slot::uts}, 0},
      {Mode::pod, Mode::container, Mode::pod, Mode::pod, {Slot::ipc, Slot::uts}, CLONE_NEWNET},
      {Mode::node, Mode::container, Mode::pod, Mode::pod, {Slot::ipc}, CLONE_NEWNET},
      {Mode::pod, Mode::pod, Mode::pod, Mode::container, {Slot::net, Slot::uts}, CLONE_NEWIPC},
  };
  for (const auto& c : cases) {
    auto plan = plan_container_namespaces(options(c.sandbox_net, Mode::container, c.sandbox_ipc),
                                          options(c.net, Mode::container, c.ipc), false, host_v1());
    ASSERT_TRUE(plan);
    const auto name = std::string(mode_name(c.sandbox_net)) + "/" + std::string(mode_name(c.net)) + " " +
                      std::string(mode_name(c.sandbox_ipc)) + "/" + std::string(mode_name(c.ipc));
    EXPECT_EQ(plan->join, c.join) << name;
    EXPECT_EQ(print_clone_flags(plan->clone.namespaces), print_clone_flags(CLONE_NEWNS | CLONE_NEWPID | c.fresh))
        << name;
    EXPECT_EQ(plan->own_net, c.fresh == CLONE_NEWNET) << name;
  }
}

// Every combination: a namespace is joined, new or the host's, exactly one of the three.
TEST(Namespaces, ExactlyOneOrigin) {
  for (Mode sandbox : kModes)
    for (Mode container : kModes) {
      if (sandbox == Mode::target || container == Mode::target) continue;
      auto plan = plan_container_namespaces(options(sandbox, sandbox, sandbox),
                                            options(container, container, container), false, host_v2());
      ASSERT_TRUE(plan);
      for (Slot slot : {Slot::net, Slot::ipc}) {
        const bool joined = std::count(plan->join.begin(), plan->join.end(), slot) == 1;
        const bool fresh = (plan->clone.namespaces & clone_flag(slot)) != 0;
        const bool host = slot == Slot::net ? plan->host_net : plan->host_ipc;
        EXPECT_EQ(joined + fresh + host, 1) << mode_name(sandbox) << "/" << mode_name(container);
      }
    }
}

TEST(Namespaces, CgroupNamespaceOnV2Only) {
  EXPECT_FALSE(plan_container_namespaces({}, {}, false, host_v1())->private_cgroup);
  EXPECT_TRUE(plan_container_namespaces({}, {}, false, host_v2())->private_cgroup);
  EXPECT_FALSE(plan_container_namespaces({}, {}, true, host_v2())->private_cgroup);
}

TEST(Namespaces, ExecJoinsWhatTheContainerHas) {
  auto pod = plan_exec_namespaces(*plan_container_namespaces({}, {}, false, host_v2()));
  EXPECT_EQ(pod.join, (Slots{Slot::net, Slot::ipc, Slot::uts, Slot::cgroup, Slot::mnt}));
  EXPECT_EQ(pod.clone, ClonePlan{});
  auto own = plan_exec_namespaces(
      *plan_container_namespaces({}, options(Mode::container, Mode::container, Mode::container), false, host_v1()));
  EXPECT_EQ(own.join, (Slots{Slot::net, Slot::ipc, Slot::uts, Slot::mnt}));
  auto node = plan_exec_namespaces(
      *plan_container_namespaces(options(Mode::node, Mode::node, Mode::node), {}, false, host_v1()));
  EXPECT_EQ(node.join, (Slots{Slot::mnt}));
}

}  // namespace
}  // namespace podshim::testing
