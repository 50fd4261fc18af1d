// Exec with a client: pipes, half-close, clients that go, leaves that are used again.
#include "tests/root/shim-lifecycle/stream_fixture.h"

namespace podshim::lifecycle::test {
namespace {

class ExecStream : public LifecycleTest {
 protected:
  void SetUp() override {
    LifecycleTest::SetUp();
    sandbox_ = run(pod());
    id_ = launch(sandbox_, script("c", "sleep 1000"));
  }
  std::unique_ptr<ProcessStream> open(const std::string& text, const StreamRequest& request, End& end) {
    auto stream = runtime->open_exec(id_.str(), {"sh", "-c", text}, request, end.call());
    if (!stream) ADD_FAILURE() << stream.error().text();
    return stream ? *std::move(stream) : nullptr;
  }
  std::size_t open_fds() const { return sys::list_dir("/proc/self/fd").value().size(); }
  SandboxId sandbox_;
  ContainerId id_;
};

TEST_F(ExecStream, PipesHalfCloseAndCode) {
  End end;
  auto stream = open("cat; echo err >&2; exit 7", {.in = true, .out = true, .err = true}, end);
  ASSERT_TRUE(stream);
  EXPECT_FALSE(stream->terminal);
  write_to(stream->in, "one\n");
  EXPECT_EQ(read_until(stream->out, has("one\n")), "one\n");
  EXPECT_FALSE(end.wait(milliseconds(100)));
  write_to(stream->in, "two\n");
  stream->end_stdin();
  EXPECT_EQ(read_until(stream->out), "two\n");
  EXPECT_EQ(read_until(stream->err), "err\n");
  EXPECT_EQ(end.code(), 7);
}

TEST_F(ExecStream, OurEndsDoNotBlockAndCloseOnExec) {
  End end;
  auto stream = open("cat >/dev/null", {.in = true, .out = true, .err = true}, end);
  ASSERT_TRUE(stream);
  for (const Fd* fd : {&stream->in, &stream->out, &stream->err}) {
    EXPECT_NE(::fcntl(fd->get(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC, 0);
  }
  stream->end_stdin();
  EXPECT_EQ(end.code(), 0);
}

TEST_F(ExecStream, WhatIsNotAskedForIsNull) {
  End end;
  auto stream =
      open("cat; test -p /proc/self/fd/1 && exit 3; test -p /proc/self/fd/2 && exit 4; yes | dd bs=1M count=1; exit 9",
           {}, end);
  ASSERT_TRUE(stream);
  EXPECT_FALSE(stream->in || stream->out || stream->err || stream->terminal);
  EXPECT_EQ(end.code(), 9) << "its read and its writes must not wait";
}

TEST_F(ExecStream, BadOnesNeverEnd) {
  End end;
  const StreamRequest all{.in = true, .out = true, .err = true};
  auto missing = runtime->open_exec(id_.str(), {"/no/such"}, all, end.call());
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().text().find("/no/such"), std::string::npos) << missing.error().text();
  EXPECT_EQ(runtime->open_exec(id_.str(), {}, all, end.call()).error().kind, ErrorKind::invalid_argument);
  EXPECT_EQ(runtime->open_exec("feed", {"true"}, all, end.call()).error().kind, ErrorKind::not_found);
  auto created = create(sandbox_, script("created", "true"));
  EXPECT_EQ(runtime->open_exec(created.str(), {"true"}, all, end.call()).error().kind, ErrorKind::failed_precondition);
  EXPECT_FALSE(end.wait(milliseconds(100)));
}

TEST_F(ExecStream, AClientThatHasGoneTakesItsSubtreeAlong) {
  End end;
  auto stream = open("(sleep 6541 &) ; sleep 6542 & sleep 6543", {.out = true}, end);
  ASSERT_TRUE(stream);
  stream.reset();
  EXPECT_EQ(end.code(), 137);
  EXPECT_TRUE(eventually([&] { return shell(id_, "ps | grep -c '[s]leep 654' || true") == "0"; }));
  EXPECT_EQ(runtime->container(id_.str()).value()->state, ContainerState::running);
}

// The daemon stops right after its clients have gone.
TEST_F(ExecStream, ADaemonThatStopsTakesThemAlongAllTheSame) {
  std::vector<std::unique_ptr<End>> ends;
  std::vector<std::unique_ptr<ProcessStream>> streams;
  for (int i = 0; i < 12; i++) {
    ends.push_back(std::make_unique<End>());
    streams.push_back(open("setsid sleep 6561 & sleep 6562 & echo on; wait", {.out = true}, *ends.back()));
    ASSERT_TRUE(streams.back());
    EXPECT_EQ(read_until(streams.back()->out, has("on\n")), "on\n");
  }
  streams.clear();
  stop();
  start();
  EXPECT_TRUE(eventually([&] { return shell(id_, "ps | grep -c '[s]leep 656' || true") == "0"; }));
  EXPECT_TRUE(eventually([&] { return sys::list_dir(dir + "/state/kills").value().empty(); }));
  EXPECT_EQ(runtime->container(id_.str()).value()->state, ContainerState::running);
}

TEST_F(ExecStream, WhatAnEndedExecLeftRunningStays) {
  End end;
  auto stream = open("sleep 76 >/dev/null 2>&1 & echo started", {.out = true, .err = true}, end);
  ASSERT_TRUE(stream);
  EXPECT_EQ(read_until(stream->out), "started\n");
  EXPECT_EQ(end.code(), 0);
  stream.reset();
  runtime->wait_idle();
  EXPECT_EQ(shell(id_, "ps | grep -c '[s]leep 76'"), "1");
}

TEST_F(ExecStream, TheContainersEndEndsIt) {
  End end;
  auto stream = open("sleep 1000", {.in = true, .out = true}, end);
  ASSERT_TRUE(stream);
  EXPECT_TRUE(runtime->stop_container(id_.str(), seconds(0)));
  EXPECT_EQ(end.code(), 137);
  EXPECT_EQ(read_until(stream->out), "");
}

// Clients that go at once, in the middle, after the end, many at a time: no fd stays, and
// leaves are used again.
TEST_F(ExecStream, SessionsThatComeAndGoLeaveNothing) {
  constexpr int kCallers = 8, kRounds = 10;
  auto round = [&](int i) {
    End end;
    auto stream = open(i % 3 == 0 ? "sleep 1000" : "echo $$; cat", {.in = true, .out = true, .err = true}, end);
    ASSERT_TRUE(stream);
    if (i % 3 == 1) read_until(stream->out, has("\n"));
    if (i % 3 == 2) {
      stream->end_stdin();
      read_until(stream->out);
      EXPECT_EQ(end.code(), 0);
    }
    stream.reset();
    EXPECT_TRUE(end.wait());
  };
  round(0);
  runtime->wait_idle();
  const auto before = open_fds();
  std::vector<std::thread> callers;
  for (int t = 0; t < kCallers; t++)
    callers.emplace_back([&, t] {
      for (int i = 0; i < kRounds; i++) round(t + i);
    });
  for (auto& t : callers) t.join();
  runtime->wait_idle();
  // Threads that have let go of a session may close its last descriptor a moment later.
  EXPECT_TRUE(eventually([&] { return open_fds() <= before; })) << open_fds() << " open, before " << before;
  EXPECT_EQ(shell(id_, "ps | grep -c '[s]leep 1000' || true"), "1") << "the container's own";
  EXPECT_LT(exec_leaves(id_), kCallers * kRounds / 2U);
  // A leaf is given back a moment after its session's end, by a chore. Sessions that come before that make another one,
  // which stays and is used by the next; leaves that are never used again grow in number each time.
  EXPECT_TRUE(eventually([&] {
    const auto leaves = exec_leaves(id_);
    for (int i = 0; i < 6; i++) round(i);
    return exec_leaves(id_) == leaves;
  })) << "not used again";
}

}  // namespace
}  // namespace podshim::lifecycle::test
