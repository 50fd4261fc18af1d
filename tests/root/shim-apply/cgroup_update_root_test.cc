// Updates of limits on the machine's own cgroups, below /podshim-test.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "common/ids.h"
#include "common/sys/file.h"
#include "shim/apply/cgroup.h"
#include "shim/apply/cgroup_stats.h"
#include "shim/apply/cgroup_update.h"
#include "shim/apply/probe.h"

namespace podshim {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kPatience{5000};
constexpr std::int64_t kMiB = 1 << 20;

class UpdateRoot : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "NOT ROOT: cgroups of the machine are not tested";
    auto facts = gather_host_facts();
    ASSERT_TRUE(facts) << facts.error().text();
    host = *facts;
    paths = container_cgroup_paths(host, parent, "0a1b2c", *ContainerId::parse(random_hex(32)));
    auto plan = plan_container_cgroup(host, paths, {.devices = {.allow_all = true}});
    ASSERT_TRUE(plan) << plan.error().text();
    auto made = apply_cgroup(*plan, programs);
    ASSERT_TRUE(made) << made.error().text();
  }
  void TearDown() override {
    if (child > 0) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
    if (paths.path.empty()) return;
    EXPECT_TRUE(remove_cgroup(paths, kPatience));
    for (const auto& dir : paths.directories()) {
      const std::string above = dir.substr(0, dir.rfind('/'));
      ::rmdir(above.c_str());
      ::rmdir(above.substr(0, above.rfind('/')).c_str());
    }
  }
  Result<> update(const Resources& wanted) {
    auto files = TRY(cgroup_update_files(host, paths, wanted));
    auto now = TRY(read_cgroup_files(files));
    return apply_cgroup_update(TRY(plan_cgroup_update(host, paths, wanted, now)));
  }
  std::string read(const char* controller, const char* one, const char* two) const {
    const bool v1 = host.cgroup == CgroupVersion::v1;
    auto text = sys::read_file(v1 ? paths.v1.at(controller) + "/" + one : paths.v2 + "/" + two).value_or("(missing)\n");
    text.pop_back();
    return text;
  }
  std::string memory() const { return read("memory", "memory.limit_in_bytes", "memory.max"); }
  std::string shares() const { return read("cpu", "cpu.shares", "cpu.weight"); }

  // A process in the cgroup with so much memory that nobody can take away.
  void use_memory(std::size_t bytes) {
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    child = ::fork();
    if (child == 0) {
      for (const auto& file : paths.join_files())
        if (!sys::write_file(file, "0")) ::_exit(100);
      void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      std::memset(at, 1, bytes);
      if (::write(ready[1], "x", 1) != 1) ::_exit(101);
      for (;;) ::pause();
    }
    char c;
    ::close(ready[1]);
    EXPECT_EQ(::read(ready[0], &c, 1), 1);
    ::close(ready[0]);
  }

  HostFacts host;
  const std::string parent = "/podshim-test/podshim-" + random_hex(4);
  CgroupPaths paths;
  DevicePrograms programs;
  pid_t child = -1;
};

TEST_F(UpdateRoot, GrowsAndShrinksWithTheSwapBesideIt) {
  const bool v1 = host.cgroup == CgroupVersion::v1;
  for (std::int64_t size : {64, 256, 32, 32, 512, 16}) {
    auto done = update({.cpu_period_us = 100000,
                        .cpu_quota_us = size * 1000,
                        .cpu_shares = size * 4,
                        .memory_limit_bytes = size * kMiB,
                        .memory_swap_limit_bytes = (size + 8) * kMiB});
    ASSERT_TRUE(done) << size << ": " << done.error().text();
    EXPECT_EQ(memory(), std::to_string(size * kMiB));
    EXPECT_EQ(read("cpu", "cpu.cfs_quota_us", "cpu.max"), std::to_string(size * 1000) + (v1 ? "" : " 100000"));
    const auto swap = read("memory", "memory.memsw.limit_in_bytes", "memory.swap.max");
    if (swap != "(missing)") {
      EXPECT_EQ(swap, std::to_string((v1 ? size + 8 : 8) * kMiB));
    }
  }
  ASSERT_TRUE(update({.cpu_quota_us = -1, .memory_limit_bytes = -1, .memory_swap_limit_bytes = -1}));
  EXPECT_EQ(memory(), v1 ? "9223372036854771712" : "max");
}

// The parent's share is full: no write in between may ask for more than both ends do.
TEST_F(UpdateRoot, QuotaAndPeriodMoveBelowAFullParent) {
  if (host.cgroup != CgroupVersion::v1) return;  // v2: one file
  const std::string dir = paths.v1.at("cpu"), above = dir.substr(0, dir.rfind('/'));
  ASSERT_TRUE(sys::write_file(above + "/cpu.cfs_period_us", "100000"));
  ASSERT_TRUE(sys::write_file(above + "/cpu.cfs_quota_us", "50000"));
  for (std::int64_t period : {100000, 10000, 200000, 50000, 400000}) {
    auto done = update({.cpu_period_us = period, .cpu_quota_us = period / 2});
    ASSERT_TRUE(done) << period << ": " << done.error().text();
  }
  auto over = update({.cpu_period_us = 100000, .cpu_quota_us = 60000});
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().kind, ErrorKind::invalid_argument);
  EXPECT_TRUE(over.error().subject.starts_with("linux.cpu_")) << over.error().text();
  EXPECT_EQ(read("cpu", "cpu.cfs_quota_us", ""), "200000");
  EXPECT_EQ(read("cpu", "cpu.cfs_period_us", ""), "400000");
}

TEST_F(UpdateRoot, ALimitBelowTheUseIsRefusedAndNothingIsHalfDone) {
  ASSERT_TRUE(update({.cpu_shares = 512, .memory_limit_bytes = 128 * kMiB, .memory_swap_limit_bytes = 128 * kMiB}));
  use_memory(48 * kMiB);
  const std::string weight = shares();
  auto refused = update({.cpu_shares = 2, .memory_limit_bytes = 8 * kMiB, .memory_swap_limit_bytes = 8 * kMiB});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::failed_precondition) << refused.error().text();
  EXPECT_TRUE(refused.error().is(EBUSY));
  EXPECT_EQ(refused.error().subject, "linux.memory_limit_in_bytes");
  EXPECT_EQ(refused.error().text().find("not set back"), std::string::npos) << refused.error().text();
  EXPECT_EQ(memory(), std::to_string(128 * kMiB));
  EXPECT_EQ(shares(), weight);
  EXPECT_EQ(::kill(child, 0), 0);
  auto done = update({.cpu_shares = 2, .memory_limit_bytes = 64 * kMiB, .memory_swap_limit_bytes = 64 * kMiB});
  ASSERT_TRUE(done) << done.error().text();
  EXPECT_EQ(memory(), std::to_string(64 * kMiB));
}

TEST_F(UpdateRoot, ARefusedProcessorSetLeavesTheRest) {
  ASSERT_TRUE(update({.cpu_shares = 512}));
  const std::string weight = shares(), cpus = read("cpuset", "cpuset.cpus", "cpuset.cpus");
  auto refused = update({.cpu_shares = 1024, .cpuset_cpus = "4000"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::invalid_argument) << refused.error().text();
  EXPECT_EQ(refused.error().subject, "linux.cpuset_cpus");
  EXPECT_NE(refused.error().text().find("4000"), std::string::npos);
  EXPECT_EQ(shares(), weight);
  EXPECT_EQ(read("cpuset", "cpuset.cpus", "cpuset.cpus"), cpus);
}

TEST_F(UpdateRoot, AnOpenedReaderSeesTheNewLimit) {
  ASSERT_TRUE(update({.memory_limit_bytes = 64 * kMiB}));
  auto reader = CgroupStatsReader::open(paths);
  ASSERT_TRUE(reader);
  EXPECT_LE(reader->read()->memory_available_bytes(), 64U * kMiB);
  ASSERT_TRUE(update({.memory_limit_bytes = 256 * kMiB}));
  EXPECT_GT(reader->read()->memory_available_bytes(), 64U * kMiB);
}

}  // namespace
}  // namespace podshim
