// In-place resize over CRI, as a kubelet does it, and by crictl: what is answered is in force, shown and kept.
#include <regex>

#include "tests/support/node_suite.h"

namespace podshim::test {
namespace {

constexpr std::int64_t kMiB = 1 << 20;

class UpdateTest : public NodeSuite {
 protected:
  grpc::Status update(const std::string& id, const std::function<void(cri::LinuxContainerResources&)>& change) {
    cri::UpdateContainerResourcesRequest request;
    cri::UpdateContainerResourcesResponse response;
    request.set_container_id(id);
    change(*request.mutable_linux());
    return node->cri().call(&cri::RuntimeService::Stub::UpdateContainerResources, request, &response);
  }
  cri::LinuxContainerResources shown(const std::string& id) {
    return node->cri().container_status(id).resources().linux();
  }
  // The files of the container's cgroup, of v1 or v2, the first one that is there.
  std::string in_force(const std::string& id, const std::string& one, const std::string& two) {
    auto out = node->run({"sh", "-c",
                          "find /sys/fs/cgroup -path '*" + id + "/*' \\( -name " + one + " -o -name " + two +
                              " \\) | head -n 1 | xargs cat"});
    return out.out.substr(0, out.out.find('\n'));
  }
  std::string memory(const std::string& id) { return in_force(id, "memory.limit_in_bytes", "memory.max"); }
  bool v1() { return node->run({"test", "-d", "/sys/fs/cgroup/memory"}).exit_code == 0; }

  static cri::ContainerConfig limited(const std::string& name) {
    auto config = sleeper(name);
    auto& limits = *config.mutable_linux()->mutable_resources();
    limits.set_cpu_shares(256);
    limits.set_memory_limit_in_bytes(64 * kMiB);
    return config;
  }
};

TEST_F(UpdateTest, OfARunningContainer) {
  auto pod = run_pod();
  auto id = start(pod, limited("c"));
  ASSERT_EQ(memory(id), std::to_string(64 * kMiB));
  auto status = update(id, [](auto& r) {
    r.set_cpu_period(100000);
    r.set_cpu_quota(50000);
    r.set_cpu_shares(1024);
    r.set_memory_limit_in_bytes(128 * kMiB);
    r.set_oom_score_adj(5);
  });
  ASSERT_TRUE(status.ok()) << status.error_message();
  for (int round = 0; round < 2; round++) {
    EXPECT_EQ(shown(id).cpu_quota(), 50000);
    EXPECT_EQ(shown(id).cpu_shares(), 1024);
    EXPECT_EQ(shown(id).memory_limit_in_bytes(), 128 * kMiB);
    EXPECT_EQ(shown(id).oom_score_adj(), 0);
    EXPECT_EQ(memory(id), std::to_string(128 * kMiB));
    EXPECT_EQ(in_force(id, "cpu.cfs_quota_us", "cpu.max"), v1() ? "50000" : "50000 100000");
    EXPECT_EQ(in_force(id, "cpu.shares", "cpu.weight"), v1() ? "1024" : "39");
    node->stop_daemon(SIGKILL);
    ASSERT_TRUE(node->start_daemon()) << node->log();
  }
  // What is not named stays.
  ASSERT_TRUE(update(id, [](auto& r) { r.set_memory_limit_in_bytes(32 * kMiB); }).ok());
  EXPECT_EQ(shown(id).cpu_quota(), 50000);
  EXPECT_EQ(memory(id), std::to_string(32 * kMiB));
  // The container's own view of its stats follows.
  cri::ContainerStatsRequest request;
  cri::ContainerStatsResponse stats;
  request.set_container_id(id);
  ASSERT_TRUE(node->cri().call(&cri::RuntimeService::Stub::ContainerStats, request, &stats).ok());
  EXPECT_LE(stats.stats().memory().available_bytes().value(), 32U * kMiB);
  ASSERT_TRUE(update(id, [](auto& r) { r.set_memory_limit_in_bytes(256 * kMiB); }).ok());
  ASSERT_TRUE(node->cri().call(&cri::RuntimeService::Stub::ContainerStats, request, &stats).ok());
  EXPECT_GT(stats.stats().memory().available_bytes().value(), 64U * kMiB);
}

TEST_F(UpdateTest, OfACreatedOneIsWhatItStartsWith) {
  auto pod = run_pod();
  auto id = create(pod, limited("c"));
  ASSERT_TRUE(update(id, [](auto& r) { r.set_memory_limit_in_bytes(96 * kMiB); }).ok());
  EXPECT_EQ(shown(id).memory_limit_in_bytes(), 96 * kMiB);
  EXPECT_EQ(shown(id).cpu_shares(), 256);
  EXPECT_EQ(node->cri().create_container(pod.id, limited("c"), pod.config).id, id);  // a client's retry
  ASSERT_TRUE(node->cri().start(id).ok());
  EXPECT_EQ(memory(id), std::to_string(96 * kMiB));
}

TEST_F(UpdateTest, RefusalsNameFieldAndValueAndChangeNothing) {
  auto pod = run_pod();
  auto config =
      script("c", "dd if=/dev/zero of=/dev/shm/f bs=1M count=24 2>/dev/null; echo ok > /tmp/ready; exec sleep 1000");
  config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(64 * kMiB);
  auto id = start(pod, config);
  shell(id, "until [ -e /tmp/ready ]; do sleep 0.05; done");
  struct Case {
    const char* name;
    std::function<void(cri::LinuxContainerResources&)> change;
    grpc::StatusCode code;
    const char *field, *value;
  } cases[] = {
      {"period", [](auto& r) { r.set_cpu_period(5); }, grpc::INVALID_ARGUMENT, "linux.cpu_period", "5"},
      {"cpus", [](auto& r) { r.set_cpu_shares(99), r.set_cpuset_cpus("4000"); }, grpc::INVALID_ARGUMENT,
       "linux.cpuset_cpus", "4000"},
      {"not a set", [](auto& r) { r.set_cpuset_cpus("a"); }, grpc::INVALID_ARGUMENT, "linux.cpuset_cpus", "\"a\""},
      {"below the use", [](auto& r) { r.set_cpu_shares(99), r.set_memory_limit_in_bytes(8 * kMiB); },
       grpc::FAILED_PRECONDITION, "linux.memory_limit_in_bytes", "8388608"},
  };
  const auto before = shown(id).SerializeAsString();
  const auto shares = in_force(id, "cpu.shares", "cpu.weight");
  for (const auto& c : cases) {
    auto status = update(id, c.change);
    EXPECT_EQ(status.error_code(), c.code) << c.name << ": " << status.error_message();
    EXPECT_NE(status.error_message().find(c.field), std::string::npos) << c.name << ": " << status.error_message();
    EXPECT_NE(status.error_message().find(c.value), std::string::npos) << c.name << ": " << status.error_message();
    EXPECT_EQ(shown(id).SerializeAsString(), before) << c.name;
    EXPECT_EQ(in_force(id, "cpu.shares", "cpu.weight"), shares) << c.name;
    EXPECT_EQ(memory(id), std::to_string(64 * kMiB)) << c.name;
  }
  ASSERT_TRUE(node->cri().stop(id, 0).ok());
  auto status = update(id, [](auto& r) { r.set_cpu_shares(99); });
  EXPECT_EQ(status.error_code(), grpc::FAILED_PRECONDITION) << status.error_message();
  status = update(std::string(64, 'f'), [](auto&) {});
  EXPECT_EQ(status.error_code(), grpc::NOT_FOUND) << status.error_message();
}

TEST_F(UpdateTest, OfASandboxIsKeptAndShown) {
  auto pod = run_pod();
  cri::UpdatePodSandboxResourcesRequest request;
  cri::UpdatePodSandboxResourcesResponse response;
  request.set_pod_sandbox_id(pod.id);
  request.mutable_overhead()->set_memory_limit_in_bytes(7 * kMiB);
  request.mutable_resources()->set_cpu_shares(333);
  ASSERT_TRUE(node->cri().call(&cri::RuntimeService::Stub::UpdatePodSandboxResources, request, &response).ok());
  node->stop_daemon(SIGKILL);
  ASSERT_TRUE(node->start_daemon()) << node->log();
  cri::PodSandboxStatusRequest ask;
  cri::PodSandboxStatusResponse status;
  ask.set_pod_sandbox_id(pod.id);
  ask.set_verbose(true);
  ASSERT_TRUE(node->cri().call(&cri::RuntimeService::Stub::PodSandboxStatus, ask, &status).ok());
  const std::string info = status.info().at("info");
  EXPECT_NE(info.find("\"cpuShares\":333"), std::string::npos) << info;
  EXPECT_NE(info.find("\"memoryLimitInBytes\":7340032"), std::string::npos) << info;
}

// Software that is not ours.
TEST_F(UpdateTest, ByCrictl) {
  const auto crictl = find_tool("crictl");
  if (crictl.empty()) GTEST_SKIP() << "crictl is neither in PATH nor named by CRICTL: updates were not driven by it";
  auto pod = run_pod();
  auto id = start(pod, limited("c"));
  auto run = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {crictl, "--runtime-endpoint", "unix://" + node->socket(), "--timeout", "20s"});
    return node->run(words);
  };
  auto updated = run({"update", "--cpu-quota", "70000", "--cpu-period", "100000", "--memory", "104857600", id});
  ASSERT_EQ(updated.exit_code, 0) << updated.err;
  EXPECT_EQ(memory(id), "104857600");
  EXPECT_EQ(in_force(id, "cpu.cfs_quota_us", "cpu.max"), v1() ? "70000" : "70000 100000");
  auto inspected = run({"inspect", id});
  EXPECT_TRUE(std::regex_search(inspected.out, std::regex("\"memoryLimitInBytes\": \"104857600\""))) << inspected.out;
  EXPECT_NE(run({"update", "--cpuset-cpus", "4000", id}).exit_code, 0);
}

}  // namespace
}  // namespace podshim::test
