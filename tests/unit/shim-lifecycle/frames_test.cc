// Which call it was the border says, once (shim/cri): what comes from here says only what happened within it.
#include "tests/unit/shim-lifecycle/runtime_fixture.h"

namespace podshim::lifecycle::test {
namespace {

using std::chrono::seconds;

class Frames : public RuntimeTest {
 protected:
  void SetUp() override {
    RuntimeTest::SetUp();
    sandbox = runtime->run_sandbox(pod()).value().str();
    for (const char* name : {"created", "running", "ended"})
      ids.push_back(runtime->create_container(sandbox, container(name)).value().str());
    EXPECT_TRUE(runtime->start_container(ids[1]));
    EXPECT_TRUE(runtime->start_container(ids[2]));
    EXPECT_TRUE(runtime->stop_container(ids[2], seconds(0)));
  }
  template <typename T>
  static void expect_without(const Result<T>& result, const std::string& call) {
    ASSERT_FALSE(result) << call;
    EXPECT_EQ(result.error().text().find("(while: " + call), std::string::npos) << result.error().text();
  }
  // Whatever step of it fails.
  template <typename Call>
  void fail_everywhere(const std::string& name, Call call) {
    int failures = 0;
    for (int n = 1;; n++, failures++) {
      machine.fail_at = machine.calls + n;
      const auto result = call();
      if (result) break;
      expect_without(result, name);
    }
    EXPECT_GT(failures, 0) << name;
    machine.fail_at = 0;
  }
  std::string sandbox;
  std::vector<std::string> ids;
};

TEST_F(Frames, NoCallNamesItself) {
  fail_everywhere("create container", [&] { return runtime->create_container(sandbox, container("another")); });
  fail_everywhere("exec", [&] { return runtime->exec_sync(ids[1], {"true"}, seconds(0)); });
  expect_without(runtime->start_container(ids[2]), "start container");
  expect_without(runtime->update_container(ids[2], {.cpu_shares = 7}), "update container");
  machine.fail_at = machine.calls + 4;  // the cgroup or the monitor
  expect_without(runtime->start_container(ids[0]), "start container");
  {
    std::lock_guard lock(machine.mutex);
    machine.fail_at = 0;
    machine.undying = "podshim";
  }
  expect_without(runtime->stop_container(ids[1], seconds(0)), "stop container");
  expect_without(runtime->remove_container(ids[1]), "remove container");
  expect_without(runtime->stop_sandbox(sandbox), "stop sandbox");
  expect_without(runtime->remove_sandbox(sandbox), "remove sandbox");
  {
    std::lock_guard lock(machine.mutex);
    machine.undying.clear();
  }
  EXPECT_TRUE(runtime->remove_sandbox(sandbox));
}

}  // namespace
}  // namespace podshim::lifecycle::test
