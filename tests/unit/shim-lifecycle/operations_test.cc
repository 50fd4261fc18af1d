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
  std::atomic<int> worked{0}, wrong{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 20; i++)
    callers.emplace_back([&] {
      auto r = ops.run(
          "key", 1, [](int running) { return differ(running, 1); },
          [&](Stage&) -> Result<int> {
            std::this_thread::sleep_for(milliseconds(100));
            return ++worked;
          });
      if (!r || *r != 1) wrong++;
    });
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

}  // namespace
}  // namespace podshim::lifecycle
