// Ends of containers that share a pid namespace: their tree is killed, and none waits for that of another.
#include <thread>

#include "tests/unit/shim-lifecycle/runtime_fixture.h"

namespace podshim::lifecycle::test {
namespace {

class SharedPid : public RuntimeTest {
 protected:
  std::string start_one(const std::string& name) {
    auto spec = container(name);
    spec.security.namespaces.pid = NamespaceMode::pod;
    auto id = runtime->create_container(sandbox.str(), spec);
    EXPECT_TRUE(id) << id.error().text();
    EXPECT_TRUE(runtime->start_container(id->str()));
    return id->str();
  }
  void end(const std::string& id, int code) { machine.end(sandbox, *ContainerId::parse(id), code); }
  ContainerState state(const std::string& id) { return runtime->container(id).value()->state; }
  bool soon_exited(const std::string& id) {
    for (int i = 0; i < 5000; i++, std::this_thread::sleep_for(milliseconds(1)))
      if (state(id) == ContainerState::exited) return true;
    return false;
  }
  void SetUp() override {
    RuntimeTest::SetUp();
    auto spec = pod();
    spec.namespaces.pid = NamespaceMode::pod;
    sandbox = runtime->run_sandbox(spec).value();
  }
  SandboxId sandbox;
};

TEST_F(SharedPid, AnEndDoesNotWaitForTreesThatDoNotDie) {
  const auto stuck = start_one("stuck"), other = start_one("other");
  {
    std::lock_guard lock(machine.mutex);
    machine.undying = stuck;
    machine.waited = {};
  }
  end(stuck, 3);
  end(other, 0);
  EXPECT_TRUE(soon_exited(other));
  EXPECT_EQ(state(stuck), ContainerState::running) << "its tree is there";
  {
    std::lock_guard lock(machine.mutex);
    machine.undying.clear();
  }
  runtime->wait_idle();
  EXPECT_EQ(state(stuck), ContainerState::exited);
  EXPECT_EQ(runtime->container(stuck).value()->exit_code, 3);
  std::lock_guard lock(machine.mutex);
  EXPECT_EQ(machine.waited, milliseconds(0)) << "a thread stood there so long";
}

}  // namespace
}  // namespace podshim::lifecycle::test
