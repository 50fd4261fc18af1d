// Stats and metrics of a real node, beside what the kernel tells inside the containers.
#include <set>
#include <sstream>
#include <thread>

#include "tests/support/node_suite.h"

namespace podshim::test {
namespace {

using Stub = cri::RuntimeService::Stub;
using std::chrono::seconds;

class Stats : public NodeSuite {
 protected:
  cri::ContainerStats of(const std::string& container) {
    cri::ContainerStatsRequest request;
    request.set_container_id(container);
    cri::ContainerStatsResponse response;
    auto status = node->cri().call(&Stub::ContainerStats, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.stats();
  }
  cri::PodSandboxStats of_pod(const std::string& pod) {
    cri::PodSandboxStatsRequest request;
    request.set_pod_sandbox_id(pod);
    cri::PodSandboxStatsResponse response;
    auto status = node->cri().call(&Stub::PodSandboxStats, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.stats();
  }
  bool eventually(const std::function<bool()>& holds, seconds patience = seconds(30)) {
    const auto end = std::chrono::steady_clock::now() + patience * slowness();
    while (!holds()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return true;
  }
  cri::ContainerConfig limited(const std::string& name) {
    auto config = script(name, "trap 'exit 0' TERM; while :; do :; done");
    config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(64 << 20);
    config.mutable_linux()->mutable_resources()->set_cpu_period(100000);
    config.mutable_linux()->mutable_resources()->set_cpu_quota(20000);
    config.mutable_linux()->mutable_resources()->set_cpu_shares(512);
    return config;
  }
  bool v2() { return node->run({"test", "-e", "/sys/fs/cgroup/cgroup.controllers"}).exit_code == 0; }
};

// As a kubelet does for an in-place resize of a Pod: it writes into the Pod's cgroup itself.
TEST_F(Stats, ALimitThatAKubeletWritesShowsAtTheNextCall) {
  auto pod = run_pod([](auto& config) {
    config.mutable_linux()->set_cgroup_parent(config.linux().cgroup_parent() + "/" + config.metadata().name());
  });
  start(pod, script("idle", "sleep 1000"));
  const std::string parent = pod.config.linux().cgroup_parent();
  const std::string file =
      v2() ? "/sys/fs/cgroup" + parent + "/memory.max" : "/sys/fs/cgroup/memory" + parent + "/memory.limit_in_bytes";
  for (const std::uint64_t mib : {512, 256, 300}) {
    ASSERT_EQ(node->run({"sh", "-c", "echo " + std::to_string(mib << 20) + " > " + file}).exit_code, 0);
    const auto memory = of_pod(pod.id).linux().memory();
    EXPECT_EQ(memory.available_bytes().value() + memory.working_set_bytes().value(), mib << 20);
  }
}

TEST_F(Stats, OfAContainer) {
  auto pod = run_pod();
  auto busy = start(pod, limited("busy"));
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  auto first = of(busy);
  // The kernel sums a cgroup's memory events up every two seconds, or when there are many.
  for (int i = 0; i < 100 && first.memory().page_faults().value() == 0; i++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    first = of(busy);
  }
  EXPECT_EQ(first.attributes().id(), busy);
  EXPECT_EQ(first.attributes().metadata().name(), "busy");
  EXPECT_GT(first.cpu().timestamp(), 0);
  EXPECT_GT(first.cpu().usage_core_nano_seconds().value(), 10'000'000u);
  // A fifth of a core: more than nothing, less than a whole one.
  EXPECT_GT(first.cpu().usage_nano_cores().value(), 10'000'000u);
  EXPECT_LT(first.cpu().usage_nano_cores().value(), 900'000'000u);
  EXPECT_GT(first.memory().usage_bytes().value(), 0u);
  EXPECT_GT(first.memory().page_faults().value(), 0u);
  EXPECT_EQ(first.memory().available_bytes().value() + first.memory().working_set_bytes().value(), 64u << 20);
  EXPECT_TRUE(first.swap().has_swap_usage_bytes());
  EXPECT_EQ(first.cpu().has_psi(), v2());
  EXPECT_EQ(first.io().has_psi(), v2());
  auto second = of(busy);
  EXPECT_GE(second.cpu().usage_core_nano_seconds().value(), first.cpu().usage_core_nano_seconds().value());

  // Without a limit nothing is "available"; and the limit of now is what counts.
  auto free = start(pod, sleeper("free"));
  EXPECT_FALSE(of(free).memory().has_available_bytes());
  cri::UpdateContainerResourcesRequest update;
  update.set_container_id(free);
  update.mutable_linux()->set_memory_limit_in_bytes(32 << 20);
  cri::UpdateContainerResourcesResponse updated;
  ASSERT_TRUE(node->cri().call(&Stub::UpdateContainerResources, update, &updated).ok());
  EXPECT_LE(of(free).memory().available_bytes().value(), 32u << 20);
  EXPECT_GT(of(free).memory().available_bytes().value(), 0u);
}

TEST_F(Stats, TheWritableLayerIsMeasuredBehindOurBack) {
  auto pod = run_pod();
  auto id = start(pod, sleeper("writes"));
  EXPECT_EQ(of(id).writable_layer().used_bytes().value(), 0u);
  EXPECT_TRUE(of(id).writable_layer().has_used_bytes());
  EXPECT_NE(of(id).writable_layer().fs_id().mountpoint(), "");
  EXPECT_EQ(shell(id, "dd if=/dev/zero of=/file bs=1M count=3 2>/dev/null; ln -s /etc /link; echo ok"), "ok\n");
  EXPECT_TRUE(eventually([&] { return of(id).writable_layer().used_bytes().value() >= 3u << 20; }, seconds(60)));
  EXPECT_LT(of(id).writable_layer().used_bytes().value(), 4u << 20);  // it went through no link
  EXPECT_GE(of(id).writable_layer().inodes_used().value(), 2u);
  // What has ended keeps its layer, and nothing else.
  ASSERT_TRUE(node->cri().stop(id, 5).ok());
  EXPECT_GE(of(id).writable_layer().used_bytes().value(), 3u << 20);
  EXPECT_FALSE(of(id).has_cpu());
}

TEST_F(Stats, OfAPodThatSharesItsCgroupParent) {
  auto pod = run_pod(), other = run_pod();  // one parent for both
  auto a = start(pod, limited("a"));
  auto b = start(pod, sleeper("b"));
  start(other, sleeper("c"));
  auto stats = of_pod(pod.id);
  EXPECT_EQ(stats.attributes().id(), pod.id);
  EXPECT_EQ(stats.attributes().metadata().name(), pod.config.metadata().name());
  ASSERT_EQ(stats.linux().containers_size(), 2);
  std::uint64_t cpu = 0, memory = 0;
  for (const auto& c : stats.linux().containers()) {
    cpu += c.cpu().usage_core_nano_seconds().value();
    memory += c.memory().working_set_bytes().value();
  }
  EXPECT_EQ(stats.linux().cpu().usage_core_nano_seconds().value(), cpu);
  EXPECT_EQ(stats.linux().memory().working_set_bytes().value(), memory);
  EXPECT_GE(stats.linux().process().process_count().value(), 2u);

  cri::ListPodSandboxStatsRequest request;
  cri::ListPodSandboxStatsResponse all;
  ASSERT_TRUE(node->cri().call(&Stub::ListPodSandboxStats, request, &all).ok());
  EXPECT_EQ(all.stats_size(), 2);
  request.mutable_filter()->set_id(other.id);
  ASSERT_TRUE(node->cri().call(&Stub::ListPodSandboxStats, request, &all).ok());
  ASSERT_EQ(all.stats_size(), 1);
  EXPECT_EQ(all.stats(0).attributes().id(), other.id);
  ASSERT_TRUE(node->cri().stop_sandbox(other.id).ok());
  ASSERT_TRUE(node->cri().call(&Stub::ListPodSandboxStats, request, &all).ok());
  EXPECT_EQ(all.stats_size(), 0);  // nothing of it runs
}

TEST_F(Stats, OfAPodWithACgroupOfItsOwn) {
  auto pod =
      run_pod([](auto& config) { config.mutable_linux()->set_cgroup_parent(config.linux().cgroup_parent() + "/own"); });
  start(pod, limited("a"));
  start(pod, sleeper("b"));
  std::uint64_t sum = 0;
  const auto first = of_pod(pod.id);
  for (const auto& c : first.linux().containers()) sum += c.cpu().usage_core_nano_seconds().value();
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  auto stats = of_pod(pod.id);
  EXPECT_GE(stats.linux().cpu().usage_core_nano_seconds().value(), sum);
  EXPECT_GT(stats.linux().cpu().usage_nano_cores().value(), 10'000'000u);
  EXPECT_GT(stats.linux().memory().working_set_bytes().value(), 0u);
  EXPECT_GE(stats.linux().process().process_count().value(), 2u);
}

// "eth0:" and its columns in /proc/net/dev: 1 received bytes, 9 sent ones.
std::pair<std::uint64_t, std::uint64_t> bytes_in(const std::string& net_dev) {
  std::istringstream lines(net_dev);
  for (std::string word; lines >> word;) {
    if (word != "eth0:") continue;
    std::uint64_t column[9] = {};
    for (auto& c : column) lines >> c;
    return {column[0], column[8]};
  }
  return {};
}

TEST_F(Stats, TheTrafficOfAPodIsWhatThePodSees) {
  auto pod = run_pod();
  auto id = start(pod, sleeper("c"));
  const std::string ip = node->cri().sandbox_status(pod.id).network().ip();
  node->run({"sh", "-c", "for i in 1 2 3 4; do head -c 1000 /dev/zero | nc -u -q 0 -w 1 " + ip + " 9; done"});
  auto before = bytes_in(shell(id, "cat /proc/net/dev"));
  auto stats = of_pod(pod.id).linux().network();
  auto after = bytes_in(shell(id, "cat /proc/net/dev"));
  EXPECT_EQ(stats.default_interface().name(), "eth0");
  EXPECT_EQ(stats.interfaces_size(), 0) << "those beside the default one";
  EXPECT_GT(before.first, 3000u);
  EXPECT_GE(stats.default_interface().rx_bytes().value(), before.first);
  EXPECT_LE(stats.default_interface().rx_bytes().value(), after.first);
  EXPECT_GE(stats.default_interface().tx_bytes().value(), before.second);
  EXPECT_LE(stats.default_interface().tx_bytes().value(), after.second);
}

TEST_F(Stats, CountersGoOnAfterARestartOfTheDaemon) {
  auto pod = run_pod();
  auto id = start(pod, limited("a"));
  auto before = of(id);
  auto traffic = of_pod(pod.id).linux().network().default_interface();
  node->stop_daemon(SIGKILL);
  ASSERT_TRUE(node->start_daemon()) << node->log();
  EXPECT_GE(of(id).cpu().usage_core_nano_seconds().value(), before.cpu().usage_core_nano_seconds().value());
  EXPECT_GE(of_pod(pod.id).linux().network().default_interface().rx_bytes().value(), traffic.rx_bytes().value());
}

TEST_F(Stats, EveryMetricHasItsLabels) {
  auto pod = run_pod();
  auto id = start(pod, limited("m"));
  cri::ListMetricDescriptorsResponse descriptors;
  ASSERT_TRUE(node->cri().call(&Stub::ListMetricDescriptors, cri::ListMetricDescriptorsRequest(), &descriptors).ok());
  std::map<std::string, int> keys;
  for (const auto& d : descriptors.descriptors()) {
    EXPECT_TRUE(keys.emplace(d.name(), d.label_keys_size()).second) << d.name() << " twice";
    EXPECT_NE(d.help(), "");
  }
  cri::ListPodSandboxMetricsResponse response;
  ASSERT_TRUE(node->cri().call(&Stub::ListPodSandboxMetrics, cri::ListPodSandboxMetricsRequest(), &response).ok());
  ASSERT_EQ(response.pod_metrics_size(), 1);
  const auto& metrics = response.pod_metrics(0);
  ASSERT_EQ(metrics.container_metrics_size(), 1);
  EXPECT_EQ(metrics.container_metrics(0).container_id(), id);
  std::map<std::string, std::uint64_t> values;
  auto look = [&](const auto& list) {
    for (const auto& m : list) {
      EXPECT_EQ(m.label_values_size(), keys[m.name()]) << m.name();
      // 0 says that it was read for the answer.
      EXPECT_EQ(m.timestamp() != 0, m.name() == "container_fs_usage_bytes") << m.name();
      values[m.name()] += m.value().value();
    }
  };
  look(metrics.metrics());
  look(metrics.container_metrics(0).metrics());
  // Some of the figures, as the container has them.
  EXPECT_EQ(values["container_processes"], 1u);
  EXPECT_EQ(values["container_threads"], 1u);
  EXPECT_GE(values["container_file_descriptors"], 3u);
  EXPECT_EQ(values["container_sockets"], 0u);
  EXPECT_EQ(values["container_spec_cpu_shares"], 512u);
  EXPECT_EQ(values["container_spec_cpu_quota"], 20000u);
  EXPECT_EQ(values["container_spec_memory_limit_bytes"], 64u << 20);
  EXPECT_GT(values["container_memory_max_usage_bytes"], 0u);
  EXPECT_GT(values["container_fs_limit_bytes"], values["container_fs_usage_bytes"]);
  EXPECT_GT(values["container_network_receive_packets_total"] + values["container_network_transmit_packets_total"], 0u);
  EXPECT_TRUE(eventually([&] {
    cri::ListPodSandboxMetricsResponse again;
    node->cri().call(&Stub::ListPodSandboxMetrics, cri::ListPodSandboxMetricsRequest(), &again);
    values.clear();
    if (again.pod_metrics_size() == 1) look(again.pod_metrics(0).container_metrics(0).metrics());
    return values["container_cpu_cfs_throttled_periods_total"] > 0 && values["container_cpu_usage_seconds_total"] > 0;
  }));
}

}  // namespace
}  // namespace podshim::test
