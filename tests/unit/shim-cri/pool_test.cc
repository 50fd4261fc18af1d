// Bounds of the pool: threads come with work and go when idle; nothing is lost; a full queue refuses.
#include "shim/cri/pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

namespace podshim::cri {
namespace {

using namespace std::chrono_literals;

TEST(Pool, RunsAllWorkOnAFewThreads) {
  Pool pool({.name = "t", .max_threads = 3, .max_queue = 2000});
  EXPECT_EQ(pool.threads(), 0u);
  std::atomic<int> done = 0, at_once = 0, most = 0;
  for (int i = 0; i < 1000; i++) {
    ASSERT_TRUE(pool.submit([&] {
      int now = ++at_once, seen = most;
      while (now > seen && !most.compare_exchange_weak(seen, now)) {
      }
      --at_once;
      done++;
    }));
  }
  EXPECT_TRUE(pool.drain(10s));
  EXPECT_EQ(done, 1000);
  EXPECT_LE(most, 3);
}

TEST(Pool, WorkThatWaitsDoesNotHoldUpOthersWhileThereAreThreads) {
  Pool pool({.name = "t", .max_threads = 9});
  std::promise<void> gate;
  auto open = gate.get_future().share();
  for (int i = 0; i < 8; i++) ASSERT_TRUE(pool.submit([open] { open.wait(); }));
  std::promise<void> ran;
  ASSERT_TRUE(pool.submit([&] { ran.set_value(); }));
  EXPECT_EQ(ran.get_future().wait_for(5s), std::future_status::ready);
  gate.set_value();
}

TEST(Pool, AFullQueueRefuses) {
  Pool pool({.name = "t", .max_threads = 1, .max_queue = 2});
  std::promise<void> gate, started;
  auto open = gate.get_future().share();
  ASSERT_TRUE(pool.submit([&, open] {
    started.set_value();
    open.wait();
  }));
  started.get_future().wait();
  EXPECT_TRUE(pool.submit([] {}));
  EXPECT_TRUE(pool.submit([] {}));
  EXPECT_FALSE(pool.submit([] {}));
  gate.set_value();
}

TEST(Pool, IdleThreadsGo) {
  Pool pool({.name = "t", .max_threads = 4, .linger = 20ms});
  std::promise<void> gate;
  auto open = gate.get_future().share();
  for (int i = 0; i < 4; i++) ASSERT_TRUE(pool.submit([open] { open.wait(); }));
  EXPECT_GT(pool.threads(), 0u);
  gate.set_value();
  for (int i = 0; i < 1000 && pool.threads() != 0; i++) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(pool.threads(), 0u);
  std::promise<void> ran;
  ASSERT_TRUE(pool.submit([&] { ran.set_value(); }));  // and come back
  EXPECT_EQ(ran.get_future().wait_for(5s), std::future_status::ready);
}

TEST(Pool, DrainSaysWhenWorkIsLeft) {
  Pool pool({.name = "t", .max_threads = 1});
  std::promise<void> gate;
  auto open = gate.get_future().share();
  ASSERT_TRUE(pool.submit([open] { open.wait(); }));
  EXPECT_FALSE(pool.drain(20ms));
  EXPECT_FALSE(pool.submit([] {}));
  gate.set_value();
  EXPECT_TRUE(pool.drain(5s));
}

}  // namespace
}  // namespace podshim::cri
