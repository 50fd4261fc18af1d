// The daemon dies and comes back; nothing of the Pod notices.
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include <thread>

#include "attach_client.h"
#include "common/sys/file.h"
#include "shim/monitor/attach.h"

namespace podshim::test {
namespace {

class ReconnectTest : public PodTest {
 protected:
  // Runs `work` as a first daemon, in a process of its own that is killed -9 once it has said that it is done.
  void first_daemon(const std::function<bool()>& work) {
    loop_.reset();  // threads do not survive fork
    int fds[2];
    ASSERT_EQ(::pipe(fds), 0);
    pid_t daemon = ::fork();
    if (daemon == 0) {
      ::close(fds[0]);
      loop_ = std::move(*make_monitor_loop(events_, std::string(PODSHIM_BUILD_DIR) + "/bin/podshim-monitor"));
      launch_with_pause();
      char ok = work() ? 'y' : 'n';
      (void)!::write(fds[1], &ok, 1);
      for (;;) ::pause();
    }
    ::close(fds[1]);
    char ok = 0;
    (void)!::read(fds[0], &ok, 1);
    ::close(fds[0]);
    ::kill(daemon, SIGKILL);
    ::waitpid(daemon, nullptr, 0);
    ASSERT_EQ(ok, 'y');
    loop_ = std::move(*make_monitor_loop(events_, std::string(PODSHIM_BUILD_DIR) + "/bin/podshim-monitor"));
  }
  void reconnect() {
    auto monitor = connect_monitor(*loop_, sandbox_, sandbox_dir_, std::chrono::seconds(5));
    ASSERT_TRUE(monitor) << monitor.error().text();
    monitor_ = *monitor;
  }
  ContainerId the_container(const std::string& script, TestContainer c = {}) {
    c.command = shell(script);
    auto id = run(c);
    if (!id) return {};
    (void)sys::write_file(dir_ + "/id", id->str(), 0644);
    return *id;
  }
  ContainerId known_id() {
    return ContainerId::parse(sys::read_file(dir_ + "/id").value_or("")).value_or(ContainerId{});
  }
};

// A hundred lines for the first daemon's clients, two hundred for the second's: each once they are attached.
TEST_F(ReconnectTest, ADaemonThatDiesWithClientsAttachedChangesNothing) {
  const std::string first = "/tmp/first", second = "/tmp/second";
  const auto wait_for = [](const std::string& file) { return "while ! test -e " + file + "; do usleep 5000; done; "; };
  const auto print = [](int end) {
    return "while test $i -lt " + std::to_string(end) + "; do echo line $i; i=$((i+1)); usleep 1000; done; ";
  };
  std::vector<std::unique_ptr<Client>> clients;  // they die with the first daemon
  first_daemon([&] {
    auto id = the_container("i=0; " + wait_for(first) + print(100) + wait_for(second) + print(300) + "cat; exit 9",
                            {.stdio = {.stdin_open = true}});
    bool all = !id.empty();
    for (std::size_t i = 0; i < kMaxAttachments; i++) {
      clients.push_back(std::make_unique<Client>(*monitor_, id, AttachWish{.in = true, .out = true, .err = true}));
      all = all && clients.back()->attached;
    }
    return all && sys::write_file(rootfs_ + first, "", 0644) && !clients.back()->read_out("\n").empty();
  });
  auto id = known_id();
  reconnect();
  for (std::size_t i = 0; i < kMaxAttachments; i++) {
    clients.push_back(std::make_unique<Client>(*monitor_, id, AttachWish{.out = true}));
    EXPECT_TRUE(clients.back()->attached) << "the room of those who died is free";
  }
  ASSERT_TRUE(sys::write_file(rootfs_ + second, "", 0644));
  wait_file(log_path(id), [](const std::string& t) { return t.find("line 299\n") != std::string::npos; }, 60s);
  EXPECT_FALSE(events_.wait_exit(id, 100ms)) << "its stdin is open still";
  ASSERT_TRUE(monitor_->close_stdin(id));
  auto exit = events_.wait_exit(id);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->exit_code, 9);
  std::string want;
  for (int i = 0; i < 300; i++) want += "stdout F line " + std::to_string(i) + "\n";
  EXPECT_EQ(log_of(id), want);
  EXPECT_TRUE(clients.back()->read_out().ends_with("line 299\n"));
}

TEST_F(ReconnectTest, LogsAndExitsOfTheTimeBetweenAreComplete) {
  first_daemon([&] {
    return !the_container("i=0; while test $i -lt 200; do echo line $i; i=$((i+1)); usleep 1000; done; exit 9").empty();
  });
  auto id = known_id();
  auto text = wait_file(exit_path(id), [](const std::string& t) { return !t.empty(); });
  ASSERT_FALSE(text.empty()) << "no exit record without a daemon";
  reconnect();
  auto state = monitor_->state();
  ASSERT_TRUE(state) << state.error().text();
  ASSERT_EQ(state->containers.size(), 1U);
  EXPECT_TRUE(state->pause_running);
  const auto& c = state->containers[0];
  EXPECT_EQ(c.id, id);
  EXPECT_EQ(c.state, MonitorContainer::State::exited);
  ASSERT_TRUE(c.exit);
  EXPECT_EQ(c.exit->exit_code, 9);
  EXPECT_EQ(*read_exit_record(exit_path(id)), *c.exit);
  std::string want;
  for (int i = 0; i < 200; i++) want += "stdout F line " + std::to_string(i) + "\n";
  EXPECT_EQ(log_of(id), want);
  EXPECT_EQ(monitor_->state()->containers.size(), 1U) << "it stays until it is removed";
}

TEST_F(ReconnectTest, RunningContainersAreGovernedByTheNewDaemon) {
  first_daemon([&] { return !the_container("trap 'exit 3' TERM; echo up; while true; do usleep 5000; done").empty(); });
  auto id = known_id();
  reconnect();
  EXPECT_NE(monitor_->process().pid, 0);
  auto outcome = exec(id, shell("echo from the new daemon"));
  ASSERT_TRUE(outcome.exit_code) << outcome.exit_code.error().text();
  EXPECT_EQ(outcome.out, "from the new daemon\n");
  // Only then its trap is set.
  ASSERT_FALSE(wait_file(log_path(id), [](const std::string& t) { return t.ends_with("up\n"); }).empty());
  ASSERT_TRUE(monitor_->signal_container(id, SIGTERM));
  auto exit = events_.wait_exit(id);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->exit_code, 3);
}

TEST_F(ReconnectTest, ExecsOfTheFormerDaemonAreListedAndTheirEndIsTold) {
  first_daemon([&] {
    auto id = the_container("while true; do usleep 5000; done");
    return !id.empty() &&
           monitor_->start_exec(id, exec_program({"/bin/sleep", "1000"}), {}, Fd(), Fd(), Fd(), false, [](auto) {});
  });
  reconnect();
  auto state = monitor_->state();
  ASSERT_TRUE(state);
  ASSERT_EQ(state->execs.size(), 1U);
  EXPECT_FALSE(state->execs[0].exit_code);
  EXPECT_EQ(state->execs[0].container, known_id());
  ASSERT_TRUE(monitor_->kill_exec(state->execs[0].id));
  std::optional<std::int32_t> code;
  for (int i = 0; i < 5000 && !code; i++) {
    std::this_thread::sleep_for(2ms);
    auto now = monitor_->state();
    ASSERT_TRUE(now);
    ASSERT_EQ(now->execs.size(), 1U);
    code = now->execs[0].exit_code;
  }
  EXPECT_EQ(code, 137);
  EXPECT_TRUE(monitor_->state()->execs.empty()) << "told once";
}

TEST_F(ReconnectTest, TheNewestConnectionWins) {
  launch_with_pause();
  auto old = monitor_;
  RecordedEvents other_events;
  auto other_loop = make_monitor_loop(other_events, std::string(PODSHIM_BUILD_DIR) + "/bin/podshim-monitor");
  ASSERT_TRUE(other_loop);
  {
    auto second = connect_monitor(**other_loop, sandbox_, sandbox_dir_, std::chrono::seconds(5));
    ASSERT_TRUE(second) << second.error().text();
    EXPECT_TRUE((*second)->state());
    auto refused = old->state();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
    EXPECT_EQ(events_.gone(), 0) << "the monitor lives";
  }
  reconnect();
  EXPECT_TRUE(monitor_->state());
}

TEST_F(ReconnectTest, NobodyThere) {
  auto monitor = connect_monitor(*loop_, sandbox_, sandbox_dir_, std::chrono::seconds(5));
  ASSERT_FALSE(monitor);
  EXPECT_TRUE(monitor.error().is(ENOENT)) << monitor.error().text();
}

TEST_F(ReconnectTest, AHangingDaemonHoldsUpNothing) {
  // Stopped, not killed: its socket fills up and stays.
  loop_.reset();
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  pid_t daemon = ::fork();
  if (daemon == 0) {
    loop_ = std::move(*make_monitor_loop(events_, std::string(PODSHIM_BUILD_DIR) + "/bin/podshim-monitor"));
    launch_with_pause();
    auto id = the_container("usleep 200000; seq 1 50000; exit 6");
    (void)!::write(fds[1], "y", 1);
    for (;;) ::pause();
  }
  char ok = 0;
  (void)!::read(fds[0], &ok, 1);
  ::kill(daemon, SIGSTOP);
  auto text = wait_file(exit_path(known_id()), [](const std::string& t) { return !t.empty(); });
  EXPECT_NE(text.find("\"exit_code\":6"), std::string::npos);
  EXPECT_TRUE(log_of(known_id()).ends_with("stdout F 50000\n"));
  ::kill(daemon, SIGKILL);
  ::waitpid(daemon, nullptr, 0);
  ::close(fds[0]);
  ::close(fds[1]);
  loop_ = std::move(*make_monitor_loop(events_, std::string(PODSHIM_BUILD_DIR) + "/bin/podshim-monitor"));
  reconnect();
}

}  // namespace
}  // namespace podshim::test
