#include "shim/lifecycle/operations.h"

#include <gtest/gtest.h>

#include <thread>

namespace podshim::lifecycle {
namespace {

using std::chrono::milliseconds;

std::string differ(int running, int asked) {
  return running == asked ? "" : std::to_string(running) + " became " + std::to_string(asked);
}

TEST(Operations, JoinersGetTheOneResult) {
  Operations<int> ops("test");
  constexpr int kJoiners = 20;
  std::atomic<int> worked{0}, joined{0}, wrong{0};
  auto call = [&](bool first) {
    auto r = ops.run(
        "key", 1,
        [&](int running) {  // asked of each that finds the key taken
          joined++;
          return differ(running, 1);
        },
        [&](Stage&) -> Result<int> {
          while (first && joined < kJoiners) std::this_thread::sleep_for(milliseconds(1));
          return ++worked;
        });
    if (!r || *r != 1) wrong++;
  };
  std::vector<std::thread> callers;
  callers.emplace_back(call, true);
  while (ops.running().empty()) std::this_thread::sleep_for(milliseconds(1));
  for (int i = 0; i < kJoiners; i++) callers.emplace_back(call, false);
  for (auto& t : callers) t.join();
  EXPECT_EQ(worked, 1);
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(ops.running().empty());
}

TEST(Operations, JoinersGetTheOneErrorAndTheNextTryIsNew) {
  Operations<int> ops("test");
  int tries = 0;
  auto fails = [&](Stage&) -> Result<int> {
    tries++;
    return fail(Error::sys("open", "x", {}, EIO));
  };
  EXPECT_TRUE(ops.run("key", fails).error().is(EIO));
  EXPECT_TRUE(ops.run("key", fails).error().is(EIO));
  EXPECT_EQ(tries, 2);
}

TEST(Operations, AnotherRequestIsToldStageAgeAndDifference) {
  Operations<int> ops("test");
  std::atomic<bool> inside{false}, go{false};
  std::thread worker([&] {
    (void)ops.run(
        "key", 1, [](int) { return std::string(); },
        [&](Stage& stage) -> Result<int> {
          stage.enter("cni");
          inside = true;
          while (!go) std::this_thread::sleep_for(milliseconds(1));
          return 1;
        });
  });
  while (!inside) std::this_thread::sleep_for(milliseconds(1));
  auto other =
      ops.run("key", 2, [](int running) { return differ(running, 2); }, [](Stage&) -> Result<int> { return 2; });
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind, ErrorKind::already_exists);
  for (const char* word : {"stage cni", "1 became 2", " ms"})
    EXPECT_NE(other.error().text().find(word), std::string::npos) << other.error().text();
  auto running = ops.running();
  ASSERT_EQ(running.size(), 1U);
  EXPECT_EQ(running[0].stage, "cni");
  EXPECT_EQ(ops.run("other key", [](Stage&) -> Result<int> { return 3; }).value(), 3);
  go = true;
  worker.join();
}

TEST(Operations, AnExceptionBecomesAnError) {
  Operations<int> ops("test");
  auto r = ops.run("key", [](Stage&) -> Result<int> { throw std::runtime_error("boom"); });
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().kind, ErrorKind::internal);
  EXPECT_TRUE(ops.running().empty());
}

TEST(Operations, WhoJoinsWaitsNoLongerThanAClient) {
  Operations<int> ops("test", milliseconds(20));
  std::atomic<bool> begun{false}, answers{false};
  std::thread hanging([&] {
    auto r = ops.run("key", [&](Stage& stage) -> Result<int> {
      stage.enter("mount sources");
      begun = true;
      while (!answers) std::this_thread::sleep_for(milliseconds(1));
      return 7;
    });
    EXPECT_EQ(r.value_or(0), 7);
  });
  while (!begun) std::this_thread::sleep_for(milliseconds(1));
  auto retry = ops.run("key", [](Stage&) -> Result<int> { return 8; });
  ASSERT_FALSE(retry);
  EXPECT_EQ(retry.error().kind, ErrorKind::deadline_exceeded);
  EXPECT_NE(retry.error().text().find("stage mount sources"), std::string::npos) << retry.error().text();
  answers = true;
  hanging.join();
  EXPECT_EQ(ops.run("key", [](Stage&) -> Result<int> { return 9; }).value_or(0), 9);
}

TEST(Stage, Timings) {
  Stage stage;
  EXPECT_STREQ(stage.name(), "start");
  stage.enter("one");
  stage.enter("two");
  auto text = stage.timings();
  EXPECT_TRUE(text.starts_with("one=0.")) << text;
  EXPECT_NE(text.find(" two=0."), std::string::npos) << text;
  EXPECT_NE(text.find(" total="), std::string::npos) << text;
}

TEST(Stage, TimelineIsInOrderAndAddsUp) {
  Stage stage;
  stage.enter("one");
  stage.enter("two");
  const auto began = Stage::Clock::now();
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  stage.part("plugin", began, Stage::Clock::now());
  (void)stage.timings();  // does not change what the timeline says
  const auto t = stage.timeline("Test", 5'000'000'000);
  EXPECT_STREQ(stage.name(), "two");
  EXPECT_EQ(t.operation, "Test");
  EXPECT_LT(t.began_at_ns, 5'000'000'000);
  ASSERT_EQ(t.stages.size(), 3U);
  EXPECT_EQ(t.stages[0].name, "one");
  EXPECT_EQ(t.stages[1].name, "two");
  EXPECT_EQ(t.stages[2].name, "two/plugin");
  EXPECT_GE(t.stages[2].took, std::chrono::milliseconds(2));
  EXPECT_GE(t.stages[1].took, t.stages[2].took);
  for (const auto& s : t.stages) {
    EXPECT_GE(s.offset.count(), 0);
    EXPECT_LE(s.offset + s.took, t.took + std::chrono::microseconds(1)) << s.name;
  }
}

TEST(Operations, TellTheirStagesWhenTheyDidSomething) {
  Operations<int> ops("test");
  std::vector<std::string> told;
  ops.observe([&](const std::string& operation, const std::vector<StageSpan>& stages, std::chrono::microseconds) {
    std::string line = operation;
    for (const auto& s : stages) line += " " + s.name;
    told.push_back(line);
  });
  ops.run("a", [](Stage& s) -> Result<int> {
    s.enter("plan");
    s.enter("make");
    return 1;
  });
  ops.run("b", [](Stage&) -> Result<int> { return 1; });  // it was there already
  ops.run("c", [](Stage& s) -> Result<int> {
    s.enter("plan");
    return fail(Error::invalid("x", "y"));
  });
  EXPECT_EQ(told, std::vector<std::string>{"test plan make"});
}

}  // namespace
}  // namespace podshim::lifecycle
