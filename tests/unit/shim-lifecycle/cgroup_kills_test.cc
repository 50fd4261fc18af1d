#include "shim/lifecycle/cgroup_kills.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <map>

namespace podshim::lifecycle {
namespace {

using std::chrono::milliseconds, std::chrono::seconds;

// Cgroups by their path; those in `lives` do not die.
class Kills : public testing::Test {
 protected:
  Result<> round(const CgroupPaths& cgroup) {
    std::unique_lock lock(mutex);
    rounds[cgroup.path]++;
    if (rounds[cgroup.path] >= needed[cgroup.path]) return {};
    return fail(Error::of(ErrorKind::deadline_exceeded, "kill", cgroup.path));
  }
  void kill(CgroupKills& kills, const std::string& path) {
    kills.kill({.path = path}, [this, path] {
      std::lock_guard lock(mutex);
      ended.push_back(path);
    });
  }
  std::mutex mutex;
  std::map<std::string, int> rounds, needed;  // needed: so many until it has gone
  std::vector<std::string> ended;
};

TEST_F(Kills, EachIsAskedUntilItHasGone) {
  needed = {{"/a", 1}, {"/b", 4}};
  CgroupKills kills([this](const CgroupPaths& c) { return round(c); });
  kill(kills, "/b");
  kill(kills, "/a");
  kills.wait_idle();
  EXPECT_EQ(rounds["/a"], 1);
  EXPECT_EQ(rounds["/b"], 4);
  EXPECT_EQ(ended.size(), 2U);
}

TEST_F(Kills, WhatDoesNotDieHoldsUpNobodyAndIsAskedLessOften) {
  for (int i = 0; i < 100; i++) needed["/stays" + std::to_string(i)] = 1 << 30;
  CgroupKills kills([this](const CgroupPaths& c) { return round(c); });
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; i++) kill(kills, "/stays" + std::to_string(i));
  std::promise<void> gone;
  kills.kill({.path = "/dies"}, [&] { gone.set_value(); });
  EXPECT_EQ(gone.get_future().wait_for(seconds(5)), std::future_status::ready);
  std::this_thread::sleep_for(milliseconds(200));
  kills.stop();
  EXPECT_TRUE(ended.empty());
  // At 0, 1, 3, 7 ... 511 ms, then every 500 ms, and one of stop().
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_LE(rounds["/stays0"], 11 + took / milliseconds(500));
}

TEST_F(Kills, WhatIsLateIsToldOnceAndGoesOn) {
  needed = {{"/late", 6}, {"/soon", 2}};  // 1 + 2 + 4 + 8 + 16 ms
  CgroupKills kills([this](const CgroupPaths& c) { return round(c); }, milliseconds(2));
  std::vector<std::string> told;               // on the one thread of the kills
  for (const char* path : {"/soon", "/late"})  // so whatever comes between the two: the first one ends first
    kills.kill(
        {.path = path}, [&told, path] { told.push_back(path + std::string(" ended")); },
        [&told, path] { told.push_back(path + std::string(" late")); });
  kills.wait_idle();
  EXPECT_EQ(std::count(told.begin(), told.end(), "/late late"), 1);
  EXPECT_EQ(told.back(), "/late ended");
  EXPECT_EQ(std::count(told.begin(), told.end(), "/soon ended"), 1);
}

// At the end of the patience, not in the round after that, which may be twice as late.
TEST_F(Kills, LateIsToldInTime) {
  needed["/stays"] = 1 << 30;
  const auto told_after = [&] {
    CgroupKills kills([this](const CgroupPaths& c) { return round(c); }, milliseconds(2100));
    std::promise<void> late;
    const auto begin = std::chrono::steady_clock::now();
    kills.kill({.path = "/stays"}, [] {}, [&] { late.set_value(); });
    EXPECT_EQ(late.get_future().wait_for(seconds(20)), std::future_status::ready);
    const auto took = std::chrono::steady_clock::now() - begin;
    EXPECT_GE(took, milliseconds(2100));
    kills.stop();  // `late` goes
    return took;
  };
  auto took = told_after();
  for (int i = 0; i < 3 && took >= milliseconds(2500); i++) took = told_after();  // a busy machine is late, not always
  EXPECT_LT(took, milliseconds(2500));  // the rounds are at 2,011 and 2,511 ms
}

TEST_F(Kills, StopSignalsAllThatIsListedOnceMore) {
  needed = {{"/stays", 1 << 30}};
  std::promise<void> in_round, go_on;
  CgroupKills kills([&](const CgroupPaths& c) {
    if (c.path == "/first") {
      in_round.set_value();
      go_on.get_future().wait();
    }
    return round(c);
  });
  kill(kills, "/first");
  in_round.get_future().wait();
  for (const char* path : {"/a", "/stays", "/b"}) kill(kills, path);
  auto stopping = std::async(std::launch::async, [&] { kills.stop(); });
  std::this_thread::sleep_for(milliseconds(20));
  go_on.set_value();
  stopping.get();
  EXPECT_EQ(ended, (std::vector<std::string>{"/first", "/a", "/b"}));
  EXPECT_GE(rounds["/stays"], 1);
  kill(kills, "/late");
  EXPECT_EQ(rounds.count("/late"), 0U);
}

}  // namespace
}  // namespace podshim::lifecycle
