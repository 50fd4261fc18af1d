// Clients that watch a container: what they see, and that the container and its log are as without them.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>

#include <future>
#include <optional>

#include "attach_client.h"
#include "common/sys/file.h"
#include "shim/monitor/attach.h"

namespace podshim::test {
namespace {

using AttachTest = PodTest;

constexpr const char* kWaitForGo = "while ! test -e /tmp/go; do usleep 5000; done; ";

std::string lines_up_to(int last, const std::string& prefix, const std::string& end) {
  std::string out;
  for (int i = 1; i <= last; i++) out.append(prefix).append(std::to_string(i)).append(end);
  return out;
}

TEST_F(AttachTest, StdinGoesInAndOutputsComeOutAndAreLogged) {
  launch_with_pause();
  auto id = run(
      {.command = shell("while read x; do echo got $x; echo err $x >&2; done; exit 3"), .stdio = {.stdin_open = true}});
  ASSERT_TRUE(id) << id.error().text();
  Client client(*monitor_, *id, {.in = true, .out = true, .err = true});
  ASSERT_TRUE(client.attached) << client.attached.error().text();
  client.write("one\n");
  EXPECT_EQ(client.read_out("got one\n"), "got one\n");
  EXPECT_EQ(client.read_err("err one\n"), "err one\n");
  EXPECT_FALSE(client.wait_end(100ms));
  client.attached->reset();
  EXPECT_FALSE(events_.wait_exit(*id, 100ms)) << "stdin stays open for the next client";
  ASSERT_TRUE(monitor_->close_stdin(*id));
  auto exit = events_.wait_exit(*id);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->exit_code, 3);
  EXPECT_EQ(client.read_out(), "") << "the end of the pipe";
  ASSERT_TRUE(client.wait_end());
  EXPECT_TRUE(*client.wait_end());
  auto log = log_of(*id);
  EXPECT_NE(log.find("stdout F got one\n"), std::string::npos) << log;
  EXPECT_NE(log.find("stderr F err one\n"), std::string::npos) << log;
}

TEST_F(AttachTest, OnlyWhatWasAskedFor) {
  launch_with_pause();
  auto id = run({.command = shell(std::string(kWaitForGo) + "echo out; echo err >&2")});
  ASSERT_TRUE(id);
  Client err(*monitor_, *id, {.err = true});
  Client quiet(*monitor_, *id, {.out = true, .quiet = true});
  Client in(*monitor_, *id, {.in = true, .out = true});
  ASSERT_TRUE(err.attached && quiet.attached && in.attached);
  EXPECT_FALSE(*err.attached);
  EXPECT_FALSE(*in.attached) << "it has no stdin";
  ASSERT_TRUE(sys::write_file(rootfs_ + "/tmp/go", "", 0644));
  EXPECT_EQ(err.read_err(), "err\n");
  EXPECT_EQ(quiet.read_out(), "");
  EXPECT_EQ(in.read_out(), "out\n");
  for (const Client* client : {&err, &quiet, &in}) {
    auto end = client->wait_end();
    ASSERT_TRUE(end);
    EXPECT_TRUE(*end);
  }
}

TEST_F(AttachTest, WhoCannotKeepUpIsLetGoAndTheLogIsWhole) {
  launch_with_pause();
  constexpr int kLines = 200'000;
  auto id = run({.command = shell(std::string(kWaitForGo) + "seq 1 " + std::to_string(kLines))});
  ASSERT_TRUE(id);
  Client slow(*monitor_, *id, {.out = true, .err = true});
  ASSERT_TRUE(slow.attached);
  ASSERT_TRUE(sys::write_file(rootfs_ + "/tmp/go", "", 0644));
  auto end = slow.wait_end();
  ASSERT_TRUE(end);
  ASSERT_FALSE(*end);
  EXPECT_EQ(end->error().kind, ErrorKind::resource_exhausted) << end->error().text();
  ASSERT_TRUE(events_.wait_exit(*id)) << "nobody reads, and it ends";
  EXPECT_EQ(log_of(*id), lines_up_to(kLines, "stdout F ", "\n"));
  auto seen = slow.read_out();
  EXPECT_FALSE(seen.empty()) << "what was taken before is there";
  EXPECT_TRUE(lines_up_to(kLines, "", "\n").starts_with(seen));
}

TEST_F(AttachTest, EachOfManySeesAllAndOneThatGoesTakesNobodyAlong) {
  launch_with_pause();
  auto id = run({.command = shell("echo early; " + std::string(kWaitForGo) + "seq 1 2000")});
  ASSERT_TRUE(id);
  wait_file(log_path(*id), [](const std::string& t) { return t.find("early") != std::string::npos; });
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < kMaxAttachments; i++)
    clients.push_back(std::make_unique<Client>(*monitor_, *id, AttachWish{.out = true}));
  Client above(*monitor_, *id, {.out = true});
  ASSERT_FALSE(above.attached);
  EXPECT_EQ(above.attached.error().kind, ErrorKind::resource_exhausted);
  for (std::size_t i = 0; i < clients.size(); i += 2) {
    clients[i]->drop();
    auto end = clients[i]->wait_end();
    ASSERT_TRUE(end) << "the monitor sees it go, also while the container is silent";
  }
  ASSERT_TRUE(sys::write_file(rootfs_ + "/tmp/go", "", 0644));
  for (std::size_t i = 1; i < clients.size(); i += 2) EXPECT_EQ(clients[i]->read_out(), lines_up_to(2000, "", "\n"));
  ASSERT_TRUE(events_.wait_exit(*id));
}

TEST_F(AttachTest, ATerminalIsWrittenAndSizedButReadByTheLogAlone) {
  launch_with_pause();
  auto id = run({.command = shell("stty -echo; echo ready; while read x; do stty size; done"), .stdio = {.tty = true}});
  ASSERT_TRUE(id) << id.error().text();
  wait_file(log_path(*id), [](const std::string& t) { return t.find("ready") != std::string::npos; });
  Client client(*monitor_, *id, {.in = true, .out = true});
  ASSERT_TRUE(client.attached && *client.attached) << "the master";
  const winsize size{.ws_row = 33, .ws_col = 77, .ws_xpixel = 0, .ws_ypixel = 0};
  ASSERT_EQ(::ioctl(client.attached->get(), TIOCSWINSZ, &size), 0);
  client.write("x\n");
  EXPECT_EQ(client.read_out("33 77\r\n"), "33 77\r\n");
  client.write("\x04");  // end of file from the terminal
  ASSERT_TRUE(events_.wait_exit(*id));
  EXPECT_EQ(client.read_out(), "");
  auto end = client.wait_end();
  ASSERT_TRUE(end);
  EXPECT_TRUE(*end);
}

TEST_F(AttachTest, NobodyAttachesToWhatDoesNotRun) {
  launch_with_pause();
  auto id = run({.command = {"/bin/true"}});
  ASSERT_TRUE(id);
  ASSERT_TRUE(events_.wait_exit(*id));
  Client late(*monitor_, *id, {.out = true});
  ASSERT_FALSE(late.attached);
  EXPECT_EQ(late.attached.error().kind, ErrorKind::failed_precondition);
  Client unknown(*monitor_, new_container_id(), {.out = true});
  ASSERT_FALSE(unknown.attached);
  EXPECT_EQ(unknown.attached.error().kind, ErrorKind::not_found);
  EXPECT_FALSE(late.wait_end(50ms) || unknown.wait_end(50ms));
}

TEST_F(AttachTest, AttachToOutputThatHasEndedEndsAtOnce) {
  launch_with_pause();
  auto id = run({.command = shell("echo last; exec >&- 2>&-; sleep 1000")});
  ASSERT_TRUE(id);
  std::optional<Result<int>> end;
  for (int i = 0; i < 100 && !end; i++) {  // the shell may not have come that far
    Client client(*monitor_, *id, {.out = true, .err = true});
    ASSERT_TRUE(client.attached);
    end = client.wait_end(100ms);
  }
  ASSERT_TRUE(end);
  EXPECT_TRUE(*end);
}

// The loop's thread is slow, and the owner of the connection lets go of it before it has looked.
class SlowLoop : public AttachTest {
 protected:
  // Until release() the loop's thread does nothing.
  void hold() {
    const auto other = *SandboxId::parse(random_hex(32));
    ASSERT_TRUE(sys::make_dirs(dir_ + "/other"));
    events_.on_gone = [this, other](const SandboxId& id) {
      if (id != other) return;
      held_.set_value();
      released_.get_future().wait();
    };
    auto monitor = launch_monitor(*loop_, {.id = other, .sandbox_dir = dir_ + "/other", .cgroup_files = {}});
    ASSERT_TRUE(monitor) << monitor.error().text();
    ::kill((*monitor)->process().pid, SIGKILL);
    held_.get_future().wait();
  }
  void release() { released_.set_value(); }
  // A container with a client; its monitor has ended, and the loop has yet to look.
  void attach_and_kill() {
    launch_with_pause();
    auto id = run({.command = shell("sleep 1000")});
    ASSERT_TRUE(id);
    client_.emplace(*monitor_, *id, AttachWish{.out = true});
    ASSERT_TRUE(client_->attached);
    ASSERT_NO_FATAL_FAILURE(hold());
    auto pidfd = sys::pidfd_open(monitor_->process());
    ASSERT_TRUE(pidfd);
    ASSERT_TRUE(sys::pidfd_signal(*pidfd, SIGKILL));
    ASSERT_TRUE(sys::pidfd_wait(*pidfd, 10s).value_or(false));
  }
  void expect_told() {
    const auto end = client_->wait_end(5s);
    ASSERT_TRUE(end) << "nobody told";
    EXPECT_EQ(end->error().kind, ErrorKind::unavailable);
  }

 private:
  std::promise<void> held_, released_;
  std::optional<Client> client_;
};

TEST_F(SlowLoop, AClientOfAMonitorThatWasShutDownIsToldItsEnd) {
  ASSERT_NO_FATAL_FAILURE(attach_and_kill());
  auto down = std::async(std::launch::async, [&] { return monitor_->shutdown(10s); });
  EXPECT_EQ(down.wait_for(100ms), std::future_status::timeout) << "what it said last has not been told";
  release();
  EXPECT_TRUE(down.get());
  monitor_.reset();
  expect_told();
}

TEST_F(SlowLoop, AClientOfAConnectionThatWasDroppedIsToldItsEnd) {
  ASSERT_NO_FATAL_FAILURE(attach_and_kill());
  monitor_.reset();
  release();
  expect_told();
}

TEST_F(AttachTest, ClientsThatComeAndGoLeaveNothingInTheMonitor) {
  launch_with_pause();
  auto id = run({.command = shell("while :; do echo spam; usleep 500; done"), .stdio = {.stdin_open = true}});
  ASSERT_TRUE(id);
  auto rounds = [&](int count) {
    for (int i = 0; i < count; i++) {
      Client client(*monitor_, *id, {.in = true, .out = i % 2 == 0, .err = true});
      ASSERT_TRUE(client.attached);
      if (i % 4 == 0) client.read_out("spam\n");
      client.drop();
      ASSERT_TRUE(client.wait_end());
    }
  };
  const auto pid = std::to_string(monitor_->process().pid);
  auto heap = [&] {
    auto text = sys::read_file("/proc/" + pid + "/status").value_or("");
    return std::strtol(text.c_str() + text.find("VmData:") + 7, nullptr, 10);
  };
  rounds(40);
  const auto fds = sys::list_dir("/proc/" + pid + "/fd")->size();
  const auto before = heap();
  rounds(400);
  EXPECT_EQ(sys::list_dir("/proc/" + pid + "/fd")->size(), fds);
  EXPECT_EQ(heap(), before) << "kB of data";
}

}  // namespace
}  // namespace podshim::test
