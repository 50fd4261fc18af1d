// Many short containers at once; memory cgroups; size and speed.
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <thread>

#include "common/sys/file.h"
#include "common/sys/mount.h"
#include "pod_fixture.h"
#include "shim/monitor/shm_mount.h"
#include "tests/support/long_run.h"

namespace podshim::test {
namespace {

TEST_F(PodTest, ShortContainersAllExitWithZero) {
  launch_with_pause();
  const int total = long_run() ? 2000 : 200, threads = 32;
  std::atomic<int> next = 0, good = 0;
  std::vector<std::thread> runners;
  for (int t = 0; t < threads; t++)
    runners.emplace_back([&] {
      while (next++ < total) {
        auto id = run({.command = {"/bin/true"}});
        if (!id) {
          ADD_FAILURE() << id.error().text();
          continue;
        }
        auto exit = events_.wait_exit(*id, 60s);
        auto record = read_exit_record(exit_path(*id));
        if (exit && exit->exit_code == 0 && record && *record == *exit) good++;
        EXPECT_TRUE(monitor_->remove_container(*id));
      }
    });
  for (auto& runner : runners) runner.join();
  EXPECT_EQ(good, total);
  EXPECT_EQ(children_of(monitor_->process().pid).size(), 1U);
  EXPECT_LE(sys::list_dir("/proc/" + std::to_string(monitor_->process().pid) + "/fd")->size(), 24U) << "fds leak";
}

TEST_F(PodTest, ParallelExecsAllGiveTheirCodeAndOutput) {
  launch_with_pause();
  auto id = run({.command = {"/bin/sleep", "1000"}});
  ASSERT_TRUE(id);
  const int total = long_run() ? 2000 : 200, threads = 16;
  std::atomic<int> next = 0, good = 0;
  std::vector<std::thread> runners;
  for (int t = 0; t < threads; t++)
    runners.emplace_back([&] {
      for (int i; (i = next++) < total;) {
        auto outcome = exec(*id, shell("echo " + std::to_string(i) + "; exit " + std::to_string(i % 100)));
        if (outcome.exit_code && *outcome.exit_code == i % 100 && outcome.out == std::to_string(i) + "\n") good++;
      }
    });
  for (auto& runner : runners) runner.join();
  EXPECT_EQ(good, total);
  EXPECT_EQ(children_of(monitor_->process().pid).size(), 2U);
}

// A leaf below podshim-test, of the v1 memory hierarchy; removed with its parent.
class MemoryCgroup {
 public:
  MemoryCgroup() : parent_("/sys/fs/cgroup/memory/podshim-test"), leaf_(parent_ + "/mon-" + random_hex(4)) {}
  ~MemoryCgroup() {
    for (int i = 0; i < 100 && ::rmdir(leaf_.c_str()) != 0 && errno == EBUSY; i++) std::this_thread::sleep_for(10ms);
    ::rmdir(parent_.c_str());  // another test's leaf may be there
  }
  bool make() {
    ::mkdir(parent_.c_str(), 0755);
    return ::mkdir(leaf_.c_str(), 0755) == 0 && sys::write_file(leaf_ + "/memory.limit_in_bytes", "8388608");
  }
  std::string file(const char* name) const { return leaf_ + "/" + name; }

 private:
  std::string parent_, leaf_;
};

TEST_F(PodTest, OutOfMemoryIsKnownWhenTheExitIsTold) {
  if (!sys::exists("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
    GTEST_SKIP() << "NOT RUN: no v1 memory hierarchy here";
  launch_with_pause();
  MemoryCgroup cgroup;
  ASSERT_TRUE(cgroup.make());
  TestContainer c{.command = {"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"}};
  c.below_root = {{.op = Op::write_file, .a = "0", .b = cgroup.file("tasks")},
                  {.op = Op::make_node, .x = S_IFCHR | 0666, .y = 0x105, .b = "/dev/zero"}};
  c.oom_file = cgroup.file("memory.oom_control");
  for (int round = 0; round < 20; round++) {
    auto id = run(c);
    ASSERT_TRUE(id) << id.error().text();
    auto exit = events_.wait_exit(*id);
    ASSERT_TRUE(exit);
    EXPECT_EQ(exit->exit_code, 137);
    ASSERT_TRUE(exit->oom_killed) << "round " << round;
    ASSERT_TRUE(monitor_->remove_container(*id));
  }
}

TEST_F(PodTest, OutOfMemoryOfAChildOfInitCounts) {
  if (!sys::exists("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
    GTEST_SKIP() << "NOT RUN: no v1 memory hierarchy here";
  launch_with_pause();
  MemoryCgroup cgroup;
  ASSERT_TRUE(cgroup.make());
  TestContainer c{.command = shell("dd if=/dev/zero of=/dev/null bs=64M count=1; exit 1")};
  c.below_root = {{.op = Op::write_file, .a = "0", .b = cgroup.file("tasks")},
                  {.op = Op::make_node, .x = S_IFCHR | 0666, .y = 0x105, .b = "/dev/zero"}};
  c.oom_file = cgroup.file("memory.oom_control");
  auto id = run(c);
  ASSERT_TRUE(id) << id.error().text();
  auto exit = events_.wait_exit(*id);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->exit_code, 1);
  EXPECT_TRUE(exit->oom_killed);
}

// Both ways of the kernel: the copy of a detached mount (6.15), and the one through a namespace that holds it.
TEST(ShmMountTest, CopiesShareOneFileSystemAndTheHostSeesNone) {
  if (::geteuid() != 0) GTEST_SKIP() << "NOT RUN: needs root";
  for (bool detached_copy : {true, false}) {
    SCOPED_TRACE(detached_copy);
    // The older way enters another mount namespace: only for a process of one thread. Its host is a namespace of the
    // child's own: other programs change the machine's mounts meanwhile.
    pid_t child = ::fork();
    if (child == 0) {
      if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) ::_exit(2);
      auto mounts_before = sys::read_file("/proc/self/mountinfo").value();
      auto work = [&]() -> Result<bool> {
        const sys::MountOption options[] = {{"size", "1m"}};
        Fd mount = TRY(sys::new_mount("tmpfs", options, 0));
        ShmMount shm(detached_copy);
        shm.set(std::move(mount));
        Fd first = TRY(shm.copy());
        Fd second = TRY(shm.copy());
        Fd file = TRY(sys::open_at(first, "note", O_WRONLY | O_CREAT, 0644));
        TRY(sys::open_at(second, "note", O_RDONLY));
        // Back at home: the host's tree is there.
        TRY(sys::open("/proc/self/status", O_RDONLY));
        return sys::read_file("/proc/self/mountinfo").value() == mounts_before;
      };
      auto result = work();
      if (!result) (void)!::write(2, result.error().text().data(), result.error().text().size());
      ::_exit(result && *result && sys::read_file("/proc/self/mountinfo").value() == mounts_before ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
}

long pss_kb(int pid) {
  auto text = sys::read_file("/proc/" + std::to_string(pid) + "/smaps_rollup").value_or("");
  auto at = text.find("\nPss:");
  return at == std::string::npos ? -1 : std::strtol(text.c_str() + at + 5, nullptr, 10);
}

double median_ms(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

template <typename Work>
double time_ms(Work work) {
  auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

struct Monitors {
  std::vector<std::shared_ptr<MonitorProcess>> all;
  ~Monitors() {
    for (auto& monitor : all) EXPECT_TRUE(monitor->shutdown(10s));
  }
};

// As design.md counts: what one Pod of many costs, the program's pages shared by all.
TEST_F(PodTest, FortyIdlePodsStayInTheBudget) {
  Monitors monitors;
  constexpr int kPods = 40;
  for (int i = 0; i < kPods; i++) {
    std::string dir = dir_ + "/pod" + std::to_string(i);
    ASSERT_TRUE(sys::make_dir(dir));
    auto monitor =
        launch_monitor(*loop_, {.id = *SandboxId::parse(random_hex(32)), .sandbox_dir = dir, .cgroup_files = {}});
    ASSERT_TRUE(monitor) << monitor.error().text();
    monitors.all.push_back(*monitor);
    ASSERT_TRUE((*monitor)->start_pause(
        pause_program(),
        {.namespaces = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID, .join_pid_of = {}, .cgroup = {}}));
  }
  long monitor_kb = 0, pause_kb = 0;
  for (auto& monitor : monitors.all) {
    auto state = monitor->state();
    ASSERT_TRUE(state);
    monitor_kb += pss_kb(state->monitor.pid);
    pause_kb += pss_kb(state->pause.pid);
  }
  std::printf("Pss per Pod of %d: monitor %.1f kB, pause %.1f kB\n", kPods, double(monitor_kb) / kPods,
              double(pause_kb) / kPods);
  EXPECT_GT(pause_kb, 0);
#ifndef PODSHIM_SANITIZED
  EXPECT_LE((monitor_kb + pause_kb) / kPods, 300) << "the budget of an idle Pod";
#endif
}

TEST_F(PodTest, FiguresOfTime) {
  launch_with_pause();
  auto idle = run({.command = {"/bin/sleep", "1000"}});
  ASSERT_TRUE(idle);
  std::vector<double> starts, execs, launches;
  for (int i = 0; i < 20; i++) {
    starts.push_back(time_ms([&] { ASSERT_TRUE(run({.command = {"/bin/sleep", "1000"}})); }));
    execs.push_back(time_ms([&] { ASSERT_TRUE(exec(*idle, {"/bin/true"}).exit_code); }));
  }
  auto state = monitor_->state();
  ASSERT_TRUE(state);
  for (const auto& c : state->containers) {
    ASSERT_TRUE(monitor_->signal_container(c.id, SIGKILL));
    ASSERT_TRUE(events_.wait_exit(c.id));
    ASSERT_TRUE(monitor_->remove_container(c.id));
  }
  for (int i = 0; i < 20; i++) {
    ASSERT_TRUE(monitor_->shutdown(10s));
    launches.push_back(time_ms([&] { launch_with_pause(); }));
  }
  std::printf("median ms: launch + start_pause %.3f, create + start %.3f, exec true %.3f\n", median_ms(launches),
              median_ms(starts), median_ms(execs));
  EXPECT_LT(median_ms(execs), 1000.0) << "something waits for a timeout";
}

}  // namespace
}  // namespace podshim::test
