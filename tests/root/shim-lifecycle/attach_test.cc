// Attach through the runtime: stdin_once, terminals, a daemon that goes and comes back.
#include <sys/ioctl.h>

#include "tests/root/shim-lifecycle/stream_fixture.h"

namespace podshim::lifecycle::test {
namespace {

class Attach : public LifecycleTest {
 protected:
  void SetUp() override {
    LifecycleTest::SetUp();
    sandbox_ = run(pod());
  }
  ContainerId launch_with_stdin(const std::string& text, bool once, bool tty = false) {
    auto spec = script("c", text);
    spec.stdin_open = true;
    spec.stdin_once = once;
    spec.tty = tty;
    return launch(sandbox_, spec);
  }
  std::unique_ptr<ProcessStream> attach(const ContainerId& id, const StreamRequest& request, End& end) {
    auto stream = runtime->attach(id.str(), request, end.call());
    if (!stream) ADD_FAILURE() << stream.error().text();
    return stream ? *std::move(stream) : nullptr;
  }
  SandboxId sandbox_;
};

TEST_F(Attach, AShellThatReadsStdinOnceEndsWithItsClient) {
  auto id = launch_with_stdin("sh", true);
  End end;
  auto stream = attach(id, {.in = true, .out = true, .err = true}, end);
  ASSERT_TRUE(stream);
  write_to(stream->in, "echo here; echo there >&2\n");
  EXPECT_EQ(read_until(stream->out, has("here\n")), "here\n");
  EXPECT_EQ(read_until(stream->err, has("there\n")), "there\n");
  write_to(stream->in, "(exit 5)\n");
  stream->end_stdin();
  EXPECT_EQ(wait_exit(id).exit_code, 5);
  EXPECT_EQ(read_until(stream->out), "");
  EXPECT_EQ(end.code(), 0);
}

TEST_F(Attach, AClientThatGoesEndsStdinOnceToo) {
  auto id = launch_with_stdin("cat; exit 6", true);
  End end, watcher_end;
  auto watcher = attach(id, {.out = true}, watcher_end);
  ASSERT_TRUE(watcher);
  watcher.reset();  // had no stdin
  EXPECT_EQ(watcher_end.code(), 0);
  auto stream = attach(id, {.in = true, .out = true}, end);
  ASSERT_TRUE(stream);
  EXPECT_EQ(runtime->container(id.str()).value()->state, ContainerState::running);
  stream.reset();
  EXPECT_EQ(wait_exit(id).exit_code, 6);
}

TEST_F(Attach, StdinStaysOpenForTheNextClient) {
  auto id = launch_with_stdin("while read x; do echo $x; done", false);
  for (const char* text : {"first\n", "second\n"}) {
    End end;
    auto stream = attach(id, {.in = true, .out = true}, end);
    ASSERT_TRUE(stream);
    write_to(stream->in, text);
    EXPECT_EQ(read_until(stream->out, has("\n")), text);
    stream->end_stdin();
    EXPECT_FALSE(end.wait(milliseconds(50)));
  }
  EXPECT_EQ(runtime->container(id.str()).value()->state, ContainerState::running);
}

TEST_F(Attach, ATerminalTakesInputAndSize) {
  auto id = launch_with_stdin("while read x; do stty size; done", false, true);
  End end;
  auto stream = attach(id, {.in = true, .out = true, .tty = true}, end);
  ASSERT_TRUE(stream);
  EXPECT_TRUE(stream->terminal && stream->out && !stream->in && !stream->err);
  const winsize size{.ws_row = 44, .ws_col = 99, .ws_xpixel = 0, .ws_ypixel = 0};
  ASSERT_EQ(::ioctl(stream->terminal.get(), TIOCSWINSZ, &size), 0);
  write_to(stream->terminal, "\n");
  EXPECT_NE(read_until(stream->out, has("44 99\r\n")).find("44 99\r\n"), std::string::npos);
  stream->end_stdin();
  write_to(stream->terminal, "\x04");
  EXPECT_EQ(wait_exit(id).exit_code, 0);
  EXPECT_EQ(end.code(), 0);
}

TEST_F(Attach, WithoutOutputTheEndIsToldAllTheSame) {
  auto id = launch_with_stdin("read x; exit 4", false);
  End end;
  auto stream = attach(id, {.in = true}, end);
  ASSERT_TRUE(stream);
  EXPECT_FALSE(stream->out || stream->err || stream->terminal);
  write_to(stream->in, "go\n");
  EXPECT_EQ(end.code(), 0);
  EXPECT_EQ(wait_exit(id).exit_code, 4);
}

TEST_F(Attach, WhatCannotBeAttachedTo) {
  End end;
  EXPECT_EQ(runtime->attach("feed", {.out = true}, end.call()).error().kind, ErrorKind::not_found);
  auto id = create(sandbox_, script("created", "true"));
  EXPECT_EQ(runtime->attach(id.str(), {.out = true}, end.call()).error().kind, ErrorKind::failed_precondition);
  ASSERT_TRUE(runtime->start_container(id.str()));
  wait_exit(id);
  EXPECT_EQ(runtime->attach(id.str(), {.out = true}, end.call()).error().kind, ErrorKind::failed_precondition);
  EXPECT_FALSE(end.wait(milliseconds(50)));
}

// A loud container, one client that does not read, one that does, and the log.
TEST_F(Attach, ASlowClientCostsTheContainerNothing) {
  constexpr int kLines = 300'000;
  auto id = launch_with_stdin("read x; seq 1 " + std::to_string(kLines), false);
  End slow_end, end;
  auto slow = attach(id, {.out = true}, slow_end);
  auto stream = attach(id, {.in = true}, end);
  ASSERT_TRUE(slow && stream);
  write_to(stream->in, "go\n");
  auto told = slow_end.wait();
  ASSERT_TRUE(told);
  ASSERT_FALSE(*told);
  EXPECT_EQ(told->error().kind, ErrorKind::resource_exhausted) << told->error().text();
  EXPECT_EQ(end.code(), 0);
  EXPECT_EQ(wait_exit(id, seconds(30)).exit_code, 0);
  const std::string log = read(dir + "/logs/c.log");
  std::size_t at = 0;
  for (int i = 1; i <= kLines; i++) {
    const std::string want = " stdout F " + std::to_string(i) + "\n";
    const auto newline = log.find('\n', at);
    ASSERT_NE(newline, std::string::npos) << "line " << i;
    ASSERT_TRUE(std::string_view(log).substr(at, newline + 1 - at).ends_with(want)) << "line " << i;
    at = newline + 1;
  }
  EXPECT_EQ(at, log.size());
  EXPECT_GE(read_until(slow->out).size(), 512U * 1024) << "the pipe was made larger than usual";
}

TEST_F(Attach, ANewDaemonAttachesAgain) {
  auto id = launch_with_stdin("while read x; do echo $x; done", false);
  End before, after;
  auto stream = attach(id, {.in = true, .out = true}, before);
  ASSERT_TRUE(stream);
  stream.reset();
  stop();
  start();
  stream = attach(id, {.in = true, .out = true}, after);
  ASSERT_TRUE(stream);
  write_to(stream->in, "still\n");
  EXPECT_EQ(read_until(stream->out, has("still\n")), "still\n");
}

}  // namespace
}  // namespace podshim::lifecycle::test
