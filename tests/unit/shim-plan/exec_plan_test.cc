#include "shim/plan/exec_plan.h"

#include <algorithm>

#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

TEST(ExecPlan, OrderIsCgroupNamespacesCredentialsSeccomp) {
  for (const auto& host : {host_v1(), host_v2()}) {
    ContainerCase c;
    c.host = host;
    c.container.security.seccomp.type = SeccompChoice::Type::runtime_default;
    c.container.security.no_new_privs = true;
    auto plan = c.exec({"true"});
    ASSERT_TRUE(plan) << error_text(plan);
    const auto& steps = plan->program.steps;
    EXPECT_EQ(steps[0].op, Op::no_dumpable);
    std::ptrdiff_t first_ns = index_of(plan->program, Op::set_ns), last_ns = -1;
    for (std::size_t i = 0; i < steps.size(); i++) {
      if (steps[i].op == Op::set_ns) last_ns = static_cast<std::ptrdiff_t>(i);
      if (steps[i].op == Op::write_file) {
        EXPECT_LT(static_cast<std::ptrdiff_t>(i), first_ns);
      }
    }
    EXPECT_EQ(steps[static_cast<std::size_t>(last_ns)].slot, static_cast<int>(Slot::mnt));
    EXPECT_LT(last_ns, index_of(plan->program, Op::bound_caps));
    EXPECT_EQ(steps[steps.size() - 2].op, Op::seccomp);
    EXPECT_EQ(steps.back().op, Op::exec);
    EXPECT_EQ(plan->clone, ClonePlan{});  // the monitor knows the container's pid namespace
  }
}

// An exec makes no mount: it is 0.3 ms, not 30.
TEST(ExecPlan, MakesNoMount) {
  ContainerCase c;
  auto plan = c.exec({"true"});
  for (Op op :
       {Op::open_tree, Op::new_mount, Op::attach, Op::attach_root, Op::propagation, Op::enter_root, Op::mask_path})
    EXPECT_EQ(index_of(plan->program, op), -1);
}

TEST(ExecPlan, JoinsTheContainersCgroupsAndALeafOfTheFreezer) {
  ContainerCase c;
  auto plan = c.exec({"true"});
  std::vector<std::string> tasks;
  for (const auto* step : steps_of(plan->program, Op::write_file))
    if (step->b.ends_with("/tasks")) tasks.push_back(step->b);
  EXPECT_EQ(tasks.size(), 8U);
  const std::string leaf = "/podshim-0a1b2c-" + std::string(64, 'c');
  for (const auto& file : tasks)
    EXPECT_TRUE(file.ends_with(leaf + (file.find("/freezer/") != std::string::npos ? "/exec/tasks" : "/tasks")))
        << file;
  EXPECT_EQ(plan->cgroup.paths.directories().size(), 1U);
  auto input = c.input();
  input.exec_leaf = 2;
  EXPECT_TRUE(plan_exec(input, c.filters, {"true"}, false)->cgroup.paths.path.ends_with("/exec-2"));
}

TEST(ExecPlan, HasTheRightsOfTheContainer) {
  ContainerCase c;
  c.container.security.capabilities.drop = {"ALL"};
  c.container.security.seccomp.type = SeccompChoice::Type::runtime_default;
  c.user = {.uid = 1000, .gid = 1000, .groups = {1000, 50000}};
  auto init = c.plan();
  auto exec = c.exec({"id"});
  ASSERT_TRUE(init && exec);
  for (Op op : {Op::bound_caps, Op::set_groups, Op::set_gid, Op::set_uid, Op::set_caps, Op::seccomp, Op::change_dir}) {
    auto a = steps_of(init->program, op), b = steps_of(exec->program, op);
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); i++) EXPECT_EQ(*a[i], *b[i]);
  }
  EXPECT_EQ(exec->program.steps.back().la, (std::vector<std::string>{"/usr/bin/id", "/bin/id"}));
  EXPECT_EQ(exec->program.steps.back().lc, init->program.steps.back().lc);
}

TEST(ExecPlan, TerminalIsItsOwn) {
  ContainerCase c;
  EXPECT_EQ(index_of(c.exec({"sh"})->program, Op::new_session), -1);
  EXPECT_GE(index_of(c.exec({"sh"}, true)->program, Op::new_session), 0);
  const auto env = c.exec({"sh"}, true)->program.steps.back().lc;
  EXPECT_NE(std::find(env.begin(), env.end(), "TERM=xterm"), env.end());
}

TEST(ExecPlan, NeedsACommand) {
  ContainerCase c;
  expect_invalid(c.exec({}), "cmd", "no command");
  expect_invalid(c.exec({""}), "cmd", "no command");
}

}  // namespace
}  // namespace podshim::testing
