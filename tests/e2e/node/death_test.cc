// Whatever dies, and in whatever order: a Pod can be stopped and removed at once, and no process of it is left.
#include <signal.h>

#include <algorithm>
#include <random>
#include <thread>

#include "tests/support/long_run.h"
#include "tests/support/node_suite.h"

namespace podshim::test {
namespace {

class Death : public NodeSuite {
 protected:
  pid_t pause_of(const std::string& pod) {
    cri::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(pod);
    request.set_verbose(true);
    cri::PodSandboxStatusResponse response;
    EXPECT_TRUE(node->cri().call(&cri::RuntimeService::Stub::PodSandboxStatus, request, &response).ok());
    return pid_of(response.info());
  }
};

TEST_F(Death, AnyOfItsProcessesAtRandomKeepsNoPodFromItsEnd) {
  const int rounds = long_run() ? 1000 : 25;
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  for (int round = 0; round < rounds; round++) {
    SCOPED_TRACE("round " + std::to_string(round) + " of seed " + std::to_string(seed));
    auto pod = run_pod();
    auto id = start(pod, script("c", "sleep 1000 & (sleep 1000; sleep 1000) & setsid sleep 1000 & wait"));
    const pid_t pause = pause_of(pod.id), main = main_of(id), monitor = parent_of(pause);
    ASSERT_GT(pause, 1);
    ASSERT_GT(main, 1);
    ASSERT_GT(monitor, 1);
    std::vector<pid_t> victims = {pause, main, monitor};
    std::shuffle(victims.begin(), victims.end(), random);
    victims.resize(1 + random() % 3);
    for (pid_t victim : victims) {
      ::kill(victim, SIGKILL);
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    }
    const auto begin = std::chrono::steady_clock::now();
    auto stopped = node->cri().stop_sandbox(pod.id);
    const auto took = std::chrono::steady_clock::now() - begin;
    ASSERT_TRUE(stopped.ok()) << stopped.error_message() << node->log();
    EXPECT_LT(took, std::chrono::seconds(2) * slowness());
    auto removed = node->cri().remove_sandbox(pod.id);
    ASSERT_TRUE(removed.ok()) << removed.error_message() << node->log();
  }
  EXPECT_EQ(node->leaks(), std::vector<std::string>{});
}

// The container is killed for its memory again and again; the sandbox, and its address, do not notice.
TEST_F(Death, AMemoryHogDoesNotTakeItsPodAlong) {
  auto pod = run_pod();
  const auto ip = node->cri().sandbox_status(pod.id).network().ip();
  const pid_t pause = pause_of(pod.id);
  for (int i = 0; i < 20; i++) {
    auto config = script("hog-" + std::to_string(i), "dd if=/dev/zero of=/dev/null bs=60M count=1");
    config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(15 << 20);
    config.mutable_linux()->mutable_resources()->set_memory_swap_limit_in_bytes(15 << 20);
    auto id = start(pod, config);
    ASSERT_TRUE(node->cri().wait_state(id, cri::CONTAINER_EXITED, std::chrono::seconds(20)));
    EXPECT_EQ(node->cri().container_status(id).reason(), "OOMKilled");
    EXPECT_EQ(node->cri().container_status(id).exit_code(), 137);
  }
  auto status = node->cri().sandbox_status(pod.id);
  EXPECT_EQ(status.state(), cri::SANDBOX_READY);
  EXPECT_EQ(status.network().ip(), ip);
  EXPECT_EQ(pause_of(pod.id), pause);
}

}  // namespace
}  // namespace podshim::test
