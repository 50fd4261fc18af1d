// Logs as files on disk, terminals, stdin.
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>

#include <thread>

#include "common/sys/file.h"
#include "pod_fixture.h"

namespace podshim::test {
namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST_F(PodTest, LogFileExistsWhenStartReturnsAndUnterminatedLineIsClosed) {
  launch_with_pause();
  auto id = run({.command = shell("printf 'no newline'; printf 'err' >&2")});
  ASSERT_TRUE(id) << id.error().text();
  struct stat st{};
  ASSERT_EQ(::stat(log_path(*id).c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0640U);
  ASSERT_TRUE(events_.wait_exit(*id));
  auto log = log_of(*id);
  EXPECT_TRUE(has(log, "stdout F no newline\n")) << log;
  EXPECT_TRUE(has(log, "stderr F err\n")) << log;
}

TEST_F(PodTest, MissingLogDirectoryFailsTheStartAndNamesThePath) {
  launch_with_pause();
  auto id = run({.command = {"/bin/true"}, .stdio = {.log_path = dir_ + "/nowhere/x.log"}});
  ASSERT_FALSE(id);
  EXPECT_TRUE(id.error().is(ENOENT));
  EXPECT_TRUE(has(id.error().text(), "/nowhere/x.log")) << id.error().text();
}

TEST_F(PodTest, EveryByteIsThereBeforeTheExitIsTold) {
  launch_with_pause();
  for (int round = 0; round < 20; round++) {
    auto id = run({.command = shell("seq 1 20000")});
    ASSERT_TRUE(id);
    ASSERT_TRUE(events_.wait_exit(*id));
    std::string want;
    for (int i = 1; i <= 20000; i++) want += "stdout F " + std::to_string(i) + "\n";
    ASSERT_EQ(log_of(*id), want);
    ASSERT_TRUE(monitor_->remove_container(*id));
  }
}

TEST_F(PodTest, AGrandchildThatHoldsThePipeDelaysNoExitAndIsStillLogged) {
  launch_with_pause();
  auto id =
      run({.command = shell("setsid sh -c 'while ! test -e /tmp/go; do usleep 5000; done; echo late' & echo early"),
           .namespaces = CLONE_NEWNS,
           .join_sandbox_pid = true});
  ASSERT_TRUE(id);
  ASSERT_TRUE(events_.wait_exit(*id)) << "while the grandchild still holds the pipe";
  EXPECT_EQ(log_of(*id), "stdout F early\n");
  ASSERT_TRUE(sys::write_file(rootfs_ + "/tmp/go", "", 0644));
  auto log = wait_file(log_path(*id), [](const std::string& t) { return has(t, "late\n"); });
  EXPECT_TRUE(has(log, "stdout F late\n"));
}

TEST_F(PodTest, ADaemonizedWriterWithoutPauseDoesNotDelayTheExitForever) {
  launch_with_pause();
  auto id = run({.command = shell("setsid sh -c 'while true; do echo spam; done' & usleep 50000; exit 4"),
                 .namespaces = CLONE_NEWNS,
                 .join_sandbox_pid = true});
  ASSERT_TRUE(id);
  auto exit = events_.wait_exit(*id);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->exit_code, 4);
  ASSERT_TRUE(monitor_->remove_container(*id)) << "its pipe goes, the writer ends by SIGPIPE or with pause";
}

TEST_F(PodTest, ReopenedLogIsANewFile) {
  launch_with_pause();
  auto id = run({.command = shell("echo one; while ! test -e /tmp/go; do usleep 5000; done; echo two")});
  ASSERT_TRUE(id);
  auto path = log_path(*id);
  wait_file(path, [](const std::string& t) { return has(t, "one"); });
  ASSERT_EQ(::rename(path.c_str(), (path + ".old").c_str()), 0);
  auto reopened = monitor_->reopen_log(*id);
  ASSERT_TRUE(reopened) << reopened.error().text();
  ASSERT_TRUE(sys::exists(path));
  ASSERT_TRUE(sys::write_file(rootfs_ + "/tmp/go", "", 0644));
  ASSERT_TRUE(events_.wait_exit(*id));
  EXPECT_EQ(log_of(*id), "stdout F two\n");
  EXPECT_EQ(without_times(*sys::read_file(path + ".old")), "stdout F one\n");
}

TEST_F(PodTest, ReopenThatFailsKeepsTheOldFile) {
  launch_with_pause();
  ASSERT_TRUE(sys::make_dir(dir_ + "/logs/sub"));
  TestContainer c{.command = shell("while ! test -e /tmp/go; do usleep 5000; done; echo kept"),
                  .stdio = {.log_path = dir_ + "/logs/sub/c.log"}};
  auto id = run(c);
  ASSERT_TRUE(id);
  ASSERT_EQ(::rename((dir_ + "/logs/sub").c_str(), (dir_ + "/logs/moved").c_str()), 0);
  auto reopened = monitor_->reopen_log(*id);
  ASSERT_FALSE(reopened);
  EXPECT_TRUE(reopened.error().is(ENOENT));
  ASSERT_TRUE(sys::write_file(rootfs_ + "/tmp/go", "", 0644));
  ASSERT_TRUE(events_.wait_exit(*id));
  EXPECT_EQ(without_times(*sys::read_file(dir_ + "/logs/moved/c.log")), "stdout F kept\n");
}

TEST_F(PodTest, RotationKeepsFilesBelowTheLimitAndLosesOnlyTheOldest) {
  launch_with_pause();
  constexpr std::int64_t kLimit = 64 * 1024;
  constexpr int kFiles = 4, kLines = 12000;
  auto id = run({.command = shell("seq -f 'line %06.0f of the log' 1 " + std::to_string(kLines) +
                                  " 2>/dev/null || "
                                  "seq 1 " +
                                  std::to_string(kLines)),
                 .stdio = {.log_max_bytes = kLimit, .log_max_files = kFiles}});
  ASSERT_TRUE(id);
  ASSERT_TRUE(events_.wait_exit(*id));
  std::string all;
  for (int n = kFiles - 1; n >= 0; n--) {
    auto text = sys::read_file(log_path(*id) + (n == 0 ? "" : "." + std::to_string(n)));
    ASSERT_TRUE(text) << n;
    EXPECT_LE(text->size(), static_cast<std::size_t>(kLimit));
    EXPECT_TRUE(text->empty() || text->back() == '\n');
    all += *text;
  }
  EXPECT_FALSE(sys::exists(log_path(*id) + "." + std::to_string(kFiles)));
  // What is left is the gapless tail.
  auto lines = without_times(all);
  int last = 0, count = 0;
  std::size_t at = 0;
  for (; at < lines.size(); count++) {
    auto end = lines.find('\n', at);
    auto digits = lines.substr(at, end - at);
    std::erase_if(digits, [](char ch) { return ch < '0' || ch > '9'; });
    int value = std::stoi(digits);
    if (last != 0) {
      ASSERT_EQ(value, last + 1);
    }
    last = value;
    at = end + 1;
  }
  EXPECT_EQ(last, kLines);
  EXPECT_GT(count, 1000);
}

TEST_F(PodTest, AFullDiskNeverBlocksTheContainer) {
  launch_with_pause();
  auto id = run({.command = shell("seq 1 100000; exit 5"), .stdio = {.log_path = "/dev/full"}});
  ASSERT_TRUE(id) << id.error().text();
  auto exit = events_.wait_exit(*id);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->exit_code, 5);
}

TEST_F(PodTest, TerminalIsControllingAndLoggedAsStdout) {
  launch_with_pause();
  auto id = run({.command = shell(
                     "tty; test -t 0 && test -t 1 && test -t 2 && echo terminal; echo x > /dev/tty; "
                     "test -c /dev/console && echo console; test -c /dev/ptmx && echo ptmx; echo err >&2; printf end"),
                 .stdio = {.tty = true}});
  ASSERT_TRUE(id) << id.error().text();
  ASSERT_TRUE(events_.wait_exit(*id));
  EXPECT_EQ(log_of(*id),
            "stdout F /dev/pts/0\r\nstdout F terminal\r\nstdout F x\r\nstdout F console\r\nstdout F ptmx\r\nstdout F "
            "err\r\nstdout F end\n");
}

// As an init does that opens /dev/console for each of its services.
TEST_F(PodTest, ATerminalThatNobodyHasOpenIsStillThere) {
  launch_with_pause();
  auto id = run({.command = shell("trap 'echo hangup >/dev/console' HUP; echo early; exec </dev/null >/dev/null 2>&1; "
                                  "while ! test -e /tmp/go; do usleep 5000; done; echo late >/dev/console"),
                 .stdio = {.tty = true}});
  ASSERT_TRUE(id) << id.error().text();
  wait_file(log_path(*id), [](const std::string& t) { return t.find("early") != std::string::npos; });
  std::this_thread::sleep_for(100ms);  // without its terminal
  ASSERT_TRUE(sys::write_file(rootfs_ + "/tmp/go", "", 0644));
  ASSERT_TRUE(events_.wait_exit(*id));
  EXPECT_EQ(log_of(*id), "stdout F early\r\nstdout F late\r\n");
}

TEST_F(PodTest, ShortTerminalOutputIsAlwaysWhole) {
  launch_with_pause();
  for (int i = 0; i < 50; i++) {
    auto id = run({.command = {"/bin/echo", std::to_string(i)}, .stdio = {.tty = true}});
    ASSERT_TRUE(id) << id.error().text();
    ASSERT_TRUE(events_.wait_exit(*id));
    ASSERT_EQ(log_of(*id), "stdout F " + std::to_string(i) + "\r\n");
    ASSERT_TRUE(monitor_->remove_container(*id));
  }
}

TEST_F(PodTest, StdinIsNullOrStaysOpen) {
  launch_with_pause();
  auto closed = run({.command = shell("cat; echo end")});
  ASSERT_TRUE(closed);
  ASSERT_TRUE(events_.wait_exit(*closed));
  EXPECT_EQ(log_of(*closed), "stdout F end\n");
  auto open = run({.command = shell("cat; echo end"), .stdio = {.stdin_open = true}});
  ASSERT_TRUE(open);
  EXPECT_FALSE(events_.wait_exit(*open, 200ms)) << "its read must wait";
}

TEST_F(PodTest, PipesBelongToTheUserOfTheContainer) {
  launch_with_pause();
  TestContainer c{.command = shell("id -u; id -g; echo reopened > /proc/self/fd/1")};
  c.before_exec = {{.op = Op::set_groups}, {.op = Op::set_gid, .x = 2000}, {.op = Op::set_uid, .x = 1000}};
  auto id = run(c);
  ASSERT_TRUE(id) << id.error().text();
  ASSERT_TRUE(events_.wait_exit(*id));
  EXPECT_EQ(log_of(*id), "stdout F 1000\nstdout F 2000\nstdout F reopened\n");
}

}  // namespace
}  // namespace podshim::test
