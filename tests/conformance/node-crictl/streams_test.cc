// crictl's streams against the whole node: execs with pipes and terminals, attach across the death of the daemon and
// with a client that does not read, port-forward. What the protocols carry in every corner is shim/streaming's test.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <sstream>

#include <thread>

#include "common/sys/file.h"
#include "tests/support/node_suite.h"

namespace podshim::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class CrictlStreams : public NodeSuite {
 protected:
  void SetUp() override {
    tool_ = find_tool("crictl");
    if (tool_.empty())
      GTEST_SKIP()
          << "crictl is neither on PATH nor in $CRICTL: streams are not checked with a client that is not ours";
  }
  std::string crictl() const { return tool_ + " --timeout 30s --runtime-endpoint unix://" + node->socket() + " "; }
  // By a shell in the node's network namespace; %CRICTL stands for crictl with its endpoint.
  Output sh(std::string text) const {
    for (std::size_t at; (at = text.find("%CRICTL ")) != std::string::npos;) text.replace(at, 8, crictl());
    return node->run({"sh", "-c", text}, seconds(60) * slowness());
  }
  static bool eventually(const std::function<bool()>& holds, seconds patience = seconds(20)) {
    const auto deadline = std::chrono::steady_clock::now() + patience * slowness();
    while (!holds()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(milliseconds(20));
    }
    return true;
  }
  static std::string read(const std::string& path) { return sys::read_file(path).value_or(""); }
  // "<prefix><n>" of each line from `first` on without a gap; the number of lines.
  static int gapless(const std::string& log, const std::string& prefix, int first) {
    int n = 0;
    std::istringstream in(log);
    for (std::string line; std::getline(in, line); n++)
      if (!line.ends_with(" stdout F " + prefix + std::to_string(first + n))) {
        ADD_FAILURE() << "line " << n << ": " << line;
        return n;
      }
    return n;
  }
  std::string tool_;
};

TEST_F(CrictlStreams, ExecWithPipesAndTerminals) {
  auto pod = run_pod();
  const auto id = start(pod, container_config("c", kBusybox, {"sleep", "1000000"}));
  for (const std::string transport : {"spdy", "websocket"}) {
    const std::string exec = "%CRICTL exec --transport " + transport + " ";
    EXPECT_EQ(sh("echo hello | " + exec + "-i " + id + " cat").out, "hello\n") << transport;
    EXPECT_EQ(sh("head -c 3000000 /dev/zero | " + exec + "-i " + id + " sh -c 'wc -c'").out, "3000000\n") << transport;
    auto large = sh(exec + id + " sh -c 'dd if=/dev/zero bs=1k count=3000 2>/dev/null' | wc -c");
    EXPECT_EQ(large.out, "3072000\n") << transport << large.err;
    auto both = sh(exec + id + " sh -c 'echo out; echo err >&2; exit 7'");
    EXPECT_EQ(both.out, "out\n") << transport;
    EXPECT_NE(both.err.find("err\n"), std::string::npos) << transport << both.err;
    EXPECT_NE(both.err.find("exit code 7"), std::string::npos) << transport << both.err;
    // crictl's own terminal is one that script(1) makes.
    auto tty =
        sh("script -qec \"" + exec + "-it " + id + " sh -c 'tty; stty size; echo on-tty'\" /dev/null </dev/null");
    EXPECT_NE(tty.out.find("/dev/pts/"), std::string::npos) << transport << tty.out << tty.err;
    EXPECT_NE(tty.out.find("on-tty"), std::string::npos) << transport << tty.out;
  }
}

TEST_F(CrictlStreams, AttachToAShellThatReadsStdinOnce) {
  auto pod = run_pod();
  auto config = container_config("c", kBusybox, {"sh"});
  config.set_stdin(true);
  config.set_stdin_once(true);
  const auto id = start(pod, config);
  EXPECT_EQ(sh("echo 'echo from $((40+2)); exit 3' | %CRICTL attach -i " + id).out, "from 42\n");
  EXPECT_TRUE(node->cri().wait_state(id, cri::CONTAINER_EXITED, seconds(20)));
  EXPECT_EQ(node->cri().container_status(id).exit_code(), 3);
}

TEST_F(CrictlStreams, ADaemonThatDiesWithAttachOpenChangesNothing) {
  auto pod = run_pod();
  auto config = script("c", "i=0; while :; do echo tick-$i; i=$((i+1)); sleep 0.01; done");
  config.set_log_path("c.log");
  const auto id = start(pod, config);
  const auto log_path = node->cri().container_status(id).log_path();
  const auto started_at = node->cri().container_status(id).started_at();
  const pid_t client = node->spawn("attach", {"sh", "-c", "exec " + crictl() + "attach " + id});
  ASSERT_TRUE(eventually([&] { return read(node->dir() + "/attach.log").find("tick-") != std::string::npos; }))
      << read(node->dir() + "/attach.log") << node->log();
  node->stop_daemon(SIGKILL);
  auto lines = [&] {
    const auto log = read(log_path);
    return std::count(log.begin(), log.end(), '\n');
  };
  const auto at_death = lines();
  EXPECT_TRUE(eventually([&] { return lines() > at_death + 20; })) << "the container goes on";
  ASSERT_TRUE(node->start_daemon()) << node->log();
  node->stop(client, SIGTERM);
  EXPECT_EQ(node->cri().container_status(id).state(), cri::CONTAINER_RUNNING);
  EXPECT_EQ(node->cri().container_status(id).started_at(), started_at);
  EXPECT_NE(sh("timeout 20 " + crictl() + "attach " + id + " | head -n 5").out.find("tick-"), std::string::npos);
  ASSERT_TRUE(node->cri().stop(id, 0).ok());
  EXPECT_GT(gapless(read(log_path), "tick-", 0), 20);
}

TEST_F(CrictlStreams, AClientThatDoesNotReadCostsTheLogNothing) {
  constexpr int kLines = 300'000;
  auto pod = run_pod();
  auto config = script("c", "until [ -e /tmp/go ]; do sleep 0.05; done; seq 1 " + std::to_string(kLines));
  config.set_log_path("c.log");
  const auto id = start(pod, config);
  const std::string fifo = node->dir() + "/unread";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const Fd unread(::open(fifo.c_str(), O_RDWR | O_CLOEXEC));
  const pid_t client = node->spawn("slow", {"sh", "-c", "exec " + crictl() + "attach " + id + " > " + fifo});
  std::this_thread::sleep_for(milliseconds(500));
  shell(id, "touch /tmp/go");
  EXPECT_TRUE(node->cri().wait_state(id, cri::CONTAINER_EXITED, seconds(60) * slowness()));
  const auto status = node->cri().container_status(id);
  EXPECT_EQ(status.exit_code(), 0);
  EXPECT_EQ(gapless(read(status.log_path()), "", 1), kLines);
  node->stop(client, SIGKILL);  // it waits for its reader
}

TEST_F(CrictlStreams, PortForwardReachesAServerInThePod) {
  auto pod = run_pod();
  start(pod, container_config("server", kProbe, {}));
  const auto ip = node->cri().sandbox_status(pod.id).network().ip();
  // crictl ends with the first connection that is refused.
  ASSERT_TRUE(eventually([&] { return sh("curl -s -m 5 http://" + ip + ":8080/name").exit_code == 0; })) << ip;
  for (const std::string transport : {"spdy", "websocket"}) {
    const std::string name = "forward-" + transport;
    const std::string command = "port-forward --transport " + transport + " " + pod.id + " 18080:8080";
    const pid_t forward = node->spawn(name, {"sh", "-c", "exec " + crictl() + command});
    std::string heard;
    EXPECT_TRUE(eventually([&] {
      heard = sh("curl -s -m 5 http://127.0.0.1:18080/name").out;
      return heard.find(pod.config.hostname()) != std::string::npos;
    })) << transport
        << heard << read(node->dir() + "/" + name + ".log") << node->log();
    node->stop(forward, SIGTERM);
  }
}

}  // namespace
}  // namespace podshim::test
