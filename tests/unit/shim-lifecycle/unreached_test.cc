// Monitors that did not answer at the daemon's start: what is told, or ends, before they are reached.
#include "tests/unit/shim-lifecycle/runtime_fixture.h"

namespace podshim::lifecycle::test {
namespace {

class Unreached : public RuntimeTest {
 protected:
  void SetUp() override {
    RuntimeTest::SetUp();
    sandbox = runtime->run_sandbox(pod()).value();
    id = runtime->create_container(sandbox.str(), container()).value().str();
  }
  void restart_unreached() {
    machine.silent_monitors = true;
    start_busy();
    ASSERT_EQ(runtime->counters().unreached_monitors, 1U);
  }
  ContainerState state() { return runtime->container(id).value()->state; }
  SandboxId sandbox;
  std::string id;
};

// It runs by a start whose daemon died before the record: nobody knows before the monitor tells, and that is its last
// word.
TEST_F(Unreached, AMonitorThatGoesAfterItsAnswerIsGone) {
  {
    std::lock_guard lock(machine.mutex);
    machine.running[id] = "/fake/" + id;
  }
  ASSERT_NO_FATAL_FAILURE(restart_unreached());
  EXPECT_EQ(state(), ContainerState::created);
  machine.silent_monitors = false;
  machine.state_told = [&] {
    {
      std::lock_guard lock(machine.mutex);
      machine.monitors.clear();
      machine.running.clear();
    }
    machine.events->monitor_gone(sandbox);
    runtime->wait_idle();
  };
  runtime->adopt_unreached();
  runtime->wait_idle();
  EXPECT_EQ(state(), ContainerState::exited) << "nobody is left who would tell";
  EXPECT_EQ(runtime->sandbox(sandbox.str()).value()->state, SandboxState::not_ready);
  ASSERT_TRUE(runtime->remove_sandbox(sandbox.str()));
  EXPECT_EQ(left(), std::vector<std::string>{});
}

// Its monitor was never reached and is killed: that one tells nothing any more.
TEST_F(Unreached, WhatOutlivesAStopIsExitedOnceItHasGone) {
  ASSERT_TRUE(runtime->start_container(id));
  ASSERT_NO_FATAL_FAILURE(restart_unreached());
  {
    std::lock_guard lock(machine.mutex);
    machine.undying = id;
  }
  EXPECT_EQ(runtime->stop_sandbox(sandbox.str()).error().kind, ErrorKind::deadline_exceeded);
  EXPECT_EQ(runtime->sandbox(sandbox.str()).value()->state, SandboxState::not_ready);
  runtime->settle_lost_exits();
  EXPECT_EQ(state(), ContainerState::running);
  {
    std::lock_guard lock(machine.mutex);
    machine.undying.clear();
    machine.running.clear();
  }
  runtime->adopt_unreached();
  runtime->settle_lost_exits();
  EXPECT_EQ(state(), ContainerState::exited) << "without another call";
  ASSERT_TRUE(runtime->remove_sandbox(sandbox.str()));
  EXPECT_EQ(left(), std::vector<std::string>{});
}

}  // namespace
}  // namespace podshim::lifecycle::test
