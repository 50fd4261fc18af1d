#include "shim/state/instance.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace podshim::state {
namespace {

class InstanceTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "podshim-instance-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string dir_;
};

TEST_F(InstanceTest, TheIdIsKept) {
  std::string id;
  {
    auto first = Instance::open(dir_ + "/root", dir_ + "/state");
    ASSERT_TRUE(first) << first.error().text();
    id = first->id();
    EXPECT_EQ(id.size(), 6U);
    EXPECT_EQ(first->prefix(), "podshim-" + id + "-");
    EXPECT_EQ(first->replaced(), "");
  }
  EXPECT_EQ(Instance::open(dir_ + "/root", dir_ + "/state").value().id(), id);
}

TEST_F(InstanceTest, ASecondDaemonFailsAtOnceAndIsToldWhy) {
  auto first = Instance::open(dir_ + "/root", dir_ + "/state");
  ASSERT_TRUE(first);
  struct Case {
    const char* name;
    std::string root, state, named;
  } cases[] = {{"same root", dir_ + "/root", dir_ + "/state2", dir_ + "/root"},
               {"same state", dir_ + "/root2", dir_ + "/state", dir_ + "/state"}};
  for (const auto& c : cases) {
    auto second = Instance::open(c.root, c.state);
    ASSERT_FALSE(second) << c.name;
    EXPECT_EQ(second.error().kind, ErrorKind::unavailable) << c.name;
    EXPECT_EQ(second.error().subject, c.named) << c.name;
    EXPECT_NE(second.error().text().find("pid " + std::to_string(getpid())), std::string::npos)
        << second.error().text();
  }
}

TEST_F(InstanceTest, ADamagedIdIsReplacedAndTold) {
  (void)Instance::open(dir_, dir_).value();
  for (const char* text : {"", "ABCDEF", "1234567", "../../"}) {
    std::ofstream(dir_ + "/instance", std::ios::trunc) << text;
    auto opened = Instance::open(dir_, dir_);
    ASSERT_TRUE(opened) << text;
    EXPECT_EQ(opened->id().size(), 6U);
    EXPECT_NE(opened->replaced(), "") << text;
  }
}

}  // namespace
}  // namespace podshim::state
