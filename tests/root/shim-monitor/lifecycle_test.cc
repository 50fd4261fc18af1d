// Pause, containers, execs, their ends, and the end of everything.
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fstream>
#include <future>
#include <thread>

#include "common/sys/file.h"
#include "pod_fixture.h"

namespace podshim::test {
namespace {

std::string comm_of(int pid) { return sys::read_file("/proc/" + std::to_string(pid) + "/comm").value_or("(gone)\n"); }

std::string ns_of(int pid, const char* name) {
  char target[64] = {};
  (void)!::readlink(("/proc/" + std::to_string(pid) + "/ns/" + name).c_str(), target, sizeof target - 1);
  return target;
}

TEST_F(PodTest, PauseOwnsItsNamespacesAndIsCalledPause) {
  launch_with_pause();
  auto state = monitor_->state();
  ASSERT_TRUE(state) << state.error().text();
  EXPECT_TRUE(state->pause_running);
  // It gives itself the name; until then it has that of its memfd.
  EXPECT_EQ(wait_file("/proc/" + std::to_string(state->pause.pid) + "/comm", [](auto& t) { return t == "pause\n"; }),
            "pause\n");
  EXPECT_EQ(comm_of(state->monitor.pid), "podshim-monitor\n");
  for (const char* name : {"net", "ipc", "uts", "pid"})
    EXPECT_NE(ns_of(state->pause.pid, name), ns_of(::getpid(), name)) << name;
  EXPECT_EQ(ns_of(state->monitor.pid, "mnt"), ns_of(::getpid(), "mnt"));
  EXPECT_EQ(::getsid(state->monitor.pid), state->monitor.pid);
  EXPECT_EQ(sys::read_file("/proc/" + std::to_string(state->monitor.pid) + "/environ").value_or("?"), "");
}

TEST_F(PodTest, ContainerRunsInThePodAndItsExitIsRecordedBeforeItIsTold) {
  launch_with_pause();
  auto id = run({.command = shell("hostname; echo $$; exit 7")});
  ASSERT_TRUE(id) << id.error().text();
  auto exit = events_.wait_exit(*id);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->exit_code, 7);
  EXPECT_EQ(exit->signal, 0);
  EXPECT_FALSE(exit->oom_killed);
  EXPECT_EQ(log_of(*id), "stdout F pod-under-test\nstdout F 1\n");
  auto record = read_exit_record(exit_path(*id));
  ASSERT_TRUE(record) << record.error().text();
  EXPECT_EQ(*record, *exit);
  EXPECT_EQ(sys::list_dir(dir_ + "/exits").value().size(), 1U) << "a temporary file was left";
}

TEST_F(PodTest, RootIsEnteredAndPathsAreMaskedAndReadOnly) {
  launch_with_pause();
  ASSERT_TRUE(sys::write_file(rootfs_ + "/etc/in-root", "x", 0644));
  ASSERT_TRUE(sys::write_file(rootfs_ + "/etc/secret", "hidden", 0644));
  // One stream: two pipes have no order between them.
  TestContainer c{.command =
                      shell("exec 2>&1; ls /etc; wc -c < /etc/secret; echo 1 > /proc/sys/kernel/printk; "
                            "ls /proc/acpi | wc -l; echo ok > /dev/null && mount | grep -c podshim-monitor-test; "
                            "stat -c %a /dev/null; umask; pwd")};
  c.below_root.push_back({.op = Op::mask_path, .b = "/etc/secret"});
  c.before_exec.push_back({.op = Op::change_dir, .x = 1, .b = "/tmp/deep/er"});
  auto id = run(c);
  ASSERT_TRUE(id) << id.error().text();
  ASSERT_TRUE(events_.wait_exit(*id));
  EXPECT_EQ(log_of(*id),
            "stdout F in-root\nstdout F secret\nstdout F 0\n"
            "stdout F /bin/sh: can't create /proc/sys/kernel/printk: Read-only file system\n"
            "stdout F 0\nstdout F 0\nstdout F 666\nstdout F 0022\nstdout F /tmp/deep/er\n");
  // Nothing of it is seen outside.
  EXPECT_TRUE(sys::list_dir(staging_).value().empty());
  EXPECT_EQ(sys::read_file("/proc/self/mountinfo")->find(dir_), std::string::npos);
}

TEST_F(PodTest, ContainersShareShm) {
  launch_with_pause();
  auto writer = run({.command = shell("echo shared > /dev/shm/note")});
  ASSERT_TRUE(writer) << writer.error().text();
  ASSERT_TRUE(events_.wait_exit(*writer));
  auto reader = run({.command = shell("cat /dev/shm/note")});
  ASSERT_TRUE(reader) << reader.error().text();
  ASSERT_TRUE(events_.wait_exit(*reader));
  EXPECT_EQ(log_of(*reader), "stdout F shared\n");
}

TEST_F(PodTest, PidNamespaceOfTheSandboxIsShared) {
  launch_with_pause();
  auto id = run({.command = shell("cat /proc/1/cmdline"), .namespaces = CLONE_NEWNS, .join_sandbox_pid = true});
  ASSERT_TRUE(id) << id.error().text();
  ASSERT_TRUE(events_.wait_exit(*id));
  EXPECT_EQ(log_of(*id), std::string("stdout F pause\0\n", 16));
}

TEST_F(PodTest, PidNamespaceOfAnotherContainerIsJoined) {
  launch_with_pause();
  auto target = run({.command = {"/bin/sleep", "1000"}});
  ASSERT_TRUE(target);
  auto id = run({.command = shell("cat /proc/1/comm"), .namespaces = CLONE_NEWNS, .join_pid_of = target->str()});
  ASSERT_TRUE(id) << id.error().text();
  ASSERT_TRUE(events_.wait_exit(*id));
  EXPECT_EQ(log_of(*id), "stdout F sleep\n");
}

TEST_F(PodTest, EndedPidNamespaceIsAFailedPrecondition) {
  launch_with_pause();
  auto target = run({.command = {"/bin/true"}});
  ASSERT_TRUE(target);
  ASSERT_TRUE(events_.wait_exit(*target));
  auto id = run({.command = {"/bin/true"}, .namespaces = CLONE_NEWNS, .join_pid_of = target->str()});
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().kind, ErrorKind::failed_precondition) << id.error().text();
  EXPECT_EQ(exec(*target, {"/bin/true"}).exit_code.error().kind, ErrorKind::failed_precondition);
}

TEST_F(PodTest, KilledContainerHas128PlusSignal) {
  launch_with_pause();
  auto id = run({.command = {"/bin/sleep", "1000"}});
  ASSERT_TRUE(id);
  ASSERT_TRUE(monitor_->signal_container(*id, SIGKILL));
  auto exit = events_.wait_exit(*id);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->exit_code, 137);
  EXPECT_EQ(exit->signal, SIGKILL);
  EXPECT_TRUE(monitor_->signal_container(*id, SIGKILL)) << "gone already is success";
}

TEST_F(PodTest, CallsOnWrongStates) {
  launch_with_pause();
  auto kind = [](const auto& result) {
    return result ? std::string("ok") : std::string(kind_name(result.error().kind));
  };
  auto unknown = new_container_id();
  EXPECT_EQ(kind(monitor_->signal_container(unknown, SIGTERM)), "not_found");
  EXPECT_EQ(kind(monitor_->remove_container(unknown)), "ok");
  EXPECT_EQ(kind(monitor_->reopen_log(unknown)), "not_found");
  auto id = run({.command = {"/bin/sleep", "1000"}});
  ASSERT_TRUE(id);
  EXPECT_EQ(kind(monitor_->create_container(*id, root_mount(), {})), "already_exists");
  EXPECT_EQ(kind(monitor_->remove_container(*id)), "failed_precondition");
  EXPECT_EQ(kind(monitor_->shutdown(5s)), "failed_precondition");
  EXPECT_EQ(kind(monitor_->start_pause(pause_program(), {})), "failed_precondition");
  ASSERT_TRUE(monitor_->signal_container(*id, SIGKILL));
  ASSERT_TRUE(events_.wait_exit(*id));
  EXPECT_EQ(kind(monitor_->start_container(*id, container_program({.command = {"/bin/true"}}), {}, {}, "", "")),
            "failed_precondition");
  EXPECT_EQ(kind(monitor_->remove_container(*id)), "ok");
  EXPECT_EQ(kind(monitor_->remove_container(*id)), "ok");
}

TEST_F(PodTest, PauseExitIsAnEvent) {
  launch_with_pause();
  auto state = monitor_->state();
  ASSERT_TRUE(state);
  ::kill(state->pause.pid, SIGTERM);
  auto status = events_.wait_pause();
  ASSERT_TRUE(status);
  EXPECT_TRUE(WIFEXITED(*status));
  EXPECT_FALSE(monitor_->state()->pause_running);
}

TEST_F(PodTest, PauseReapsOrphans) {
  launch_with_pause();
  auto id = run(
      {.command = shell("for i in 1 2 3 4 5; do (setsid sh -c 'sleep 0.05' &) ; done; sleep 0.1; i=0; "
                        "while grep -q -e '^State:.[ZS] .sleep' -e '^State:.Z' /proc/[0-9]*/status && test $i -lt 100; "
                        "do i=$((i+1)); usleep 50000; done; grep -l '^State:.Z' /proc/[0-9]*/status | wc -l"),
       .namespaces = CLONE_NEWNS,
       .join_sandbox_pid = true});
  ASSERT_TRUE(id) << id.error().text();
  ASSERT_TRUE(events_.wait_exit(*id));
  EXPECT_EQ(log_of(*id), "stdout F 0\n");
}

TEST_F(PodTest, ShutdownLeavesNoProcess) {
  launch_with_pause();
  auto id = run({.command = {"/bin/true"}});
  ASSERT_TRUE(id);
  ASSERT_TRUE(events_.wait_exit(*id));
  auto state = monitor_->state();
  ASSERT_TRUE(state);
  auto ended = monitor_->shutdown(10s);
  ASSERT_TRUE(ended) << ended.error().text();
  for (int pid : {state->pause.pid, state->monitor.pid}) {
    auto text = sys::read_file("/proc/" + std::to_string(pid) + "/stat");
    EXPECT_TRUE(!text || text->find(") Z ") != std::string::npos || text->find(") X ") != std::string::npos) << *text;
  }
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(events_.gone(), 0) << "an asked-for end is no loss";
  auto late = monitor_->state();
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, ErrorKind::unavailable);
}

TEST_F(PodTest, ShutdownIsAnsweredWhilePauseHangsInItsStart) {
  launch();
  ASSERT_EQ(::mkfifo((dir_ + "/fifo").c_str(), 0600), 0);
  Program program;  // opening a FIFO without a reader waits
  program.add({.op = Op::write_file, .a = "x", .b = dir_ + "/fifo"});
  program.add({.op = Op::exec_fd, .slot = static_cast<int>(Slot::pause), .lb = {"pause"}});
  const auto monitor = monitor_->process();
  std::thread start([&] {
    auto pause = monitor_->start_pause(program, {.join_pid_of = {}, .cgroup = {}});
    ASSERT_FALSE(pause);
    EXPECT_NE(pause.error().text().find("killed before exec by signal 9"), std::string::npos) << pause.error().text();
  });
  for (int i = 0; i < 5000 && children_of(monitor.pid).empty(); i++) std::this_thread::sleep_for(2ms);
  const auto children = children_of(monitor.pid);
  EXPECT_EQ(children.size(), 1U);
  auto down = monitor_->shutdown(5s);
  EXPECT_TRUE(down) << down.error().text();
  start.join();
  for (const int child : children) {
    const bool hangs = sys::exists("/proc/" + std::to_string(child));
    EXPECT_FALSE(hangs);
    if (hangs) ::kill(child, SIGKILL);
  }
}

TEST_F(PodTest, DeathOfTheMonitorTakesItsContainersAndIsToldOnce) {
  launch_with_pause();
  auto id = run({.command = {"/bin/sleep", "1000"}});
  ASSERT_TRUE(id);
  auto state = monitor_->state();
  ASSERT_TRUE(state);
  auto pause = sys::pidfd_open(state->pause);
  auto container = sys::pidfd_open(state->containers.at(0).process);
  ASSERT_TRUE(pause);
  ASSERT_TRUE(container);
  ::kill(state->monitor.pid, SIGKILL);
  EXPECT_TRUE(events_.wait_gone());
  EXPECT_TRUE(sys::pidfd_wait(*pause, 5s).value());
  EXPECT_TRUE(sys::pidfd_wait(*container, 5s).value());
  EXPECT_EQ(monitor_->state().error().kind, ErrorKind::unavailable);
  EXPECT_EQ(events_.gone(), 1);
}

TEST_F(PodTest, ExecRunsInsideAndGivesItsCode) {
  launch_with_pause();
  auto id = run({.command = {"/bin/sleep", "1000"}});
  ASSERT_TRUE(id);
  auto outcome = exec(*id, shell("cat /proc/1/comm; hostname; ls /tmp | wc -l; exit 3"));
  ASSERT_TRUE(outcome.exit_code) << outcome.exit_code.error().text();
  EXPECT_EQ(*outcome.exit_code, 3);
  EXPECT_EQ(outcome.out, "sleep\npod-under-test\n0\n");
  auto failed = exec(*id, {"/bin/nonsense"});
  ASSERT_FALSE(failed.exit_code);
  EXPECT_TRUE(failed.exit_code.error().is(ENOENT));
  EXPECT_TRUE(monitor_->state()->execs.empty());
}

TEST_F(PodTest, KillExecEndsTheWholeSession) {
  launch_with_pause();
  auto id = run({.command = {"/bin/sleep", "1000"}});
  ASSERT_TRUE(id);
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<int> code;
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  Fd read_end(fds[0]);
  auto started = monitor_->start_exec(*id, exec_program(shell("sleep 1000 & sleep 1000")), {}, Fd(), Fd(fds[1]), Fd(),
                                      false, [&](Result<int> r) {
                                        std::lock_guard lock(mutex);
                                        code = r.value_or(-1);
                                        changed.notify_all();
                                      });
  ASSERT_TRUE(started) << started.error().text();
  std::this_thread::sleep_for(50ms);
  ASSERT_TRUE(monitor_->kill_exec(started->id));
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, 10s, [&] { return code.has_value(); }));
  }
  EXPECT_EQ(*code, 137);
  // The pipe's end says that the background process went too.
  EXPECT_EQ(sys::read_all(read_end, "pipe").value_or("?"), "");
}

// A child that does not get to its program: nobody opens that FIFO.
TEST_F(PodTest, AnExecThatHangsInItsStartIsGivenUpAndKilled) {
  launch_with_pause();
  auto id = run({.command = {"/bin/sleep", "1000"}});
  ASSERT_TRUE(id);
  ASSERT_EQ(::mkfifo((rootfs_ + "/fifo").c_str(), 0600), 0);
  auto start = [&](const ExecWait& wait) {
    auto program = exec_program({"/bin/true"}, {{.op = Op::write_file, .a = "x", .b = "/fifo"}});
    return monitor_->start_exec(*id, program, {}, Fd(), Fd(), Fd(), false, [](auto) {}, wait);
  };
  auto begin = std::chrono::steady_clock::now();
  const auto late = start({.patience = 300ms});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, ErrorKind::deadline_exceeded) << late.error().text();
  std::stop_source client;
  auto given_up = std::async(std::launch::async, [&] { return start({.given_up = client.get_token()}); });
  EXPECT_EQ(given_up.wait_for(300ms), std::future_status::timeout) << "its start does not hang";
  client.request_stop();
  EXPECT_EQ(given_up.get().error().kind, ErrorKind::cancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  for (int i = 0; i < 1000 && !monitor_->state()->execs.empty(); i++) std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(monitor_->state()->execs.empty());
  EXPECT_EQ(exec(*id, {"/bin/true"}).exit_code.value_or(-1), 0);
}

}  // namespace
}  // namespace podshim::test
