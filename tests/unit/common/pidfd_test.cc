// A process by pid and start time, when the number has become somebody else's.
#include "common/sys/pidfd.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <future>
#include <thread>

namespace podshim::sys {
namespace {

TEST(Pidfd, AProcessIsItsPidAndItsStart) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  auto id = process_id(child);
  ASSERT_TRUE(id);
  EXPECT_TRUE(pidfd_open(*id));
  EXPECT_TRUE(pidfd_open(ProcessId{.pid = child, .start_ticks = id->start_ticks + 1}).error().is(ESRCH));
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(pidfd_open(*id).error().is(ESRCH));
}

TEST(Pidfd, ANumberThatIsAThreadsNowIsAProcessThatHasEnded) {
  std::promise<pid_t> number;
  std::promise<void> go_on;
  std::thread thread([&] {
    number.set_value(::gettid());
    go_on.get_future().wait();
  });
  auto opened = pidfd_open(ProcessId{.pid = number.get_future().get(), .start_ticks = 1});
  go_on.set_value();
  thread.join();
  ASSERT_FALSE(opened);
  EXPECT_TRUE(opened.error().is(ESRCH)) << opened.error().text();
}

}  // namespace
}  // namespace podshim::sys
