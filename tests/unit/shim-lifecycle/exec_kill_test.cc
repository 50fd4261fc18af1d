// Execs that end before their time, and what a restart finds of them.
#include <future>
#include <thread>

#include "tests/unit/shim-lifecycle/runtime_fixture.h"

namespace podshim::lifecycle::test {
namespace {

using std::chrono::seconds;

class ExecKill : public RuntimeTest {
 protected:
  void SetUp() override {
    RuntimeTest::SetUp();
    sandbox = runtime->run_sandbox(pod()).value();
    id = runtime->create_container(sandbox.str(), container()).value();
    ASSERT_TRUE(runtime->start_container(id.str()));
  }
  std::unique_ptr<ProcessStream> open() {
    machine.long_execs = true;
    auto stream = runtime->open_exec(id.str(), {"sleep"}, {.out = true}, [this](Result<int> r) {
      std::lock_guard lock(mutex);
      codes.push_back(r.value_or(-1));
    });
    EXPECT_TRUE(stream) << stream.error().text();
    return stream ? *std::move(stream) : nullptr;
  }
  std::string cgroup(int leaf) {
    std::lock_guard lock(machine.mutex);
    return machine.running.at(id.str()) + (leaf == 0 ? "/exec" : "/exec-" + std::to_string(leaf));
  }
  // Where the next exec runs. It ends at once.
  std::string leaf_of_next() {
    machine.long_execs = false;
    EXPECT_TRUE(runtime->exec_sync(id.str(), {"true"}, seconds(1)));
    std::lock_guard lock(machine.mutex);
    return machine.opened;
  }
  std::vector<std::string> marks() { return sys::list_dir(dir + "/state/kills").value(); }
  bool eventually(const std::function<bool()>& holds) {
    for (int i = 0; i < 5000; i++, std::this_thread::sleep_for(milliseconds(1)))
      if (holds()) return true;
    return false;
  }
  std::size_t ended() {
    std::lock_guard lock(mutex);
    return codes.size();
  }
  SandboxId sandbox;
  ContainerId id;
  std::mutex mutex;
  std::vector<int> codes;
};

TEST_F(ExecKill, OneThatDoesNotDieHoldsUpNoOther) {
  std::vector<std::unique_ptr<ProcessStream>> streams;
  for (int i = 0; i < 20; i++) streams.push_back(open());
  machine.undying = "/exec-1";  // and 10 to 19: eleven of them
  streams.clear();
  EXPECT_TRUE(eventually([&] { return ended() == 9; })) << ended();
  EXPECT_TRUE(eventually([&] { return marks().size() == 11; }));
  EXPECT_TRUE(eventually([&] { return leaf_of_next() == cgroup(0); })) << "a killed one's leaf is used again";
  {
    std::lock_guard lock(machine.mutex);
    machine.undying.clear();
  }
  runtime->wait_idle();
  EXPECT_EQ(ended(), 20U);
  EXPECT_TRUE(marks().empty());
}

TEST_F(ExecKill, ATimeoutTakesItsLeafAndGivesItBack) {
  machine.long_execs = true;
  EXPECT_EQ(runtime->exec_sync(id.str(), {"sleep"}, seconds(1)).error().kind, ErrorKind::deadline_exceeded);
  EXPECT_TRUE(machine.execs.empty());
  EXPECT_TRUE(marks().empty());
  EXPECT_EQ(leaf_of_next(), cgroup(0));
}

TEST_F(ExecKill, ATimeoutOfAStartThatHangsTakesItsLeafAndGivesItBack) {
  machine.hang_execs = true;
  const auto begin = std::chrono::steady_clock::now();
  const auto result = runtime->exec_sync(id.str(), {"/vol/prog"}, seconds(1));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(10));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::deadline_exceeded);
  EXPECT_NE(result.error().text().find("exec /vol/prog: the start of its program hung for 1 s"), std::string::npos)
      << result.error().text();
  EXPECT_TRUE(machine.hanging.empty()) << "it was not killed";
  EXPECT_TRUE(marks().empty());
  machine.hang_execs = false;
  EXPECT_EQ(leaf_of_next(), cgroup(0));
}

TEST_F(ExecKill, AClientThatGoesWhileTheStartHangsIsNotWaitedFor) {
  machine.hang_execs = true;
  std::stop_source client;
  auto exec = std::async(std::launch::async,
                         [&] { return runtime->exec_sync(id.str(), {"/vol/prog"}, seconds(0), client.get_token()); });
  ASSERT_TRUE(eventually([&] {
    std::lock_guard lock(machine.mutex);
    return machine.hanging.contains(machine.opened);
  }));
  client.request_stop();
  ASSERT_EQ(exec.wait_for(seconds(10)), std::future_status::ready);
  EXPECT_EQ(exec.get().error().kind, ErrorKind::cancelled);
  EXPECT_TRUE(machine.hanging.empty()) << "it was not killed";
}

TEST_F(ExecKill, AClientOfAStreamThatGoesWhileTheStartHangsIsNotWaitedForEither) {
  machine.hang_execs = true;
  std::stop_source client;
  auto stream = std::async(std::launch::async, [&] {
    const auto told = [](const Result<int>&) { ADD_FAILURE() << "the call fails: that is enough"; };
    return runtime->open_exec(id.str(), {"/vol/prog"}, {.out = true}, told, client.get_token());
  });
  ASSERT_TRUE(eventually([&] {
    std::lock_guard lock(machine.mutex);
    return machine.hanging.contains(machine.opened);
  }));
  client.request_stop();
  ASSERT_EQ(stream.wait_for(seconds(10)), std::future_status::ready);
  EXPECT_EQ(stream.get().error().kind, ErrorKind::cancelled);
  EXPECT_TRUE(machine.hanging.empty()) << "it was not killed";
  machine.hang_execs = false;
  EXPECT_EQ(leaf_of_next(), cgroup(0));
}

TEST_F(ExecKill, AStreamWhoseStartHangsSaysSoAndGivesItsLeafBack) {
  exec_patience = milliseconds(300);
  start();
  machine.hang_execs = true;
  const auto stream = runtime->open_exec(id.str(), {"/vol/prog"}, {.in = true, .out = true}, [this](Result<int> r) {
    std::lock_guard lock(mutex);
    codes.push_back(r.value_or(-1));
  });
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().kind, ErrorKind::deadline_exceeded);
  EXPECT_NE(stream.error().text().find("exec /vol/prog: the start of its program hung"), std::string::npos)
      << stream.error().text();
  EXPECT_TRUE(machine.hanging.empty()) << "it was not killed";
  EXPECT_TRUE(marks().empty());
  EXPECT_EQ(ended(), 0U);
  machine.hang_execs = false;
  EXPECT_EQ(leaf_of_next(), cgroup(0));
}

// The exec itself has ended, its grandchild has not died when the daemon goes.
TEST_F(ExecKill, WhatWasBeingKilledIsKilledByTheNextDaemon) {
  auto stream = open();
  machine.undying = "/exec";
  stream.reset();
  ASSERT_TRUE(eventually([&] { return marks().size() == 1; }));
  runtime.reset();
  machine.execs.clear();
  machine.left_running.insert(cgroup(0));
  start_busy();
  EXPECT_EQ(leaf_of_next(), cgroup(1)) << "nobody runs among what is being killed";
  EXPECT_EQ(marks().size(), 1U);
  {
    std::lock_guard lock(machine.mutex);
    machine.undying.clear();
  }
  runtime->wait_idle();
  EXPECT_TRUE(machine.left_running.empty());
  EXPECT_TRUE(marks().empty());
  EXPECT_EQ(leaf_of_next(), cgroup(0));
}

TEST_F(ExecKill, WhatAnEndedExecLeftRunningStaysOverARestartByItself) {
  ASSERT_EQ(leaf_of_next(), cgroup(0));
  machine.left_running = {cgroup(0), cgroup(1), cgroup(12)};
  start();
  EXPECT_EQ(machine.left_running.size(), 3U);
  EXPECT_EQ(leaf_of_next(), cgroup(2));
  machine.left_running.erase(cgroup(0));
  EXPECT_EQ(leaf_of_next(), cgroup(0));
}

TEST_F(ExecKill, AnExecThatNobodyWaitsForGoesWithAllThatIsInItsLeaf) {
  machine.execs[cgroup(1)] = nullptr;
  machine.left_running = {cgroup(1), cgroup(2)};  // its own child; that of one that has ended
  start();
  EXPECT_TRUE(machine.execs.empty());
  EXPECT_EQ(machine.left_running, std::set<std::string>{cgroup(2)});
}

TEST_F(ExecKill, MarksOfWhatIsGoneGo) {
  const std::string lost = dir + "/state/kills/" + std::string(64, 'a');
  ASSERT_TRUE(sys::write_file(lost + ".0", "", 0600));
  ASSERT_TRUE(sys::write_file(dir + "/state/kills/" + id.str() + ".x", "", 0600));
  start();
  EXPECT_TRUE(marks().empty());
}

}  // namespace
}  // namespace podshim::lifecycle::test
