// ExecSync on a real kernel: outputs, exit codes, caps, and a timeout that takes the subtree and nothing else.
#include <thread>

#include "common/sys/file.h"
#include "tests/root/shim-lifecycle/fixture.h"

namespace podshim::lifecycle::test {
namespace {

using std::chrono::seconds;

class Exec : public LifecycleTest {
 protected:
  void SetUp() override {
    LifecycleTest::SetUp();
    sandbox_ = run(pod());
    id_ = launch(sandbox_, script("c", "sleep 1000"));
  }
  Result<ExecResult> exec(const std::string& text, seconds timeout = seconds(20)) {
    return runtime->exec_sync(id_.str(), {"sh", "-c", text}, timeout);
  }
  SandboxId sandbox_;
  ContainerId id_;
};

TEST_F(Exec, OutputsAndCode) {
  auto r = exec("echo out; echo err >&2; exit 3");
  ASSERT_TRUE(r) << r.error().text();
  EXPECT_EQ(r->out, "out\n");
  EXPECT_EQ(r->err, "err\n");
  EXPECT_EQ(r->exit_code, 3);
  auto exact = runtime->exec_sync(id_.str(), {"echo", "-n", "hello"}, seconds(5));
  ASSERT_TRUE(exact);
  EXPECT_EQ(exact->out, "hello");
}

TEST_F(Exec, BadOnes) {
  auto missing = runtime->exec_sync(id_.str(), {"/no/such"}, seconds(5));
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().text().find("/no/such"), std::string::npos) << missing.error().text();
  EXPECT_EQ(runtime->exec_sync(id_.str(), {}, seconds(5)).error().kind, ErrorKind::invalid_argument);
  EXPECT_EQ(runtime->exec_sync("feed", {"true"}, seconds(5)).error().kind, ErrorKind::not_found);
  auto created = create(sandbox_, script("created", "true"));
  EXPECT_EQ(runtime->exec_sync(created.str(), {"true"}, seconds(5)).error().kind, ErrorKind::failed_precondition);
}

TEST_F(Exec, LargeOutputIsCutAtTheCap) {
  auto r = exec("yes 0123456789abcdef | dd bs=1M count=20 iflag=fullblock 2>/dev/null");
  ASSERT_TRUE(r) << r.error().text();
  EXPECT_EQ(r->out.size(), 16U << 20);
}

TEST_F(Exec, ATimeoutKillsTheSubtreeAndNothingElse) {
  std::thread neighbour([&] {
    auto r = exec("sleep 3; echo alive");
    ASSERT_TRUE(r) << r.error().text();
    EXPECT_EQ(r->out, "alive\n");
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const auto begin = std::chrono::steady_clock::now();
  auto r = exec("(sleep 4321 &) ; sleep 4322 & sleep 4323", seconds(1));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(5500)) << "its end was not told";
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().kind, ErrorKind::deadline_exceeded) << r.error().text();
  EXPECT_EQ(shell(id_, "ps | grep -c '[s]leep 432' || true"), "0");
  neighbour.join();
  EXPECT_EQ(runtime->container(id_.str()).value()->state, ContainerState::running);
}

// Processes that go on making others while they are being killed.
TEST_F(Exec, ATimeoutEndsAForkBombLite) {
  auto r = exec("b() { while :; do (sleep 5321 &); sleep 0.01; done; }; b & b & (b &) ; b", seconds(1));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().kind, ErrorKind::deadline_exceeded) << r.error().text();
  EXPECT_EQ(shell(id_, "ps | grep -c '[s]leep 5321' || true"), "0");
  EXPECT_EQ(runtime->container(id_.str()).value()->state, ContainerState::running);
}

TEST_F(Exec, OneAfterTheOtherUsesOneLeaf) {
  for (int i = 0; i < 5; i++) EXPECT_TRUE(exec("true"));
  EXPECT_FALSE(exec("sleep 1000", seconds(1)));
  EXPECT_TRUE(exec("true"));
  EXPECT_EQ(exec_leaves(id_), 1U);
}

TEST_F(Exec, AClientThatHasGoneTakesItsSubtreeAlong) {
  std::stop_source client;
  std::thread goes([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    client.request_stop();
  });
  const auto begin = std::chrono::steady_clock::now();
  auto r = runtime->exec_sync(id_.str(), {"sh", "-c", "sleep 5431 & sleep 5432"}, seconds(0), client.get_token());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(4500)) << "its end was not told";
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().kind, ErrorKind::cancelled) << r.error().text();
  EXPECT_EQ(shell(id_, "ps | grep -c '[s]leep 543' || true"), "0");
  goes.join();
}

TEST_F(Exec, TheSeccompProfileOfTheCreationIsKept) {
  const std::string profile = dir + "/profile.json";
  sys::write_file(profile, R"({"defaultAction":"SCMP_ACT_ALLOW",
    "syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":38}]})",
                  0644)
      .value();
  auto spec = script("confined", "sleep 1000");
  spec.security.seccomp = {.type = SeccompChoice::Type::localhost, .localhost_ref = profile};
  auto id = launch(run(pod("confined")), spec);
  sys::remove_file(profile).value();
  stop();
  start();
  EXPECT_NE(shell(id, "mkdir /tmp/x 2>&1 || true").find("Function not implemented"), std::string::npos);
}

TEST_F(Exec, WhatAnExecLeavesRunningStays) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(shell(id_, "sleep 77 & echo started"), "started");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(15));
  EXPECT_FALSE(exec("sleep 100", seconds(1)));  // in another leaf
  EXPECT_EQ(shell(id_, "ps | grep -c '[s]leep 77'"), "1");
}

TEST_F(Exec, ManyAtOnce) {
  std::vector<std::thread> callers;
  for (int i = 0; i < 16; i++)
    callers.emplace_back([&, i] {
      auto r = exec("echo " + std::to_string(i));
      ASSERT_TRUE(r) << r.error().text();
      EXPECT_EQ(r->out, std::to_string(i) + "\n");
    });
  for (auto& t : callers) t.join();
  const auto open_files = [] { return sys::list_dir("/proc/self/fd").value().size(); };
  const auto before = open_files();
  for (int i = 0; i < 20; i++) ASSERT_TRUE(exec("true"));
  // Other threads of the runtime open a file for a moment: what the execs had stays away.
  for (int i = 0; i < 2000 && open_files() > before; i++) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_LE(open_files(), before + 5);
}

TEST_F(Exec, TheContainersEndEndsIt) {
  std::thread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    EXPECT_TRUE(runtime->stop_container(id_.str(), seconds(0)));
  });
  const auto begin = std::chrono::steady_clock::now();
  (void)exec("sleep 1000", seconds(60));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(10));
  stopper.join();
}

}  // namespace
}  // namespace podshim::lifecycle::test
