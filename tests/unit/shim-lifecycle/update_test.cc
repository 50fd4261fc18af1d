// UpdateContainerResources and UpdatePodSandboxResources over the fake machine.
#include <signal.h>
#include <sys/resource.h>

#include <atomic>
#include <thread>

#include "tests/unit/shim-lifecycle/runtime_fixture.h"

namespace podshim::lifecycle::test {
namespace {

class Update : public RuntimeTest {
 protected:
  void SetUp() override {
    RuntimeTest::SetUp();
    sandbox = runtime->run_sandbox(pod()).value();
    auto spec = container();
    spec.resources = Resources{.cpu_shares = 100, .memory_limit_bytes = 1 << 20};
    id = runtime->create_container(sandbox.str(), spec)->str();
  }
  Resources limits() { return runtime->container(id).value()->spec.resources.value_or(Resources{}); }
  std::string file(const std::string& name) {
    std::lock_guard lock(machine.mutex);
    for (const auto& [path, text] : machine.files)
      if (path.ends_with("/" + name)) return text;
    return "";
  }
  SandboxId sandbox;
  std::string id;
};

TEST_F(Update, BeforeTheStartIsRecordedAndSurvives) {
  ASSERT_TRUE(runtime->update_container(id, {.cpu_shares = 200}));
  EXPECT_EQ(limits(), (Resources{.cpu_shares = 200, .memory_limit_bytes = 1 << 20}));
  EXPECT_EQ(file("cpu.weight"), "");  // there is no cgroup yet
  start();
  EXPECT_EQ(limits().cpu_shares, 200);
  // What the container was created with stays what a repeated CreateContainer is compared with.
  auto spec = container();
  spec.resources = Resources{.cpu_shares = 100, .memory_limit_bytes = 1 << 20};
  EXPECT_EQ(runtime->create_container(sandbox.str(), spec)->str(), id);
}

TEST_F(Update, OfARunningOneIsWrittenRecordedAndPublished) {
  ASSERT_TRUE(runtime->start_container(id));
  ASSERT_TRUE(runtime->update_container(id, {.cpu_shares = 262144, .memory_limit_bytes = 2 << 20}));
  EXPECT_EQ(file("cpu.weight"), "10000");
  EXPECT_EQ(file("memory.max"), std::to_string(2 << 20));
  EXPECT_EQ(runtime->snapshot()->containers.at(0)->spec.resources->cpu_shares, 262144);
  start();
  EXPECT_EQ(limits(), (Resources{.cpu_shares = 262144, .memory_limit_bytes = 2 << 20}));
}

TEST_F(Update, ARefusalLeavesTheRecord) {
  ASSERT_TRUE(runtime->start_container(id));
  const auto before = runtime->container(id).value();
  machine.fail_at = machine.calls + 1;
  auto refused = runtime->update_container(id, {.cpu_shares = 300});
  ASSERT_FALSE(refused);
  EXPECT_EQ(machine.failed, "apply cgroup update");
  EXPECT_EQ(*runtime->container(id).value(), *before);
  start();
  EXPECT_EQ(*runtime->container(id).value(), *before);
  EXPECT_EQ(runtime->update_container(id, {.memory_swap_limit_bytes = 5}).error().kind, ErrorKind::invalid_argument);
}

// The daemon died after the intent: what was promised in the record is written at the start.
TEST_F(Update, AnIntentIsFinishedByTheNextStart) {
  ASSERT_TRUE(runtime->start_container(id));
  runtime.reset();
  const std::string path = dir + "/root/containers/" + id + "/record.json";
  auto record = state::decode_container(sys::read_file(path).value()).value();
  record.resources = Resources{.cpu_shares = 2048};
  record.updating = true;
  ASSERT_TRUE(sys::write_file_atomic(path, state::encode(record)));
  start();
  EXPECT_EQ(file("cpu.weight"), "79");
  EXPECT_EQ(limits().cpu_shares, 2048);
  EXPECT_FALSE(state::decode_container(sys::read_file(path).value())->updating);
}

TEST_F(Update, OfOneThatHasEndedOrIsNotThereFails) {
  EXPECT_EQ(runtime->update_container(std::string(64, 'f'), {}).error().kind, ErrorKind::not_found);
  EXPECT_EQ(runtime->update_sandbox(std::string(64, 'f'), {}, {}).error().kind, ErrorKind::not_found);
  ASSERT_TRUE(runtime->start_container(id));
  machine.end(sandbox, *ContainerId::parse(id), 0);
  EXPECT_EQ(runtime->update_container(id, {.cpu_shares = 5}).error().kind, ErrorKind::failed_precondition);
  EXPECT_EQ(limits().cpu_shares, 100);
}

TEST_F(Update, ManyAtATimeFollowEachOther) {
  ASSERT_TRUE(runtime->start_container(id));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; i++) EXPECT_TRUE(runtime->update_container(id, {.cpu_shares = 100 + t}));
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(file("cpu.weight"), "4");
}

TEST_F(Update, ASandboxKeepsWhatItIsTold) {
  ASSERT_TRUE(runtime->update_sandbox(sandbox.str(), Resources{.cpu_shares = 3}, Resources{.cpu_quota_us = 1000}));
  for (int round = 0; round < 2; round++, start()) {
    auto view = runtime->sandbox(sandbox.str()).value();
    EXPECT_EQ(view->spec.overhead, (Resources{.cpu_shares = 3}));
    EXPECT_EQ(view->spec.resources, (Resources{.cpu_quota_us = 1000}));
  }
  EXPECT_EQ(runtime->run_sandbox(pod())->str(), sandbox.str());
}

// Of two at a time one cannot be written: the other is neither undone nor hindered by it.
TEST_F(Update, OfASandboxThatFailsLeavesTheOthersAlone) {
  constexpr rlim_t kLargestFile = 64 << 10;
  Resources large;
  large.unified["io.max"] = std::string(kLargestFile, 'x');
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{.rlim_cur = kLargestFile, .rlim_max = before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  std::atomic<bool> done{false};
  std::thread failing([&] {
    while (!done) EXPECT_FALSE(runtime->update_sandbox(sandbox.str(), {}, large));
  });
  for (std::int64_t i = 1; i <= 200; i++) {
    auto updated = runtime->update_sandbox(sandbox.str(), {}, Resources{.cpu_shares = i});
    EXPECT_TRUE(updated) << updated.error().text();
    EXPECT_EQ(runtime->sandbox(sandbox.str()).value()->spec.resources, (Resources{.cpu_shares = i}));
  }
  done = true;
  failing.join();
  ::setrlimit(RLIMIT_FSIZE, &before);
  start();
  EXPECT_EQ(runtime->sandbox(sandbox.str()).value()->spec.resources, (Resources{.cpu_shares = 200}));
}

}  // namespace
}  // namespace podshim::lifecycle::test
