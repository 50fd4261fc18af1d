#include "common/sys/terminal.h"

#include <gtest/gtest.h>
#include <sys/types.h>

#include <initializer_list>

namespace podshim::sys {
namespace {

struct Outcome {
  ssize_t n;
  int error;   // errno, when n is -1
  bool taken;  // every answer of the kernel was asked for
};

// What the kernel answers, one read after the other: a count, or -errno.
Outcome answered(std::initializer_list<int> answers) {
  const int* next = answers.begin();
  const ssize_t n = read_to_hangup([&]() -> ssize_t {
    const int answer = next == answers.end() ? -ENXIO : *next++;
    if (answer >= 0) return answer;
    errno = -answer;
    return -1;
  });
  return {n, n == -1 ? errno : 0, next == answers.end()};
}

TEST(TerminalHangup, BytesThatCameWithItAreRead) {
  const auto late = answered({-EIO, 6});
  EXPECT_EQ(late.n, 6);
  EXPECT_TRUE(late.taken);
}

TEST(TerminalHangup, TwiceIsTheEnd) {
  const auto end = answered({-EIO, -EIO});
  EXPECT_EQ(end.n, -1);
  EXPECT_EQ(end.error, EIO);
  EXPECT_TRUE(end.taken);
}

TEST(TerminalHangup, NothingElseIsAskedTwice) {
  for (const int answer : {5, 0, -EAGAIN, -EBADF}) {
    const auto once = answered({answer});
    EXPECT_EQ(once.n, answer < 0 ? -1 : answer);
    EXPECT_EQ(once.error, answer < 0 ? -answer : 0);
  }
}

}  // namespace
}  // namespace podshim::sys
