// How monitors and containers come into the world: cgroups, terminals of execs, hosts that forbid memfds.
#include <fcntl.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "common/sys/file.h"
#include "pod_fixture.h"

namespace podshim::test {
namespace {

// A leaf below podshim-test of one hierarchy; goes with the object, the parent too when nobody else uses it.
class TestCgroup {
 public:
  explicit TestCgroup(const std::string& hierarchy)
      : parent_("/sys/fs/cgroup/" + hierarchy + "/podshim-test"), path_(parent_ + "/mon-" + random_hex(4)) {}
  ~TestCgroup() {
    for (int i = 0; i < 100 && ::rmdir(path_.c_str()) != 0 && errno == EBUSY; i++) std::this_thread::sleep_for(10ms);
    EXPECT_FALSE(sys::exists(path_));
    ::rmdir(parent_.c_str());
  }
  bool make() { return sys::make_dir(parent_) && sys::make_dir(path_); }
  const std::string& path() const { return path_; }
  std::string name() const { return path_.substr(parent_.rfind('/')); }

 private:
  std::string parent_, path_;
};

std::string cgroups_of(int pid) { return sys::read_file("/proc/" + std::to_string(pid) + "/cgroup").value_or(""); }

class LaunchTest : public PodTest {};

TEST_F(LaunchTest, MonitorIsBornInItsCgroups) {
  TestCgroup freezer("freezer"), unified("unified");
  if (!sys::exists("/sys/fs/cgroup/freezer/tasks") || !sys::exists("/sys/fs/cgroup/unified/cgroup.procs"))
    GTEST_SKIP() << "NOT RUN: needs a v1 freezer and a v2 hierarchy beside it";
  ASSERT_TRUE(freezer.make() && unified.make());
  auto monitor =
      launch_monitor(*loop_, {.id = sandbox_,
                              .sandbox_dir = sandbox_dir_,
                              .cgroup_files = {freezer.path() + "/tasks", unified.path() + "/cgroup.procs"}});
  ASSERT_TRUE(monitor) << monitor.error().text();
  monitor_ = *monitor;
  auto cgroups = cgroups_of(monitor_->process().pid);
  EXPECT_NE(cgroups.find(":freezer:" + freezer.name() + "\n"), std::string::npos) << cgroups;
  EXPECT_NE(cgroups.find("0::" + unified.name() + "\n"), std::string::npos) << cgroups;
  EXPECT_TRUE(monitor_->shutdown(10s));
  monitor_.reset();
}

TEST_F(LaunchTest, ContainerIsClonedIntoItsV2Cgroup) {
  TestCgroup unified("unified");
  if (!sys::exists("/sys/fs/cgroup/unified/cgroup.procs")) GTEST_SKIP() << "NOT RUN: no v2 hierarchy";
  ASSERT_TRUE(unified.make());
  launch_with_pause();
  auto dir = sys::open(unified.path(), O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(dir);
  auto id = new_container_id();
  ASSERT_TRUE(monitor_->create_container(id, root_mount(), {}));
  auto started = monitor_->start_container(
      id, container_program({.command = shell("grep ^0: /proc/self/cgroup")}),
      {.namespaces = CLONE_NEWNS | CLONE_NEWPID, .join_pid_of = {}, .cgroup = std::move(*dir)},
      {.log_path = log_path(id)}, "", exit_path(id));
  ASSERT_TRUE(started) << started.error().text();
  ASSERT_TRUE(events_.wait_exit(id));
  EXPECT_EQ(log_of(id), "stdout F 0::" + unified.name() + "\n");
}

TEST_F(LaunchTest, ACgroupThatIsNotThereFailsTheLaunchAndLeavesNothing) {
  auto monitor = launch_monitor(
      *loop_, {.id = sandbox_, .sandbox_dir = sandbox_dir_, .cgroup_files = {"/sys/fs/cgroup/no/tasks"}});
  ASSERT_FALSE(monitor);
  EXPECT_TRUE(monitor.error().is(ENOENT));
  EXPECT_EQ(monitor.error().text(), "open /sys/fs/cgroup/no/tasks: ENOENT (while: launch monitor)");
  EXPECT_TRUE(sys::list_dir(sandbox_dir_)->empty());
}

TEST_F(LaunchTest, MonitorInheritsNoFdAndNoBlockedSignalOfItsCaller) {
  Fd secret = *sys::open("/etc/passwd", O_RDONLY);
  ASSERT_EQ(::fcntl(secret.get(), F_SETFD, 0), 0);  // as a careless library would leave it
  launch_with_pause();
  auto fds_of = run({.command = {"/bin/ls", "/proc/self/fd"}});
  ASSERT_TRUE(fds_of) << fds_of.error().text();
  ASSERT_TRUE(events_.wait_exit(*fds_of));
  EXPECT_EQ(log_of(*fds_of), "stdout F 0\nstdout F 1\nstdout F 2\nstdout F 3\n") << "3 is the directory that ls reads";
  // No shell: busybox's ignores SIGQUIT by itself.
  auto signals = run({.command = {"/bin/grep", "-E", "SigBlk|SigIgn", "/proc/self/status"}});
  ASSERT_TRUE(signals) << signals.error().text();
  ASSERT_TRUE(events_.wait_exit(*signals));
  EXPECT_EQ(log_of(*signals), "stdout F SigBlk:\t0000000000000000\nstdout F SigIgn:\t0000000000000000\n");
  auto fds = sys::list_dir("/proc/" + std::to_string(monitor_->process().pid) + "/fd");
  ASSERT_TRUE(fds);
  for (const auto& fd : *fds) {
    char target[256] = {};
    (void)!::readlink(("/proc/" + std::to_string(monitor_->process().pid) + "/fd/" + fd).c_str(), target,
                      sizeof target - 1);
    EXPECT_STRNE(target, "/etc/passwd");
  }
}

TEST_F(LaunchTest, ExecOnATerminal) {
  launch_with_pause();
  auto id = run({.command = {"/bin/sleep", "1000"}});
  ASSERT_TRUE(id);
  int master = -1, slave = -1;
  ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  Fd terminal(master);
  auto copy = [&] { return Fd(::fcntl(slave, F_DUPFD_CLOEXEC, 3)); };
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<int> code;
  auto started = monitor_->start_exec(*id,
                                      exec_program(shell("test -t 0 && test -t 1 && echo yes; echo mine > /dev/tty"),
                                                   {{.op = Op::new_session, .x = 1}}),
                                      {}, copy(), copy(), copy(), true, [&](Result<int> r) {
                                        std::lock_guard lock(mutex);
                                        code = r.value_or(-1);
                                        changed.notify_all();
                                      });
  ::close(slave);
  ASSERT_TRUE(started) << started.error().text();
  std::string out;
  char buffer[256];
  for (ssize_t n; (n = ::read(terminal.get(), buffer, sizeof buffer)) > 0;)
    out.append(buffer, static_cast<std::size_t>(n));
  EXPECT_EQ(out, "yes\r\nmine\r\n");
  std::unique_lock lock(mutex);
  ASSERT_TRUE(changed.wait_for(lock, 10s, [&] { return code.has_value(); }));
  EXPECT_EQ(*code, 0);
}

// vm.memfd_noexec belongs to a pid namespace (6.6): the whole Pod runs in one of its own.
TEST_F(LaunchTest, WhereMemfdsMayNotBeExecuted) {
  if (!sys::exists("/proc/sys/vm/memfd_noexec")) GTEST_SKIP() << "NOT RUN: no vm.memfd_noexec (before 6.3)";
  auto before = *sys::read_file("/proc/sys/vm/memfd_noexec");
  loop_.reset();  // its thread does not survive fork
  pid_t outer = ::fork();
  if (outer == 0) {
    if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) ::_exit(2);
    pid_t inner = ::fork();
    if (inner == 0) {
      if (::mount("", "/", "", MS_SLAVE | MS_REC, nullptr) != 0 || ::mount("proc", "/proc", "proc", 0, nullptr) != 0)
        ::_exit(3);
      if (!sys::write_file("/proc/sys/vm/memfd_noexec", "2")) ::_exit(4);
      auto loop = make_monitor_loop(events_, std::string(PODSHIM_BUILD_DIR) + "/bin/podshim-monitor");
      if (!loop) ::_exit(5);
      loop_ = std::move(*loop);
      launch_with_pause();
      if (HasFatalFailure()) ::_exit(6);
      bool as_files = sys::exists(sandbox_dir_ + "/pause");
      auto id = run({.command = {"/bin/true"}});
      if (!id || !events_.wait_exit(*id) || !monitor_->shutdown(10s)) ::_exit(7);
      ::_exit(as_files ? 0 : 8);
    }
    int status = 0;
    ::waitpid(inner, &status, 0);
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 9);
  }
  int status = 0;
  ::waitpid(outer, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(*sys::read_file("/proc/sys/vm/memfd_noexec"), before) << "the host's must stay";
}

}  // namespace
}  // namespace podshim::test
