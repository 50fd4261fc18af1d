#include "shim/lifecycle/chores.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

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
    for (int i = 0; i < 10; i++) chores.post([&] { done++; });
    chores.stop();
    EXPECT_EQ(done, 110);
    chores.post([&] { done++; });
  }
  EXPECT_EQ(done, 110);
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
