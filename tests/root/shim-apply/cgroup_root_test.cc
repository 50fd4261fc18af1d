// Cgroups on the machine's own hierarchies, v1 or v2, under /podshim-test-<random> only, which goes with its last
// child. A controller's effect is looked at through processes that the test forks.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "common/ids.h"
#include "common/sys/file.h"
#include "shim/apply/cgroup.h"
#include "shim/apply/cgroup_stats.h"
#include "shim/apply/probe.h"

namespace podshim {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kPatience{5000};

class CgroupRoot : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "NOT ROOT: cgroups of the machine are not tested";
    auto facts = gather_host_facts();
    ASSERT_TRUE(facts) << facts.error().text();
    set_up(*facts);
  }
  void set_up(const HostFacts& facts) {
    host = facts;
    id = *ContainerId::parse(random_hex(32));
    paths = container_cgroup_paths(host, parent, "0a1b2c", id);
  }
  void TearDown() override {
    for (pid_t pid : children) ::kill(pid, SIGKILL);
    for (pid_t pid : children) ::waitpid(pid, nullptr, 0);
    if (paths.path.empty()) return;
    EXPECT_TRUE(remove_cgroup(paths, kPatience));
    for (const auto& dir : paths.directories()) {
      const std::string above = dir.substr(0, dir.rfind('/'));
      EXPECT_FALSE(sys::exists(above)) << above;
      ::rmdir(above.substr(0, above.rfind('/')).c_str());  // /podshim-test, unless another test is in it
    }
  }

  Result<CgroupPlan> plan(const Resources& r = {}, std::int64_t pids = 0,
                          const DevicePlan& devices = plan_devices({}, false)) {
    return plan_container_cgroup(host, paths, {.resources = r, .pids_limit = pids, .devices = devices});
  }
  void make(const Resources& r = {}, std::int64_t pids = 0) {
    auto p = plan(r, pids);
    ASSERT_TRUE(p) << p.error().text();
    auto applied = apply_cgroup(*p, programs);
    ASSERT_TRUE(applied) << applied.error().text();
  }
  // A child in the cgroup that runs `body` and ends with its value; it joins by itself, as a container does on v1.
  template <typename Body>
  pid_t in_cgroup(const CgroupPaths& where, Body body) {
    pid_t pid = ::fork();
    if (pid == 0) {
      for (const auto& file : where.join_files())
        if (!sys::write_file(file, "0")) ::_exit(100);
      ::_exit(body());
    }
    children.push_back(pid);
    return pid;
  }
  int ended(pid_t pid) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    std::erase(children, pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  bool wait_populated(const CgroupPaths& where) {
    for (int i = 0; i < 2000; i++, std::this_thread::sleep_for(milliseconds(1)))
      if (cgroup_populated(where).value_or(false)) return true;
    return false;
  }

  // What open(2) of a new node says to a process in the cgroup.
  int open_in_cgroup(unsigned major_number, unsigned minor_number) {
    const std::string node = "/dev/.podshim-test-" + random_hex(4);
    return ended(in_cgroup(paths, [&] {
      if (::mknod(node.c_str(), S_IFCHR | 0600, makedev(major_number, minor_number)) != 0) return 99;
      const int fd = ::open(node.c_str(), O_RDWR);
      const int err = fd < 0 ? errno : 0;
      ::unlink(node.c_str());
      return err;
    }));
  }
  // Nodes may be made, but only allowed ones open: /dev/null does, the loop control device does not.
  void check_devices_are_kept() {
    make();
    EXPECT_EQ(open_in_cgroup(1, 3), 0);
    EXPECT_EQ(open_in_cgroup(10, 237), EPERM);
  }

  HostFacts host;
  const std::string parent = "/podshim-test/podshim-" + random_hex(4);
  ContainerId id;
  CgroupPaths paths;
  DevicePrograms programs;
  std::vector<pid_t> children;
};

TEST_F(CgroupRoot, ApplyTwiceIsApplyOnceAndRemoveTwiceIsRemoveOnce) {
  make();
  make();
  for (const auto& dir : paths.directories()) EXPECT_TRUE(sys::exists(dir)) << dir;
  EXPECT_EQ(*list_cgroups(host, parent, "0a1b2c"), std::vector<std::string>{"podshim-0a1b2c-" + id.str()});
  EXPECT_TRUE(list_cgroups(host, parent, "ffffff")->empty());
  EXPECT_FALSE(*cgroup_populated(paths));
  EXPECT_TRUE(remove_cgroup(paths, kPatience));
  EXPECT_TRUE(remove_cgroup(paths, kPatience));
}

TEST_F(CgroupRoot, LimitsReachTheKernel) {
  const bool v1 = host.cgroup == CgroupVersion::v1;
  make({.cpu_period_us = 100000, .cpu_quota_us = 20000, .cpu_shares = 512, .memory_limit_bytes = 64 << 20}, 5);
  auto read = [&](const char* controller, const char* one, const char* two) {
    return sys::read_file(v1 ? paths.v1.at(controller) + "/" + one : paths.v2 + "/" + two).value_or("(missing)");
  };
  EXPECT_EQ(read("memory", "memory.limit_in_bytes", "memory.max"), "67108864\n");
  EXPECT_EQ(read("pids", "pids.max", "pids.max"), "5\n");
  EXPECT_EQ(read("cpu", "cpu.shares", "cpu.weight"), v1 ? "512\n" : "20\n");
  EXPECT_EQ(read("cpu", "cpu.cfs_quota_us", "cpu.max"), v1 ? "20000\n" : "20000 100000\n");
  EXPECT_NE(read("cpuset", "cpuset.cpus", "cpuset.cpus.effective"), "\n");
}

TEST_F(CgroupRoot, PidsLimitHolds) {
  make({}, 1);
  EXPECT_EQ(ended(in_cgroup(paths, [] { return ::fork() < 0 && errno == EAGAIN ? 0 : 1; })), 0);
}

TEST_F(CgroupRoot, RefusedValueNamesTheField) {
  auto p = plan({.cpuset_cpus = "4000"});
  ASSERT_TRUE(p);
  auto applied = apply_cgroup(*p, programs);
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().kind, ErrorKind::invalid_argument) << applied.error().text();
  EXPECT_EQ(applied.error().subject, "config.linux.resources.cpuset_cpus");
  EXPECT_NE(applied.error().text().find("\"4000\""), std::string::npos);
}

TEST_F(CgroupRoot, DevicesAreKeptToTheRules) { check_devices_are_kept(); }

TEST_F(CgroupRoot, KillTakesAWholeTreeAndItsExecs) {
  make();
  const CgroupPaths exec = exec_cgroup_paths(paths);
  ASSERT_TRUE(apply_cgroup(plan_exec_cgroup(host, exec), programs));
  auto fork_tree = [] {
    for (int i = 0; i < 3; i++)
      if (::fork() == 0) ::fork();
    for (;;) ::pause();
    return 0;
  };
  const pid_t main = in_cgroup(paths, fork_tree);
  ASSERT_TRUE(wait_populated(paths));  // of itself: the exec's cgroup is below it
  const pid_t other = in_cgroup(exec, fork_tree);
  ASSERT_TRUE(wait_populated(exec));
  for (int i = 0; i < 1000 && cgroup_pids(exec)->size() <= 5; i++) std::this_thread::sleep_for(milliseconds(5));
  EXPECT_GT(cgroup_pids(exec)->size(), 5U);
  auto killed = kill_cgroup(exec, host.cgroup_kill, kPatience);  // an exec's timeout: its neighbours live
  ASSERT_TRUE(killed) << killed.error().text();
  EXPECT_EQ(ended(other), 128 + SIGKILL);
  EXPECT_EQ(::kill(main, 0), 0);
  EXPECT_TRUE(*cgroup_populated(paths));
  for (bool use : {host.cgroup_kill, false}) ASSERT_TRUE(kill_cgroup(paths, use, kPatience));
  EXPECT_FALSE(*cgroup_populated(paths));
  EXPECT_EQ(ended(main), 128 + SIGKILL);
}

// The cgroup2 tree that stands beside v1 on a hybrid machine: it has no controllers, but the device program,
// cgroup.kill and the freezer are the real ones. On a pure v2 machine it is the tree of the other tests.
class CgroupV2Root : public CgroupRoot {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "NOT ROOT: cgroups of the machine are not tested";
    auto facts = gather_host_facts();
    ASSERT_TRUE(facts) << facts.error().text();
    if (facts->cgroup == CgroupVersion::v1) {
      facts->cgroup = CgroupVersion::v2;
      facts->cgroup_v2_root = "/sys/fs/cgroup/unified";
      if (!sys::exists(facts->cgroup_v2_root + "/cgroup.procs")) GTEST_SKIP() << "NO cgroup2 ANYWHERE: not tested";
    }
    set_up(*facts);
  }
};

TEST_F(CgroupV2Root, DevicesAreKeptToTheRules) { check_devices_are_kept(); }

TEST_F(CgroupV2Root, OneProgramIsSharedAndAnAllowedDeviceOpens) {
  auto allowed =
      plan_devices({{.container_path = "/dev/loop-control", .major = 10, .minor = 237, .permissions = "rw"}}, false);
  auto p = plan({}, 0, allowed);
  ASSERT_TRUE(p);
  auto applied = apply_cgroup(*p, programs);
  ASSERT_TRUE(applied) << applied.error().text();
  EXPECT_EQ(open_in_cgroup(10, 237), 0);
  EXPECT_EQ(open_in_cgroup(1, 3), 0);
  EXPECT_EQ(open_in_cgroup(1, 1), EPERM);  // /dev/mem
  auto first = programs.load(p->device_program), again = programs.load(p->device_program);
  ASSERT_TRUE(first && again);
  EXPECT_EQ(first->get(), again->get());
}

TEST_F(CgroupV2Root, BothWaysToKill) {
  make();
  const std::string child = paths.v2 + "/own";
  for (bool use_cgroup_kill : {true, false}) {
    const pid_t pid = in_cgroup(paths, [&] {
      (void)sys::make_dir(child);  // a container may make cgroups below its own
      if (::fork() == 0 && !sys::write_file(child + "/cgroup.procs", "0")) ::_exit(1);
      for (;;) ::pause();
      return 0;
    });
    // Until the fork has moved: on its way it can stand in both lists of one walk.
    const auto moved = [&] { return !sys::read_file(child + "/cgroup.procs").value_or("").empty(); };
    for (int i = 0; i < 2000 && !moved(); i++) std::this_thread::sleep_for(milliseconds(1));
    EXPECT_EQ(cgroup_pids(paths)->size(), 2U);
    auto killed = kill_cgroup(paths, use_cgroup_kill, kPatience);
    ASSERT_TRUE(killed) << killed.error().text();
    EXPECT_FALSE(*cgroup_populated(paths));
    EXPECT_EQ(ended(pid), 128 + SIGKILL);
  }
  EXPECT_TRUE(open_cgroup(paths));
}

// Where the kernel refuses cgroup.kill, and tells threads only. Its domain, above, is killed as ever.
TEST_F(CgroupV2Root, AThreadedCgroupIsKilledToo) {
  make();
  const CgroupPaths exec = exec_cgroup_paths(paths);
  ASSERT_TRUE(apply_cgroup(plan_exec_cgroup(host, exec), programs));
  ASSERT_TRUE(sys::write_file(exec.v2 + "/cgroup.type", "threaded"));  // as a container that may write there can
  const auto wait = [] {
    for (;;) ::pause();
    return 0;
  };
  const auto has = [](const std::string& file, std::ptrdiff_t lines) {
    for (int i = 0; i < 2000; i++, std::this_thread::sleep_for(milliseconds(1))) {
      const auto text = sys::read_file(file).value_or("");
      if (std::count(text.begin(), text.end(), '\n') == lines) return true;
    }
    return false;
  };
  for (bool use_cgroup_kill : {true, false}) {
    const pid_t neighbour = in_cgroup(paths, wait);
    const pid_t inside = in_cgroup(paths, [&] { return sys::write_file(exec.v2 + "/cgroup.procs", "0") ? wait() : 1; });
    // Its first thread stays above.
    const pid_t across = in_cgroup(paths, [&] {
      std::thread([&] {
        if (!sys::write_file(exec.v2 + "/cgroup.threads", "0")) ::_exit(1);
        wait();
      }).join();
      return 0;
    });
    ASSERT_TRUE(has(exec.v2 + "/cgroup.threads", 2));
    ASSERT_TRUE(has(paths.v2 + "/cgroup.procs", 3));
    const auto listed = *cgroup_pids(exec);
    EXPECT_EQ(listed.size(), 2U);
    EXPECT_EQ(std::count(listed.begin(), listed.end(), inside), 1);
    EXPECT_EQ(cgroup_pids(paths)->size(), 3U);
    auto killed = kill_cgroup(exec, use_cgroup_kill, kPatience);
    ASSERT_TRUE(killed) << killed.error().text();
    EXPECT_FALSE(*cgroup_populated(exec));
    EXPECT_EQ(ended(inside), 128 + SIGKILL);
    EXPECT_EQ(ended(across), 128 + SIGKILL);
    EXPECT_EQ(*cgroup_pids(paths), std::vector<pid_t>{neighbour});

    const pid_t again = in_cgroup(paths, [&] { return sys::write_file(exec.v2 + "/cgroup.procs", "0") ? wait() : 1; });
    ASSERT_TRUE(has(exec.v2 + "/cgroup.threads", 1));
    ASSERT_TRUE(kill_cgroup(paths, use_cgroup_kill, kPatience));
    EXPECT_EQ(ended(neighbour), 128 + SIGKILL);
    EXPECT_EQ(ended(again), 128 + SIGKILL);
  }
}

// Processes that fork for their life: no list is ever complete but a frozen one.
TEST_F(CgroupRoot, KillCatchesForkers) {
  make({}, 64);
  in_cgroup(paths, [] {
    ::signal(SIGCHLD, SIG_IGN);
    for (;;)
      if (::fork() == 0) {
        ::usleep(500);
        if (::fork() != 0) ::_exit(0);
      }
    return 0;
  });
  ASSERT_TRUE(wait_populated(paths));
  std::this_thread::sleep_for(milliseconds(30));
  auto killed = kill_cgroup(paths, false, kPatience);
  ASSERT_TRUE(killed) << killed.error().text();
  EXPECT_FALSE(*cgroup_populated(paths));
}

TEST_F(CgroupRoot, RemoveWaitsForTheDying) {
  make();
  in_cgroup(paths, [] {
    for (;;) ::pause();
    return 0;
  });
  ASSERT_TRUE(wait_populated(paths));
  auto busy = remove_cgroup(paths, milliseconds(10));
  ASSERT_FALSE(busy);
  EXPECT_TRUE(busy.error().is(EBUSY)) << busy.error().text();
  ASSERT_TRUE(kill_cgroup(paths, host.cgroup_kill, kPatience));
  EXPECT_TRUE(remove_cgroup(paths, kPatience));
}

TEST_F(CgroupRoot, StatsMoveAndTellWhenTheCgroupIsGone) {
  make({.memory_limit_bytes = 256 << 20});
  auto reader = CgroupStatsReader::open(paths);
  ASSERT_TRUE(reader) << reader.error().text();
  const pid_t pid = in_cgroup(paths, [] {
    const std::size_t size = 32 << 20;
    std::vector<char> memory(size, 1);
    for (unsigned i = 0; i < 20'000'000; i++) memory[i % size]++;
    if (memory[5] == 77) return 1;  // the loop has a use
    for (;;) ::pause();
    return 0;
  });
  CgroupStats last;
  for (int i = 0; i < 500 && (last.memory_rss_bytes < (24U << 20) || last.cpu_usage_ns < 1'000'000); i++) {
    std::this_thread::sleep_for(milliseconds(10));
    auto now = reader->read();
    ASSERT_TRUE(now) << now.error().text();
    last = *now;
  }
  EXPECT_GT(last.memory_rss_bytes, 24U << 20);
  EXPECT_GE(last.memory_working_set_bytes, last.memory_rss_bytes / 2);
  EXPECT_EQ(last.memory_limit_bytes, 256U << 20);
  EXPECT_LE(last.memory_available_bytes().value() + last.memory_working_set_bytes, 256U << 20);
  EXPECT_GT(last.cpu_usage_ns, 1'000'000U);
  EXPECT_GT(last.page_faults, 1000U);
  ASSERT_TRUE(kill_cgroup(paths, host.cgroup_kill, kPatience));
  EXPECT_EQ(ended(pid), 128 + SIGKILL);
  ASSERT_TRUE(remove_cgroup(paths, kPatience));
  auto gone = reader->read();
  ASSERT_FALSE(gone);
  EXPECT_TRUE(gone.error().is(ENODEV)) << gone.error().text();
}

// Eight threads make and remove beside each other: the shared parent comes and goes, no one fails.
TEST_F(CgroupRoot, ParallelCreationUnderOneParent) {
  std::vector<std::thread> threads;
  std::vector<std::string> errors(8);
  for (std::size_t t = 0; t < errors.size(); t++)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 15 && errors[t].empty(); i++) {
        auto mine = container_cgroup_paths(host, parent, "0a1b2c", *ContainerId::parse(random_hex(32)));
        auto p = plan_container_cgroup(host, mine, {.devices = {.allow_all = true}});
        auto applied = apply_cgroup(*p, programs);
        if (!applied) errors[t] = applied.error().text();
        if (auto r = remove_cgroup(mine, kPatience); !r) errors[t] += r.error().text();
      }
    });
  for (auto& thread : threads) thread.join();
  for (const auto& error : errors) EXPECT_EQ(error, "");
}

}  // namespace
}  // namespace podshim
