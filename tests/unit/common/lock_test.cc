#include "common/sys/lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/sys/file.h"

namespace podshim::sys {
namespace {

class LockFile : public testing::Test {
 protected:
  void SetUp() override { ASSERT_GE(::close(::mkstemp(path_.data())), 0); }
  void TearDown() override { ::unlink(path_.c_str()); }
  Fd open_it() { return open(path_, O_RDWR).value(); }
  // A process that has the file for so long, as a child between clone and exec has it.
  static pid_t heir(int ms) {
    pid_t child = ::fork();
    if (child == 0) {
      ::usleep(static_cast<useconds_t>(ms) * 1000);
      ::_exit(0);
    }
    return child;
  }

  std::string path_ = testing::TempDir() + "podshim-lock-XXXXXX";
};

TEST_F(LockFile, OneHolderAtATime) {
  Fd mine = open_it(), other = open_it();
  EXPECT_TRUE(lock_file(mine, path_).value());
  auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(lock_file(other, path_).value());
  EXPECT_GE(std::chrono::steady_clock::now() - begin, kLockPatience);
  mine.reset();
  EXPECT_TRUE(lock_file(other, path_).value());
}

TEST_F(LockFile, WaitsForTheHeirsOfADeadHolder) {
  Fd mine = open_it(), other = open_it();
  ASSERT_TRUE(lock_file(mine, path_).value());
  const auto forked = std::chrono::steady_clock::now();
  pid_t child = heir(50);
  mine.reset();  // the holder's end; the child still has the open file
  // On a busy machine the child may need more than the patience: then it is asked again, and each refusal has waited.
  bool locked = false;
  for (int i = 0; i < 20 && !locked; i++) {
    const auto begin = std::chrono::steady_clock::now();
    locked = lock_file(other, path_).value();
    const auto end = std::chrono::steady_clock::now();
    if (locked) {
      EXPECT_GE(end - forked, std::chrono::milliseconds(50));
    } else {
      EXPECT_GE(end - begin, kLockPatience);
    }
  }
  EXPECT_TRUE(locked);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
}

TEST_F(LockFile, SaysWhatFailed) {
  auto got = lock_file(Fd(), path_);
  ASSERT_FALSE(got);
  EXPECT_TRUE(got.error().is(EBADF)) << got.error().text();
  EXPECT_NE(got.error().text().find(path_), std::string::npos);
}

}  // namespace
}  // namespace podshim::sys
