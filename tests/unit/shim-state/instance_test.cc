#include "shim/state/instance.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/sys/file.h"
#include "shim/state/journal.h"
#include "tests/unit/shim-state/samples.h"

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
  Instance open() { return Instance::open(dir_ + "/root", dir_ + "/state").value(); }
  void put(const std::string& name, const std::string& text) const {
    std::ofstream(dir_ + name, std::ios::trunc) << text;
  }
  std::string get(const std::string& name) const { return sys::read_file(dir_ + name).value_or("none"); }
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

constexpr const char* kDamaged[] = {"", "ABCDEF", "1234567", "../../"};

TEST_F(InstanceTest, ADamagedOrMissingIdIsThatOfTheCopyAndTold) {
  const std::string id = open().id();
  std::vector<std::string> texts(std::begin(kDamaged), std::end(kDamaged));
  texts.emplace_back(100'000, '\0');
  for (const auto& text : texts) {
    put("/root/instance", text);
    auto opened = open();
    EXPECT_EQ(opened.id(), id) << text;
    EXPECT_EQ(opened.replaced(), "not 6 hex digits; " + id + " is from " + dir_ + "/state/instance-copy");
    EXPECT_EQ(get("/root/instance"), id + "\n");
    EXPECT_EQ(get("/root/quarantine/instance.json"), text);
    EXPECT_EQ(get("/root/quarantine/instance.reason"), opened.replaced() + "\n");
  }
  EXPECT_EQ(open().replaced(), "");
  std::filesystem::remove(dir_ + "/root/instance");
  auto opened = open();
  EXPECT_EQ(opened.id(), id);
  EXPECT_EQ(opened.replaced(), "missing; " + id + " is from " + dir_ + "/state/instance-copy");
}

TEST_F(InstanceTest, WithoutACopyItIsThatOfTheRecords) {
  const std::string id = open().id();
  auto journal = Journal::open(dir_ + "/root").value();
  auto of = [&](char digit, const std::string& instance, bool ready, std::int64_t created) {
    SandboxRecord r{.id = samples::sandbox_id(digit), .created_at_ns = created, .created = true, .ready = ready};
    if (!instance.empty()) r.netns_path = "/run/netns/podshim-" + instance + "-" + r.id.str();
    ASSERT_TRUE(journal.write(r));
  };
  of('1', "", true, 9);  // the host's network
  of('2', "0a0a0a", false, 8);
  of('3', id, true, 2);
  of('4', "0b0b0b", true, 1);
  put("/root/sandboxes/" + std::string(64, '1') + "/record.json", "{");
  const std::string another = "aaaaaa " + dir_ + "/root2\n";  // the state directory was another root's
  for (const std::string& copy : {std::string("rubbish"), std::string(), another}) {
    put("/root/instance", "");
    put("/state/instance-copy", copy);
    auto opened = open();
    EXPECT_EQ(opened.id(), id) << copy;
    EXPECT_EQ(opened.replaced(), "not 6 hex digits; " + id + " is from the records");
    EXPECT_EQ(get("/state/instance-copy"), id + " " + dir_ + "/root\n");
  }
  EXPECT_TRUE(sys::exists(dir_ + "/root/sandboxes/" + std::string(64, '1') + "/record.json"))
      << "not ours to set aside";
}

// Pods with the host's network have no name with the id in it.
TEST_F(InstanceTest, ARecordHasTheIdWithoutANetworkNamespaceToo) {
  const std::string id = open().id();
  auto journal = Journal::open(dir_ + "/root").value();
  const auto of = [&](char digit, const std::string& instance, std::int64_t created) {
    ASSERT_TRUE(journal.write(SandboxRecord{.id = samples::sandbox_id(digit),
                                            .instance = instance,
                                            .created_at_ns = created,
                                            .created = true,
                                            .ready = true}));
  };
  of('1', "", 9);  // an older daemon's
  of('2', "rubbish", 8);
  of('3', id, 7);
  of('4', "0a0a0a", 6);
  put("/root/instance", "");
  std::filesystem::remove(dir_ + "/state/instance-copy");
  EXPECT_EQ(open().id(), id);
}

TEST_F(InstanceTest, WithNeitherItIsANewOneAndTold) {
  std::string last = open().id();
  for (const char* text : kDamaged) {
    put("/root/instance", text);
    std::filesystem::remove(dir_ + "/state/instance-copy");
    auto opened = open();
    EXPECT_EQ(opened.id().size(), 6U);
    EXPECT_NE(opened.id(), last) << text;
    EXPECT_NE(opened.replaced().find(opened.id() + " is new"), std::string::npos) << opened.replaced();
    last = opened.id();
  }
}

TEST_F(InstanceTest, WhatCannotBeReadNowIsNoReasonForAnother) {
  const std::string id = open().id();
  const auto fails = [&](const std::string& name) {
    auto opened = Instance::open(dir_ + "/root", dir_ + "/state");
    ASSERT_FALSE(opened) << name;
    EXPECT_NE(opened.error().text().find(name), std::string::npos) << opened.error().text();
  };
  std::filesystem::remove(dir_ + "/root/instance");
  std::filesystem::create_symlink("instance", dir_ + "/root/instance");
  fails("/root/instance: ELOOP");
  std::filesystem::remove(dir_ + "/root/instance");
  std::filesystem::remove(dir_ + "/state/instance-copy");
  std::filesystem::create_symlink("instance-copy", dir_ + "/state/instance-copy");
  fails("/state/instance-copy: ELOOP");
  std::filesystem::remove(dir_ + "/state/instance-copy");
  put("/state/instance-copy", id + " " + dir_ + "/root\n");
  EXPECT_EQ(open().id(), id);
}

}  // namespace
}  // namespace podshim::state
