// Timelines, events and counters of a runtime on a fake machine.
#include "tests/unit/shim-lifecycle/runtime_fixture.h"

namespace podshim::lifecycle::test {
namespace {

using enum PodEventType;
using std::chrono::seconds;

class Timeline : public RuntimeTest {
 protected:
  static std::vector<std::string> names(const OperationTimeline& t) {
    std::vector<std::string> out;
    for (const auto& s : t.stages) out.push_back(s.name);
    return out;
  }
};

TEST_F(Timeline, KeepsTheStagesOfAPodsStart) {
  const auto sandbox = runtime->run_sandbox(pod()).value();
  const auto id = runtime->create_container(sandbox.str(), container("app")).value();
  ASSERT_TRUE(runtime->start_container(id.str()));
  ASSERT_TRUE(runtime->start_container(id.str()));  // a retry is no second start
  auto all = runtime->timeline(sandbox);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].operation, "RunPodSandbox");
  EXPECT_EQ(all[0].container, "");
  EXPECT_EQ(names(all[0]), (std::vector<std::string>{"plan", "intent", "cgroup", "files", "network", "monitor", "pause",
                                                     "netns", "cni", "cni/one", "sandbox files", "record", "publish"}));
  EXPECT_EQ(all[1].operation, "CreateContainer");
  EXPECT_EQ(all[1].container, id.str());
  EXPECT_EQ(all[1].name, "app");
  EXPECT_EQ(names(all[1]),
            (std::vector<std::string>{"check", "mount sources", "intent", "root", "plan", "monitor", "record"}));
  EXPECT_EQ(all[2].operation, "StartContainer");
  EXPECT_EQ(names(all[2]), (std::vector<std::string>{"mount sources", "plan", "cgroup", "monitor", "record"}));
  ASSERT_TRUE(runtime->remove_container(id.str()));
  EXPECT_EQ(runtime->timeline(sandbox).size(), 1U);
  start();  // a restart forgets
  EXPECT_TRUE(runtime->timeline(sandbox).empty());
  EXPECT_TRUE(runtime->timeline(*SandboxId::parse(std::string(64, 'f'))).empty());
}

TEST_F(Timeline, ALifeIsTold) {
  auto reader = runtime->subscribe([] {}).value();
  const auto sandbox = runtime->run_sandbox(pod()).value();
  const auto first = runtime->create_container(sandbox.str(), container("a")).value();
  const auto second = runtime->create_container(sandbox.str(), container("b")).value();
  ASSERT_TRUE(runtime->start_container(first.str()));
  machine.end(sandbox, first, 3);
  ASSERT_TRUE(runtime->start_container(second.str()));
  std::vector<std::pair<std::string, PodEventType>> told;
  const auto read = [&] {
    told.clear();
    while (auto event = reader->next().value()) told.emplace_back(event->id, event->type);
  };
  read();
  const std::string s = sandbox.str(), a = first.str(), b = second.str();
  EXPECT_EQ(told,
            (decltype(told){
                {s, created}, {s, started}, {a, created}, {b, created}, {a, started}, {a, stopped}, {b, started}}));
  EXPECT_EQ(runtime->containers_of(sandbox).size(), 2U);
  ASSERT_TRUE(runtime->stop_sandbox(s));
  read();
  EXPECT_EQ(told, (decltype(told){{b, stopped}, {s, stopped}}));
  ASSERT_TRUE(runtime->remove_sandbox(s));
  read();
  EXPECT_EQ(told, (decltype(told){{a, deleted}, {b, deleted}, {s, deleted}}));
  EXPECT_EQ(runtime->counters().subscribers, 1U);
  EXPECT_EQ(runtime->counters().network_debts, 0U);
}

}  // namespace
}  // namespace podshim::lifecycle::test
