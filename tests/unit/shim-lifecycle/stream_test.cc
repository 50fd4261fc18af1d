// What the runtime makes of streaming requests before and after it asks the machine.
#include "tests/unit/shim-lifecycle/runtime_fixture.h"

namespace podshim::lifecycle::test {
namespace {

using std::chrono::seconds;

class Streams : public RuntimeTest {
 protected:
  void SetUp() override {
    RuntimeTest::SetUp();
    sandbox = runtime->run_sandbox(pod()).value();
    id = runtime->create_container(sandbox.str(), container()).value();
    ASSERT_TRUE(runtime->start_container(id.str()));
  }
  StreamEnd count() {
    return [this](Result<int> result) {
      std::lock_guard lock(mutex);
      ends.push_back(std::move(result));
    };
  }
  SandboxId sandbox;
  ContainerId id;
  std::mutex mutex;
  std::vector<Result<int>> ends;
};

TEST_F(Streams, DialGoesIntoTheSandboxesNetns) {
  EXPECT_TRUE(runtime->dial(sandbox.str(), 8080));
  ASSERT_EQ(machine.dialed.size(), 1U);
  EXPECT_TRUE(machine.dialed[0].starts_with("/fake/netns/podshim-")) << machine.dialed[0];
  EXPECT_TRUE(machine.dialed[0].ends_with(sandbox.str() + ":8080")) << machine.dialed[0];
  auto spec = pod("host");
  spec.namespaces.network = NamespaceMode::node;
  EXPECT_TRUE(runtime->dial(runtime->run_sandbox(spec).value().str(), 80));
  EXPECT_EQ(machine.dialed.back(), ":80");
}

TEST_F(Streams, DialWhatCannotBe) {
  EXPECT_EQ(runtime->dial("feed", 80).error().kind, ErrorKind::not_found);
  EXPECT_EQ(runtime->dial(sandbox.str(), 0).error().kind, ErrorKind::invalid_argument);
  ASSERT_TRUE(runtime->stop_sandbox(sandbox.str()));
  EXPECT_EQ(runtime->dial(sandbox.str(), 80).error().kind, ErrorKind::failed_precondition);
  EXPECT_TRUE(machine.dialed.empty());
}

TEST_F(Streams, AttachAsksForWhatTheContainerHas) {
  struct Case {
    const char* name;
    bool tty, once;
    StreamRequest request;
    bool pipe_out, pipe_err, in, quiet, stream_in, stream_terminal, stream_out, stream_err, closes_stdin;
  } cases[] = {
      {"all",
       false,
       false,
       {.in = true, .out = true, .err = true},
       true,
       true,
       true,
       false,
       true,
       false,
       true,
       true,
       false},
      {"out", false, false, {.out = true}, true, false, false, false, false, false, true, false, false},
      {"stdin alone", false, false, {.in = true}, true, false, true, true, true, false, false, false, false},
      {"once", false, true, {.in = true, .out = true}, true, false, true, false, true, false, true, false, true},
      {"once, only watched", false, true, {.out = true}, true, false, false, false, false, false, true, false, false},
      {"tty",
       true,
       false,
       {.in = true, .out = true, .tty = true},
       true,
       false,
       true,
       false,
       false,
       true,
       true,
       false,
       false},
      {"tty has no stderr",
       true,
       false,
       {.out = true, .err = true, .tty = true},
       true,
       false,
       true,
       false,
       false,
       true,
       true,
       false,
       false},
      {"tty once",
       true,
       true,
       {.in = true, .out = true, .tty = true},
       true,
       false,
       true,
       false,
       false,
       true,
       true,
       false,
       false},
  };
  int n = 0;
  for (const auto& c : cases) {
    auto spec = container("attached-" + std::to_string(n++));
    spec.stdin_open = true;
    spec.stdin_once = c.once;
    spec.tty = c.tty;
    auto watched = runtime->create_container(sandbox.str(), spec).value();
    ASSERT_TRUE(runtime->start_container(watched.str()));
    machine.closed_stdin.clear();
    auto stream = runtime->attach(watched.str(), c.request, count());
    ASSERT_TRUE(stream) << c.name;
    const auto& asked = machine.attached.back();
    EXPECT_EQ(asked.container, watched.str());
    EXPECT_EQ(static_cast<bool>(asked.pipes.out), c.pipe_out) << c.name;
    EXPECT_EQ(static_cast<bool>(asked.pipes.err), c.pipe_err) << c.name;
    EXPECT_EQ(asked.pipes.in, c.in) << c.name;
    EXPECT_EQ(asked.pipes.quiet, c.quiet) << c.name;
    EXPECT_EQ(static_cast<bool>((*stream)->in), c.stream_in) << c.name;
    EXPECT_EQ(static_cast<bool>((*stream)->terminal), c.stream_terminal) << c.name;
    EXPECT_EQ(static_cast<bool>((*stream)->out), c.stream_out) << c.name;
    EXPECT_EQ(static_cast<bool>((*stream)->err), c.stream_err) << c.name;
    (*stream)->end_stdin();
    (*stream)->end_stdin();
    stream->reset();
    runtime->wait_idle();
    EXPECT_EQ(machine.closed_stdin.size(), c.closes_stdin ? 1U : 0U) << c.name;
  }
}

TEST_F(Streams, AnAttachThatFailsLeavesStdinAlone) {
  auto spec = container("once");
  spec.stdin_open = spec.stdin_once = true;
  auto once = runtime->create_container(sandbox.str(), spec).value();
  ASSERT_TRUE(runtime->start_container(once.str()));
  machine.fail_at = machine.calls + 1;
  EXPECT_FALSE(runtime->attach(once.str(), {.in = true, .out = true}, count()));
  EXPECT_EQ(machine.failed, "attach");
  runtime->wait_idle();
  EXPECT_TRUE(machine.closed_stdin.empty());
  EXPECT_TRUE(ends.empty());
}

TEST_F(Streams, ATerminalComesInPlaceOfThePipes) {
  auto stream = runtime->open_exec(id.str(), {"true"}, {.in = true, .out = true, .err = true, .tty = true}, count());
  ASSERT_TRUE(stream) << stream.error().text();
  EXPECT_TRUE((*stream)->terminal && !(*stream)->in && !(*stream)->out && !(*stream)->err);
  machine.fail_at = machine.calls + 1;
  EXPECT_FALSE(runtime->open_exec(id.str(), {"true"}, {.out = true, .tty = true}, count()));
  EXPECT_EQ(machine.failed, "open terminal");
}

// The fake's exec has ended before its start is answered.
TEST_F(Streams, AnExecMayEndBeforeItsStreamIsThere) {
  auto stream = runtime->open_exec(id.str(), {"true"}, {.in = true, .out = true, .err = true}, count());
  ASSERT_TRUE(stream) << stream.error().text();
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(ends[0].value(), 0);
  stream->reset();
  runtime->wait_idle();
  EXPECT_EQ(ends.size(), 1U);
  EXPECT_TRUE(runtime->exec_sync(id.str(), {"true"}, seconds(1))) << "the leaf is free";
}

TEST_F(Streams, AStartThatFailsEndsNothingAndFreesTheLeaf) {
  const auto cgroups = machine.cgroups.size();
  struct Case {
    int call;
    const char* step;
  } cases[] = {{1, "apply cgroup"}, {2, "open cgroup"}, {2, "start exec"}};  // a leaf is made once
  for (const auto& c : cases) {
    machine.fail_at = machine.calls + c.call;
    auto stream = runtime->open_exec(id.str(), {"true"}, {.out = true}, count());
    ASSERT_FALSE(stream) << c.step;
    EXPECT_TRUE(stream.error().is(EIO));
    EXPECT_EQ(machine.failed, c.step);
  }
  EXPECT_TRUE(ends.empty());
  EXPECT_TRUE(runtime->open_exec(id.str(), {"true"}, {.out = true}, count()));
  EXPECT_EQ(machine.cgroups.size(), cgroups + 1) << "one leaf for all of them";
}

}  // namespace
}  // namespace podshim::lifecycle::test
