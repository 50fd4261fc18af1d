// A failure at every single step of each operation: nothing is left, and the next try works.
#include "tests/unit/shim-lifecycle/runtime_fixture.h"

namespace podshim::lifecycle::test {
namespace {

class EveryStep : public RuntimeTest {
 protected:
  void fail_at(int step) {
    machine.calls = 0;
    machine.fail_at = step;
    machine.failed.clear();
  }
};

TEST_F(EveryStep, OfRunPodSandbox) {
  std::set<std::string> seen;
  int step = 1;
  for (;; step++) {
    fail_at(step);
    auto made = runtime->run_sandbox(pod());
    if (made) break;
    seen.insert(machine.failed);
    EXPECT_TRUE(made.error().is(EIO)) << machine.failed << ": " << made.error().text();
    EXPECT_EQ(left(), std::vector<std::string>{}) << "after a failed " << machine.failed;
    EXPECT_TRUE(runtime->snapshot()->sandboxes.empty());
  }
  EXPECT_EQ(seen, (std::set<std::string>{"CNI ADD", "apply cgroup", "bind netns", "launch monitor", "make shm",
                                         "open cgroup", "set shm", "start pause"}));
  EXPECT_EQ(machine.plugin_calls.back().substr(0, 3), "ADD");
  fail_at(0);
  auto id = runtime->snapshot()->sandboxes[0]->id;
  ASSERT_TRUE(runtime->remove_sandbox(id.str()));
  EXPECT_EQ(left(), std::vector<std::string>{});
}

TEST_F(EveryStep, OfCreateContainer) {
  auto sandbox = runtime->run_sandbox(pod()).value();
  const auto before = left();
  std::set<std::string> seen;
  for (int step = 1;; step++) {
    fail_at(step);
    auto made = runtime->create_container(sandbox.str(), container());
    if (made) break;
    seen.insert(machine.failed);
    EXPECT_EQ(left(), before) << "after a failed " << machine.failed;
    EXPECT_TRUE(machine.roots[sandbox.str()].empty()) << machine.failed;
    EXPECT_TRUE(runtime->snapshot()->containers.empty());
  }
  EXPECT_EQ(seen, (std::set<std::string>{"check mounts", "create container", "mount rootfs", "observe devices"}));
}

TEST_F(EveryStep, OfStartContainer) {
  auto sandbox = runtime->run_sandbox(pod()).value();
  std::set<std::string> seen;
  int attempt = 0;
  for (int step = 1;; step++) {
    auto spec = container();
    spec.metadata.attempt = static_cast<std::uint32_t>(attempt++);
    fail_at(0);
    auto id = runtime->create_container(sandbox.str(), spec).value();
    const auto before = left();
    fail_at(step);
    auto started = runtime->start_container(id.str());
    if (!machine.failed.empty()) seen.insert(machine.failed);
    if (machine.failed == "check mounts") {
      EXPECT_TRUE(started) << "what is wrong with a source that answers is the child's to tell";
      continue;
    }
    if (started) break;
    EXPECT_EQ(left(), before) << "after a failed " << machine.failed;
    auto view = runtime->container(id.str()).value();
    if (view->state == ContainerState::exited) {
      EXPECT_EQ(view->reason, "StartError");
    }
  }
  EXPECT_EQ(seen, (std::set<std::string>{"apply cgroup", "check mounts", "observe devices", "open cgroup",
                                         "start container"}));
  EXPECT_EQ(runtime->snapshot()->containers.back()->state, ContainerState::running);
}

// The daemon dies instead: what the intent names is gone after the next start.
TEST_F(EveryStep, AnIntentOnDiskIsRolledBackAtStart) {
  auto id = runtime->run_sandbox(pod()).value();
  const std::string path = dir + "/root/sandboxes/" + id.str() + "/record.json";
  auto record = state::decode_sandbox(sys::read_file(path).value()).value();
  record.created = record.ready = false;
  ASSERT_TRUE(sys::write_file(path, state::encode(record), 0600));
  start();
  EXPECT_EQ(left(), std::vector<std::string>{});
  EXPECT_EQ(machine.plugin_calls.back(), "DEL " + id.str());
}

}  // namespace
}  // namespace podshim::lifecycle::test
