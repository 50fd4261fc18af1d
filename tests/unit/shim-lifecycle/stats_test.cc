// Stats over the fake machine: what is read when, what a Pod's figures are made of, and the rate of a CPU counter.
#include "tests/unit/shim-lifecycle/runtime_fixture.h"

namespace podshim::lifecycle::test {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

TEST(CpuRate, IsThatBetweenTwoReadings) {
  CpuRate rate;
  // The counter began at 0 one second ago.
  EXPECT_EQ(rate.note(11 * kSecond, 500'000'000, 10 * kSecond), 500'000'000U);
  // Too close to the reading before: the rate stays, and the window goes on.
  EXPECT_EQ(rate.note(11 * kSecond + 1000, 500'000'900, 10 * kSecond), 500'000'000U);
  EXPECT_EQ(rate.note(13 * kSecond, 4'500'000'000, 10 * kSecond), 2'000'000'000U);
  // Another thread read a moment earlier and comes later.
  EXPECT_EQ(rate.note(13 * kSecond - 1000, 4'499'999'000, 10 * kSecond), 2'000'000'000U);
  EXPECT_EQ(rate.note(13 * kSecond + 1000, 4'499'999'000, 10 * kSecond), 2'000'000'000U);
  // The clock was set back; the counter began anew.
  EXPECT_EQ(rate.note(5 * kSecond, 4'600'000'000, 10 * kSecond), std::nullopt);
  EXPECT_EQ(rate.note(6 * kSecond, 4'600'000'000, 10 * kSecond), 0U);
  EXPECT_EQ(rate.note(7 * kSecond, 1, 10 * kSecond), std::nullopt);
  // Nobody knows when the counter began: there is no rate before the second reading.
  CpuRate pod;
  EXPECT_EQ(pod.note(10 * kSecond, 77, 0), std::nullopt);
  EXPECT_EQ(pod.note(12 * kSecond, 77 + kSecond, 0), 500'000'000U);
}

class Stats : public RuntimeTest {
 protected:
  struct Pod {
    std::string id;
    std::vector<std::string> containers;
  };
  Pod make(const std::string& name, const std::string& parent, int containers) {
    auto spec = pod(name);
    spec.cgroup_parent = parent;
    Pod out{.id = runtime->run_sandbox(spec)->str(), .containers = {}};
    for (int i = 0; i < containers; i++) {
      out.containers.push_back(runtime->create_container(out.id, container("c" + std::to_string(i)))->str());
      EXPECT_TRUE(runtime->start_container(out.containers.back()));
    }
    return out;
  }
  std::string cgroup_of(const std::string& id) {
    std::lock_guard lock(machine.mutex);
    return machine.running.at(id);
  }
  ContainerStats of(const std::string& id) { return runtime->stats({runtime->container(id).value()}).at(0); }
  SandboxStats of_pod(const std::string& id) { return runtime->sandbox_stats({runtime->sandbox(id).value()}).at(0); }
  int whole() {
    std::lock_guard lock(machine.mutex);
    return machine.whole_readings;
  }
  void later(std::int64_t ns) {
    std::lock_guard lock(machine.mutex);
    machine.clock += ns;
  }
};

TEST_F(Stats, AnEarlierReadingIsLeanedOnForAWhile) {
  auto web = make("web", "", 1);
  const std::string id = web.containers[0];
  EXPECT_EQ(of(id).usage->cpu_usage_ns, 7U);
  EXPECT_EQ(whole(), 1);
  of(id);
  EXPECT_EQ(whole(), 1);
  later(31 * kSecond);
  of(id);
  EXPECT_EQ(whole(), 2);
  // Ended: no figures, and none of the old ones after that.
  ASSERT_TRUE(runtime->stop_container(id, std::chrono::seconds(0)));
  EXPECT_FALSE(of(id).usage);
}

TEST_F(Stats, ANewLayerIsEmpty) {
  auto web = make("web", "", 1);
  ASSERT_TRUE(of(web.containers[0]).layer);
  EXPECT_EQ(of(web.containers[0]).layer->bytes, 0U);
  start();  // of what was there before nothing is known until it is measured
  EXPECT_FALSE(of(web.containers[0]).layer);
  runtime->measure_layers();
  EXPECT_TRUE(of(web.containers[0]).layer);
}

TEST_F(Stats, APodIsItsCgroupOrTheSumOfItsContainers) {
  auto own = make("own", "/kubepods/podown", 2), a = make("a", "/shared", 2), b = make("b", "/shared", 1),
       unset = make("unset", "", 1);
  {
    std::lock_guard lock(machine.mutex);
    machine.usage["/kubepods/podown"] = {.cpu_usage_ns = 1000, .memory_working_set_bytes = 70};
    machine.usage[machine.running.at(a.containers[0])] = {.cpu_usage_ns = 5, .memory_working_set_bytes = 30};
    machine.usage[machine.running.at(a.containers[1])] = {.cpu_usage_ns = 6, .memory_working_set_bytes = 4};
  }
  struct Case {
    std::string pod;
    std::uint64_t cpu, memory, tasks;
  } cases[] = {{own.id, 1000, 70, 2}, {a.id, 11, 34, 4}, {b.id, 7, 0, 2}, {unset.id, 7, 0, 2}};
  for (const auto& c : cases) {
    const auto stats = of_pod(c.pod);
    ASSERT_TRUE(stats.usage);
    EXPECT_EQ(stats.usage->cpu_usage_ns, c.cpu);
    EXPECT_EQ(stats.usage->memory_working_set_bytes, c.memory);
    EXPECT_EQ(stats.tasks, c.tasks);
  }
  // The other of the two has gone: what is left under the parent is this Pod's.
  ASSERT_TRUE(runtime->stop_sandbox(a.id));
  machine.usage["/shared"] = {.cpu_usage_ns = 99};
  EXPECT_EQ(of_pod(b.id).usage->cpu_usage_ns, 99U);
}

TEST_F(Stats, LinksAreTheOtherEndOfThePairThatThePluginNames) {
  machine.links = {{.kind = "bridge", .use = {.name = "br0", .rx_bytes = 1}},
                   {.kind = "veth", .use = {.name = "veth1", .rx_bytes = 10, .rx_dropped = 3, .tx_bytes = 20}},
                   {.kind = "veth", .use = {.name = "veth2", .rx_bytes = 30}}};
  struct Case {
    const char* name;
    const char* interfaces;
    std::vector<LinkUse> want;
  } cases[] = {
      {"bridge",
       R"("interfaces":[{"name":"br0"},{"name":"veth1"},{"name":"eth0","sandbox":"/x"}],)",
       {{.name = "eth0", .rx_bytes = 20, .tx_bytes = 10, .tx_dropped = 3}}},
      {"no end of the node", R"("interfaces":[{"name":"eth0","sandbox":"/x"}],)", {}},
      {"none", "", {}},
      {"a link that is gone", R"("interfaces":[{"name":"veth9"},{"name":"eth0","sandbox":"/x"}],)", {}},
      {"two pairs", R"("interfaces":[{"name":"veth1"},{"name":"veth2"},{"name":"eth0","sandbox":"/x"}],)", {}},
      {"two in the Pod",
       R"("interfaces":[{"name":"veth1"},{"name":"eth0","sandbox":"/x"},{"name":"net1","sandbox":"/x"}],)",
       {}},
  };
  for (const auto& c : cases) {
    machine.interfaces = c.interfaces;
    EXPECT_EQ(of_pod(make(c.name, "", 0).id).links, c.want) << c.name;
  }
}

// More than one thread reads: each is told once, in the order asked for.
TEST_F(Stats, ManyPodsAreToldInOrder) {
  std::vector<std::shared_ptr<const SandboxView>> pods;
  std::vector<std::shared_ptr<const ContainerView>> containers;
  for (int i = 0; i < 40; i++) {
    auto spec = pod();
    spec.metadata.name = "pod" + std::to_string(i);
    spec.metadata.uid = "uid" + std::to_string(i);
    const auto id = runtime->run_sandbox(spec).value();
    const auto c = runtime->create_container(id.str(), container("c"))->str();
    ASSERT_TRUE(runtime->start_container(c));
    pods.push_back(runtime->sandbox(id.str()).value());
    containers.push_back(runtime->container(c).value());
  }
  const auto of_pods = runtime->sandbox_stats(pods);
  const auto of_containers = runtime->stats(containers);
  ASSERT_EQ(of_pods.size(), pods.size());
  ASSERT_EQ(of_containers.size(), containers.size());
  for (std::size_t i = 0; i < pods.size(); i++) {
    EXPECT_EQ(of_pods[i].sandbox->id, pods[i]->id);
    EXPECT_EQ(of_containers[i].container->id, containers[i]->id);
    EXPECT_TRUE(of_containers[i].usage);
  }
}

}  // namespace
}  // namespace podshim::lifecycle::test
