#include "shim/lifecycle/chores.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>

namespace podshim::lifecycle {
namespace {

TEST(Chores, AllAreDoneAlsoThoseThatThrow) {
  std::atomic<int> done{0};
  {
    Chores chores(2);
    for (int i = 0; i < 100; i++)
      chores.post([&, i] {
        done++;
        if (i % 10 == 0) throw std::runtime_error("boom");
      });
    chores.wait_idle();
    EXPECT_EQ(done, 100);
    chores.stop();
    chores.post([&] { done++; });
  }
  EXPECT_EQ(done, 100);
}

TEST(Chores, StopWaitsForWhatRunsAndDropsTheRest) {
  Chores chores(1);
  std::atomic<int> done{0};
  std::promise<void> runs, go_on;
  chores.post([&] {
    runs.set_value();
    go_on.get_future().wait();
    done++;
  });
  for (int i = 0; i < 10; i++) chores.post([&] { done++; });
  runs.get_future().wait();
  std::thread stopper([&] { chores.stop(); });
  // Once it has begun, nothing is kept: the last of what was posted before, and what is posted now.
  const auto kept = std::make_shared<int>();
  const auto taken = [&] {
    const auto before = kept.use_count();
    chores.post([kept] {});
    return kept.use_count() > before;
  };
  while (taken()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  go_on.set_value();
  stopper.join();
  EXPECT_EQ(done, 1);
}

TEST(Chores, AChoreMayPostAnother) {
  Chores chores(1);
  std::atomic<int> done{0};
  chores.post([&] { chores.post([&] { done++; }); });
  chores.wait_idle();
  EXPECT_EQ(done, 1);
}

}  // namespace
}  // namespace podshim::lifecycle
