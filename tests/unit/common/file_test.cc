#include "common/sys/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>

namespace podshim::sys {
namespace {

class File : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/podshim-file-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = name;
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(dir_)); }
  std::string dir_;
};

TEST_F(File, WriteReadAndLimits) {
  std::string path = dir_ + "/a";
  ASSERT_TRUE(write_file(path, std::string(50000, 'x'), 0600));
  EXPECT_EQ(read_file(path)->size(), 50000U);
  EXPECT_TRUE(read_file(path, 49999).error().is(EFBIG));
  auto missing = read_file(dir_ + "/none");
  EXPECT_TRUE(missing.error().is(ENOENT));
  EXPECT_EQ(missing.error().subject, dir_ + "/none");
}

TEST_F(File, AtomicWriteReplacesOrLeavesTheOldOne) {
  std::string path = dir_ + "/a";
  ASSERT_TRUE(write_file_atomic(path, "one"));
  ASSERT_TRUE(write_file_atomic(path, "two", 0600, true));
  EXPECT_EQ(*read_file(path), "two");
  EXPECT_EQ(list_dir(dir_)->size(), 1U);  // no temporary file is left
  EXPECT_FALSE(write_file_atomic(dir_ + "/none/a", "x"));
  ASSERT_TRUE(make_dir(dir_ + "/d"));
  EXPECT_FALSE(write_file_atomic(dir_ + "/d", "x"));  // a directory cannot be replaced
  EXPECT_EQ(list_dir(dir_)->size(), 2U);
}

TEST_F(File, RemovingIsIdempotentAndDoesNotFollowLinks) {
  ASSERT_TRUE(make_dirs(dir_ + "/t/u/v"));
  ASSERT_TRUE(make_dirs(dir_ + "/t/u/v"));
  ASSERT_TRUE(write_file(dir_ + "/keep", "x", 0600));
  ASSERT_EQ(::symlink((dir_ + "/keep").c_str(), (dir_ + "/t/u/link").c_str()), 0);
  EXPECT_TRUE(remove_dir(dir_ + "/t").error().is(ENOTEMPTY));
  for (int i = 0; i < 2; i++) {
    EXPECT_TRUE(remove_tree(dir_ + "/t"));
    EXPECT_TRUE(remove_file(dir_ + "/none"));
    EXPECT_TRUE(remove_dir(dir_ + "/none"));
  }
  EXPECT_TRUE(exists(dir_ + "/keep"));
  EXPECT_TRUE(list_dir(dir_ + "/none").error().is(ENOENT));
}

TEST_F(File, OpenInRootStaysInside) {
  ASSERT_TRUE(make_dir(dir_ + "/root"));
  ASSERT_TRUE(write_file(dir_ + "/secret", "outside", 0600));
  ASSERT_TRUE(write_file(dir_ + "/root/secret", "inside", 0600));
  ASSERT_EQ(::symlink("../../secret", (dir_ + "/root/up").c_str()), 0);
  ASSERT_EQ(::symlink("/secret", (dir_ + "/root/absolute").c_str()), 0);
  auto root = open(dir_ + "/root", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(root);
  for (const char* path : {"up", "absolute", "../secret", "/secret"}) {
    auto fd = open_in_root(*root, path, O_RDONLY);
    ASSERT_TRUE(fd) << path;
    EXPECT_EQ(*read_all(*fd, path), "inside") << path;
  }
}

// A container can nest directories without bound: neither the stack of a pool's thread nor descriptors may bound it.
TEST_F(File, ATreeDeeperThanAStackIsRemoved) {
  constexpr int kLevels = 20'000;
  Fd at = open(dir_, O_RDONLY | O_DIRECTORY).value();
  ASSERT_EQ(::mkdirat(at.get(), "deep", 0755), 0);
  at = open_at(at, "deep", O_RDONLY | O_DIRECTORY).value();
  for (int i = 0; i < kLevels; i++) {
    ASSERT_EQ(::mkdirat(at.get(), "d", 0755), 0);
    if (i % 1000 == 0) Fd file = open_at(at, "file", O_WRONLY | O_CREAT, 0600).value();
    at = open_at(at, "d", O_RDONLY | O_DIRECTORY).value();
  }
  at.reset();
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 256 * 1024);
  std::string path = dir_ + "/deep", error = "not run";
  std::function<void()> work = [&] {
    auto removed = remove_tree(path);
    error = removed ? "" : removed.error().text();
  };
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, &small,
                [](void* f) -> void* {
                  (*static_cast<std::function<void()>*>(f))();
                  return nullptr;
                },
                &work),
            0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&small);
  EXPECT_EQ(error, "");
  EXPECT_FALSE(exists(path));
}

}  // namespace
}  // namespace podshim::sys
