#include "common/sys/descriptors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <thread>

namespace podshim::sys {
namespace {

std::size_t count(const std::string& dir) {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(dir)) n++;
  return n;
}

// A thread that waits in the kernel for ever holds no file of its process, and the others keep theirs.
TEST(Descriptors, AThreadThatLeavesHasNone) {
  std::promise<pid_t> id;
  std::promise<void> end;
  std::thread thread([&] {
    leave_descriptors();
    id.set_value(::gettid());
    end.get_future().wait();
  });
  const auto tasks = "/proc/self/task/" + std::to_string(id.get_future().get());
  EXPECT_EQ(count(tasks + "/fd"), 0u);
  EXPECT_GE(count("/proc/self/fd"), 3u);
  end.set_value();
  thread.join();
}

}  // namespace
}  // namespace podshim::sys
