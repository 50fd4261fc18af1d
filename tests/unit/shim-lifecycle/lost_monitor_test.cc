// Pods whose monitor has gone while processes of theirs do not die (uninterruptible sleep): nobody waits for them.
#include <algorithm>
#include <thread>

#include "tests/unit/shim-lifecycle/runtime_fixture.h"

namespace podshim::lifecycle::test {
namespace {

using std::chrono::seconds;

class LostMonitor : public RuntimeTest {
 protected:
  void SetUp() override {
    RuntimeTest::SetUp();
    sandbox = runtime->run_sandbox(pod()).value();
    for (const char* name : {"a", "b"}) {
      ids.push_back(runtime->create_container(sandbox.str(), container(name))->str());
      ASSERT_TRUE(runtime->start_container(ids.back()));
    }
    runtime->wait_idle();
  }
  void lose_monitor() {
    std::lock_guard lock(machine.mutex);
    machine.monitors.clear();
    machine.undying = "podshim";  // pause too
    machine.waited = {};
  }
  void let_them_die() {
    {
      std::lock_guard lock(machine.mutex);
      machine.undying.clear();
    }
    runtime->wait_idle();
  }
  milliseconds waited() {
    std::lock_guard lock(machine.mutex);
    return machine.waited;
  }
  ContainerState state(const std::string& id) { return runtime->container(id).value()->state; }
  // As `podshim-monitor` writes them.
  void write_exit_record(const std::string& id, int code) {
    const std::string text = R"({"id":")" + id + R"(","exit_code":)" + std::to_string(code) +
                             R"(,"signal":0,"oom_killed":false,"finished_at_ns":77})";
    ASSERT_TRUE(sys::write_file(dir + "/state/exits/" + id, text, 0600));
  }
  SandboxId sandbox;
  std::vector<std::string> ids;
};

TEST_F(LostMonitor, AStartOfTheDaemonWaitsForNothingAndTheEndsComeLater) {
  lose_monitor();
  start_busy();
  EXPECT_EQ(waited(), seconds(0));
  EXPECT_EQ(runtime->sandbox(sandbox.str()).value()->state, SandboxState::not_ready);
  for (const auto& id : ids) EXPECT_EQ(state(id), ContainerState::running) << "the kernel's word: it is there";
  write_exit_record(ids[1], 3);
  let_them_die();
  const auto lost = runtime->container(ids[0]).value(), kept = runtime->container(ids[1]).value();
  EXPECT_EQ(lost->state, ContainerState::exited);
  EXPECT_EQ(lost->exit_code, 137);
  EXPECT_EQ(lost->reason, "Error");
  EXPECT_EQ(kept->exit_code, 3) << "its monitor had written the record";
  ASSERT_TRUE(runtime->remove_sandbox(sandbox.str()));
  EXPECT_EQ(left(), std::vector<std::string>{});
}

TEST_F(LostMonitor, WhileTheDaemonRunsNobodyWaitsEither) {
  lose_monitor();
  machine.events->monitor_gone(sandbox);
  const auto kills = [&] {
    std::lock_guard lock(machine.mutex);
    return machine.kills;
  };
  for (int i = 0; i < 5000 && kills() < 3; i++) std::this_thread::sleep_for(milliseconds(1));  // pause has had its own
  let_them_die();
  EXPECT_EQ(waited(), seconds(0));
  for (const auto& id : ids) EXPECT_EQ(state(id), ContainerState::exited);
}

TEST_F(LostMonitor, TheNextDaemonGoesOn) {
  lose_monitor();
  start_busy();
  start_busy();
  EXPECT_EQ(waited(), seconds(0));
  let_them_die();
  for (const auto& id : ids) EXPECT_EQ(state(id), ContainerState::exited);
  start();
  for (const auto& id : ids) EXPECT_EQ(runtime->container(id).value()->exit_code, 137) << "it was recorded";
}

// The monitor lives and does not know the containers, whose processes are in no cgroup of ours.
TEST_F(LostMonitor, AStartWaitsForNothingThatALivingMonitorHasLostEither) {
  {
    std::lock_guard lock(machine.mutex);
    machine.roots.clear();
    machine.running.clear();
    machine.undying = "podshim";
    machine.waited = {};
  }
  start_busy();
  runtime->settle_lost_exits();
  EXPECT_EQ(waited(), seconds(0));
  for (const auto& id : ids) EXPECT_EQ(state(id), ContainerState::running) << "the kernel's word: it is there";
  EXPECT_EQ(runtime->counters().unreached_monitors, 0U);
  write_exit_record(ids[1], 3);
  let_them_die();
  runtime->settle_lost_exits();
  EXPECT_EQ(runtime->container(ids[0]).value()->exit_code, 137);
  EXPECT_EQ(runtime->container(ids[1]).value()->exit_code, 3) << "its monitor had written the record";
  EXPECT_EQ(runtime->sandbox(sandbox.str()).value()->state, SandboxState::ready);
  ASSERT_TRUE(runtime->remove_sandbox(sandbox.str()));
  runtime->wait_idle();
  EXPECT_EQ(left(), std::vector<std::string>{});
}

// Its cgroup is empty, its process has not ended yet: the kernel takes it out of the one before it tells of the other.
TEST_F(LostMonitor, OneThatIsOnItsWayOutIsAskedAgainSoon) {
  housekeeping = true;
  start();
  std::this_thread::sleep_for(milliseconds(200));  // housekeeping has gone round and rests
  {
    std::lock_guard lock(machine.mutex);
    machine.monitors.clear();
    machine.running.clear();
    machine.undying = "on its way";  // no cgroup
  }
  machine.events->monitor_gone(sandbox);
  runtime->wait_idle();
  for (const auto& id : ids) EXPECT_EQ(state(id), ContainerState::running) << "the kernel's word: it is there";
  {
    std::lock_guard lock(machine.mutex);
    machine.undying.clear();
  }
  const auto all_ended = [&] {
    return std::ranges::all_of(ids, [&](const auto& id) { return state(id) == ContainerState::exited; });
  };
  for (int i = 0; i < 700 && !all_ended(); i++) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_TRUE(all_ended()) << "nobody asked again";
}

// Stop and remove are asked by somebody who waits, and they tell what stays; the kills beside them change nothing.
TEST_F(LostMonitor, StopAndRemoveTellWhatStaysAndTakeItOnceItHasGone) {
  lose_monitor();
  start_busy();
  EXPECT_EQ(runtime->stop_sandbox(sandbox.str()).error().kind, ErrorKind::deadline_exceeded);
  EXPECT_EQ(runtime->stop_container(ids[0], seconds(0)).error().kind, ErrorKind::deadline_exceeded);
  EXPECT_EQ(runtime->remove_container(ids[0]).error().kind, ErrorKind::deadline_exceeded);
  EXPECT_FALSE(runtime->remove_sandbox(sandbox.str()));
  EXPECT_EQ(state(ids[0]), ContainerState::running);
  {
    std::lock_guard lock(machine.mutex);
    machine.undying.clear();
  }
  EXPECT_TRUE(runtime->remove_container(ids[0]));  // at the same time as the kills find it gone
  EXPECT_TRUE(runtime->stop_sandbox(sandbox.str()));
  EXPECT_TRUE(runtime->remove_sandbox(sandbox.str()));
  runtime->wait_idle();
  EXPECT_EQ(left(), std::vector<std::string>{});
  EXPECT_TRUE(runtime->snapshot()->containers.empty());
  EXPECT_TRUE(runtime->snapshot()->sandboxes.empty());
}

}  // namespace
}  // namespace podshim::lifecycle::test
