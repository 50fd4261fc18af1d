// Starts whose child hangs (in a mount that does not answer), and the stops that come meanwhile.
#include <future>
#include <thread>

#include "tests/unit/shim-lifecycle/runtime_fixture.h"

namespace podshim::lifecycle::test {
namespace {

using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

class HangingStart : public RuntimeTest {
 protected:
  void SetUp() override {
    start_patience = seconds(30);  // a start that can end is never given up, however late its thread runs
    RuntimeTest::SetUp();
    sandbox = runtime->run_sandbox(pod()).value();
  }
  // All of them in the state in which nothing but a kill helps.
  void hang(std::size_t containers) {
    machine.hang_starts = true;
    for (std::size_t i = 0; i < containers; i++) {
      ids.push_back(runtime->create_container(sandbox.str(), container("c" + std::to_string(i)))->str());
      auto start = [this, id = ids.back()] { return runtime->start_container(id); };
      starts.push_back(std::async(std::launch::async, std::move(start)));
    }
    std::unique_lock lock(machine.mutex);
    ASSERT_TRUE(machine.changed.wait_for(lock, seconds(20), [&] { return machine.hanging.size() == containers; }));
  }
  void let_them_go() {
    std::lock_guard lock(machine.mutex);
    machine.hang_starts = false;
    machine.changed.notify_all();
  }
  void expect_undone() {
    for (auto& one : starts) {
      const auto result = one.get();
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().kind, ErrorKind::failed_precondition) << result.error().text();
    }
    for (const auto& id : ids) {
      const auto view = runtime->container(id).value();
      EXPECT_EQ(view->state, ContainerState::exited);
      EXPECT_EQ(view->reason, "StartError");
    }
    EXPECT_TRUE(machine.running.empty());
  }
  SandboxId sandbox;
  std::vector<std::string> ids;
  std::vector<std::future<Result<>>> starts;
};

TEST_F(HangingStart, AStopKillsAllOfThemAtOnce) {
  hang(4);
  const auto begin = Clock::now();
  auto stopped = runtime->stop_sandbox(sandbox.str());
  EXPECT_LT(Clock::now() - begin, seconds(10));
  EXPECT_TRUE(stopped) << stopped.error().text();
  expect_undone();
  ASSERT_TRUE(runtime->remove_sandbox(sandbox.str()));
  EXPECT_EQ(left(), std::vector<std::string>{});
}

// They share one deadline; then the stop goes on without them, and takes what it can reach.
TEST_F(HangingStart, AStopGoesOnWithoutThoseThatDoNotDie) {
  start_patience = seconds(1);
  start();
  hang(4);
  machine.undying = "/podshim/";  // the containers' parent, not the monitors'
  const auto begin = Clock::now();
  auto stopped = runtime->stop_sandbox(sandbox.str());
  EXPECT_LT(Clock::now() - begin, 4 * start_patience) << "one after the other";
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind, ErrorKind::deadline_exceeded) << stopped.error().text();
  EXPECT_NE(stopped.error().text().find("its start hangs"), std::string::npos) << stopped.error().text();
  EXPECT_TRUE(machine.netns.empty());
  EXPECT_TRUE(machine.addresses.empty());
  EXPECT_TRUE(machine.monitors.empty());
  expect_undone();  // their monitor has gone
  {
    std::lock_guard lock(machine.mutex);
    machine.undying.clear();
  }
  ASSERT_TRUE(runtime->remove_sandbox(sandbox.str()));
  EXPECT_EQ(left(), std::vector<std::string>{});
}

// The child gets through at last, when its sandbox is being stopped already.
TEST_F(HangingStart, ALateStartUndoesItself) {
  hang(1);
  machine.undying = "/podshim/";
  auto stopping = std::async(std::launch::async, [&] { return runtime->stop_sandbox(sandbox.str()); });
  for (int i = 0; i < 10'000; i++, std::this_thread::sleep_for(milliseconds(1))) {
    std::lock_guard lock(machine.mutex);
    if (machine.kills > 0) break;
  }
  {
    std::lock_guard lock(machine.mutex);
    machine.undying.clear();
    machine.hang_starts = false;
    machine.changed.notify_all();
  }
  EXPECT_TRUE(stopping.get());
  expect_undone();
  EXPECT_EQ(runtime->start_container(ids[0]).error().kind, ErrorKind::failed_precondition);
}

TEST_F(HangingStart, StopAndRemoveOfTheContainerItselfDoNotWaitEither) {
  hang(2);
  EXPECT_TRUE(runtime->stop_container(ids[0], seconds(0)));
  EXPECT_TRUE(runtime->remove_container(ids[1]));
  for (auto& one : starts) EXPECT_FALSE(one.get());
  EXPECT_EQ(runtime->container(ids[0]).value()->reason, "StartError");
  EXPECT_EQ(runtime->container(ids[1]).error().kind, ErrorKind::not_found);
}

TEST_F(HangingStart, AStopWithGraceLetsAStartComeThrough) {
  hang(1);
  auto stopping = std::async(std::launch::async, [&] { return runtime->stop_container(ids[0], seconds(30)); });
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(machine.kills, 0);
  let_them_go();
  EXPECT_TRUE(starts[0].get());
  machine.end(sandbox, *ContainerId::parse(ids[0]), 0);  // the fake's containers do not hear SIGTERM
  EXPECT_TRUE(stopping.get());
  EXPECT_EQ(runtime->container(ids[0]).value()->reason, "Completed");
}

// A stop that says OK has left nothing behind, also the second one.
TEST_F(HangingStart, EachStopLooksAtWhatDidNotDie) {
  const auto id = runtime->create_container(sandbox.str(), container("app"))->str();
  ASSERT_TRUE(runtime->start_container(id));
  {
    std::lock_guard lock(machine.mutex);
    machine.undying = "/podshim/";
  }
  for (int i = 0; i < 2; i++) {
    auto stopped = runtime->stop_sandbox(sandbox.str());
    ASSERT_FALSE(stopped) << "stop " << i;
    EXPECT_EQ(runtime->container(id).value()->state, ContainerState::running);
  }
  {
    std::lock_guard lock(machine.mutex);
    machine.undying.clear();
  }
  auto stopped = runtime->stop_sandbox(sandbox.str());
  EXPECT_TRUE(stopped) << stopped.error().text();
  EXPECT_EQ(runtime->container(id).value()->state, ContainerState::exited);
  ASSERT_TRUE(runtime->remove_sandbox(sandbox.str()));
  EXPECT_EQ(left(), std::vector<std::string>{});
}

}  // namespace
}  // namespace podshim::lifecycle::test
