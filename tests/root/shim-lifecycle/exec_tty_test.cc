// Execs with a terminal: the container's own devpts, controlling, owned by the exec's user, every byte of it.
#include <sys/ioctl.h>
#include <sys/mount.h>

#include <atomic>

#include "tests/root/shim-lifecycle/stream_fixture.h"
#include "tests/support/long_run.h"

namespace podshim::lifecycle::test {
namespace {

class ExecTty : public LifecycleTest {
 protected:
  void SetUp() override {
    LifecycleTest::SetUp();
    sandbox_ = run(pod());
    id_ = launch(sandbox_, script("c", "sleep 1000"));
  }
  std::unique_ptr<ProcessStream> open(const ContainerId& id, const std::vector<std::string>& command, End& end) {
    auto stream = runtime->open_exec(id.str(), command, {.in = true, .out = true, .tty = true}, end.call());
    if (!stream) ADD_FAILURE() << stream.error().text();
    return stream ? *std::move(stream) : nullptr;
  }
  std::string output_of(const ContainerId& id, const std::string& text) {
    End end;
    auto stream = open(id, {"sh", "-c", text}, end);
    if (!stream) return "";
    auto out = read_until(stream->terminal);
    EXPECT_EQ(end.code(), 0) << out;
    return out;
  }
  SandboxId sandbox_;
  ContainerId id_;
};

constexpr const char* kLook =
    "tty; test -c $(tty) && echo there; busybox stat -c '%u %t' $(tty); echo to-tty > /dev/tty; echo $TERM";

TEST_F(ExecTty, ItIsATerminalOfTheContainersOwn) {
  EXPECT_EQ(output_of(id_, kLook), "/dev/pts/0\r\nthere\r\n0 88\r\nto-tty\r\nxterm\r\n");
}

TEST_F(ExecTty, AContainerWithATerminalHasRoomForMore) {
  auto spec = script("with-tty", "sleep 1000");
  spec.tty = true;
  EXPECT_EQ(output_of(launch(sandbox_, spec), kLook), "/dev/pts/1\r\nthere\r\n0 88\r\nto-tty\r\nxterm\r\n");
}

TEST_F(ExecTty, ItBelongsToTheUser) {
  auto spec = script("nobody", "sleep 1000");
  spec.security.run_as_user = 65534;
  EXPECT_EQ(output_of(launch(sandbox_, spec), kLook), "/dev/pts/0\r\nthere\r\n65534 88\r\nto-tty\r\nxterm\r\n");
}

TEST_F(ExecTty, InputSizeInterruptAndCode) {
  End end;
  auto stream = open(
      id_,
      {"sh", "-c", "trap 'echo int; exit 7' INT; stty -echo; echo ready; read x; stty size; while :; do sleep 1; done"},
      end);
  ASSERT_TRUE(stream);
  EXPECT_TRUE(stream->terminal && !stream->in && !stream->out && !stream->err);
  EXPECT_NE(::fcntl(stream->terminal.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(read_until(stream->terminal, has("ready\r\n")), "ready\r\n");
  const winsize size{.ws_row = 11, .ws_col = 22, .ws_xpixel = 0, .ws_ypixel = 0};
  ASSERT_EQ(::ioctl(stream->terminal.get(), TIOCSWINSZ, &size), 0);
  write_to(stream->terminal, "x\n");
  EXPECT_EQ(read_until(stream->terminal, has("11 22\r\n")), "11 22\r\n");
  write_to(stream->terminal, "\x03");
  EXPECT_EQ(read_until(stream->terminal), "int\r\n");
  EXPECT_EQ(end.code(), 7);
}

TEST_F(ExecTty, AClientThatHangsUpTakesItsSubtreeAlong) {
  End end;
  auto stream =
      open(id_, {"sh", "-c", "trap '' HUP; (busybox setsid sleep 7651 &); sleep 7652 & echo up; sleep 7653"}, end);
  ASSERT_TRUE(stream);
  EXPECT_EQ(read_until(stream->terminal, has("up\r\n")), "up\r\n");
  stream.reset();
  EXPECT_EQ(end.code(), 137);
  EXPECT_TRUE(eventually([&] { return shell(id_, "ps | grep -c '[s]leep 765' || true") == "0"; }));
}

// What an image or a container puts in the place of its devpts is not opened.
TEST_F(ExecTty, WhatIsNoDevptsIsRefused) {
  auto spec = script("hostile", "busybox umount /dev/pts; busybox mkdir -p /dev/pts; " +
                                    std::string("busybox ln -s /proc/self/fd/0 /dev/pts/ptmx; echo ready; sleep 1000"));
  spec.security.privileged = true;
  auto privileged = pod("hostile");
  privileged.privileged = true;
  auto id = launch(run(privileged), spec);
  ASSERT_TRUE(eventually([&] { return has("ready")(read(dir + "/logs/hostile.log")); }));
  auto refused = [&] {
    End end;
    auto stream = runtime->open_exec(id.str(), {"true"}, {.out = true, .tty = true}, end.call());
    EXPECT_FALSE(end.wait(milliseconds(20)));
    return stream ? Error() : stream.error();
  };
  EXPECT_EQ(refused().kind, ErrorKind::failed_precondition) << refused().text();
  EXPECT_NE(refused().text().find("/dev/pts/ptmx"), std::string::npos) << refused().text();
  shell(id, "busybox rm /dev/pts/ptmx; busybox mkfifo /dev/pts/ptmx");
  EXPECT_NE(refused().text().find("not that of a devpts"), std::string::npos) << refused().text();
  shell(id, "busybox rm /dev/pts/ptmx; busybox mknod /dev/pts/ptmx c 5 2");
  EXPECT_NE(refused().text().find("not that of a devpts"), std::string::npos) << refused().text();
  EXPECT_EQ(shell(id, "echo as before"), "as before") << "the leaf is free";
}

TEST_F(ExecTty, ShortOnesGiveEveryByte) {
  const int total = podshim::test::long_run() ? 5000 : 200, callers = 8;
  std::atomic<int> next = 0, good = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < callers; t++)
    threads.emplace_back([&] {
      for (int i; (i = next++) < total;) {
        // Some longer than the line discipline's buffer of 4 KiB.
        const std::string word(i % 10 == 0 ? 20'000 : 1 + i % 100, static_cast<char>('a' + i % 26));
        End end;
        auto stream = open(id_, {"echo", std::to_string(i), word}, end);
        if (!stream) continue;
        auto out = read_until(stream->terminal);
        if (end.code() == 0 && out == std::to_string(i) + " " + word + "\r\n")
          good++;
        else
          ADD_FAILURE() << i << ": " << out.size() << " bytes, code " << end.code();
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(good, total);
  std::printf("%d of %d tty execs gave every byte\n", good.load(), total);
  EXPECT_EQ(shell(id_, "ls /dev/pts | grep -vc ptmx || true"), "0") << "no terminal stays";
}

}  // namespace
}  // namespace podshim::lifecycle::test
