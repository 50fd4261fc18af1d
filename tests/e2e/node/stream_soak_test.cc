// Streaming clients of the whole node that die in every state, in every way: the daemon's descriptors, threads and
// memory, the monitor's descriptors and the container's processes return to what they were. `hack/test --long` does it
// ten thousand times.
#include <fcntl.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/support/long_run.h"
#include "tests/support/node_suite.h"
#include "tests/unit/shim-streaming/client.h"

namespace podshim::test {
namespace {

namespace st = streaming::test;
constexpr std::size_t kGrpcThreads = 4;  // gRPC keeps some of its own, as many as it likes at the moment

enum class State { connected, half_header, upgraded, some_streams, all_streams, flooded, stuffed, ended, kStates };
enum class End { close, reset, half_close, garbage, kEnds };
enum class What { exec, tty, attach, forward, kWhats };

template <typename E>
E nth(int i) {
  return static_cast<E>(i);
}

class StreamSoak : public NodeSuite {
 protected:
  void SetUp() override {
    ASSERT_EQ(node->import_image(image_archive("probe.tar")).exit_code, 0);
    pod_ = run_pod();
    auto config = container_config("target", kProbe, {"sh", "-c", "/bin/probe serve & exec cat"});
    config.set_stdin(true);
    target_ = start(pod_, config);
  }

  // A client that shows no token holds it for a minute, and there are a thousand: beyond them the call says so.
  template <typename Method, typename Request, typename Response>
  static void call(CriClient& client, Method method, const Request& request, Response* response) {
    grpc::Status status;
    for (int i = 0; i < 600; i++) {
      status = client.call(method, request, response);
      if (status.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    EXPECT_TRUE(status.ok()) << status.error_message();
  }

  std::string url(CriClient& client, What what, State state) {
    if (what == What::forward) {
      cri::PortForwardRequest request;
      request.set_pod_sandbox_id(pod_.id);
      request.add_port(8080);
      cri::PortForwardResponse response;
      call(client, &cri::RuntimeService::Stub::PortForward, request, &response);
      return response.url();
    }
    if (what == What::attach) {
      cri::AttachRequest request;
      request.set_container_id(target_);
      request.set_stdin(true);
      request.set_stdout(true);
      request.set_stderr(true);
      cri::AttachResponse response;
      call(client, &cri::RuntimeService::Stub::Attach, request, &response);
      return response.url();
    }
    cri::ExecRequest request;
    request.set_container_id(target_);
    request.set_stdin(true);
    request.set_stdout(true);
    request.set_stderr(what != What::tty);
    request.set_tty(what == What::tty);
    if (state == State::flooded) request.add_cmd("yes");
    if (state == State::ended) request.add_cmd("true");
    // One process: the container's first one, cat, reaps nobody, so that the child of a killed one would stay a zombie.
    if (request.cmd_size() == 0)
      for (const char* word : {"sleep", "1000"}) request.add_cmd(word);
    cri::ExecResponse response;
    call(client, &cri::RuntimeService::Stub::Exec, request, &response);
    return response.url();
  }

  static void open_streams(st::SpdyClient& client, State state, What what, std::uint32_t* in) {
    if (what == What::forward) {
      *in = client.open({{"streamtype", "data"}, {"port", "8080"}, {"requestid", "1"}});
      if (state != State::some_streams) client.open({{"streamtype", "error"}, {"port", "8080"}, {"requestid", "1"}});
      return;
    }
    client.open({{"streamtype", "error"}});
    *in = client.open({{"streamtype", "stdin"}});
    if (state == State::some_streams) return;
    client.open({{"streamtype", "stdout"}});
    client.open({{"streamtype", what == What::tty ? "resize" : "stderr"}});
  }

  static void reach(st::Wire& wire, State state, What what, bool websocket) {
    if (state == State::connected) return;
    if (state == State::half_header) return wire.send("POST " + wire.path + " HTTP/1.1\r\nHost:");
    const bool forward = what == What::forward;
    const int status =
        websocket ? st::upgrade_websocket(wire, {forward ? "SPDY/3.1+portforward.k8s.io" : "v5.channel.k8s.io"})
                  : st::upgrade_spdy(wire, {forward ? "portforward.k8s.io" : "v5.channel.k8s.io"});
    ASSERT_EQ(status, 101);
    if (state == State::upgraded) return;
    st::WebSocket socket(wire);
    const bool channels = websocket && !forward;
    st::SpdyClient client(wire, websocket ? &socket : nullptr);
    std::uint32_t in = 0;
    if (!channels) open_streams(client, state, what, &in);
    const std::string bytes(100000, 'x');
    for (int i = 0; state == State::stuffed && i < 4; i++) {
      if (channels) {
        socket.send(2, std::string(1, '\0') + bytes);
      } else {
        client.send(in, bytes);
      }
    }
    const bool speaks = what == What::exec || what == What::tty;
    if (speaks && wire.received.empty() && (state == State::flooded || state == State::ended)) (void)wire.receive();
  }

  static void die(st::Wire& wire, End end) {
    if (end == End::close) return;
    if (end == End::reset) return wire.reset();
    if (end == End::garbage) wire.send(std::string(64, '\xff'));
    wire.half_close();
    while (wire.receive()) wire.received.clear();
  }

  void one(CriClient& client, int i) {
    const auto state = nth<State>(i % int(State::kStates));
    const auto end = nth<End>(i / 8 % int(End::kEnds));
    const bool websocket = i / 32 % 2 == 1;
    const auto what = nth<What>(i / 64 % int(What::kWhats));
    SCOPED_TRACE(testing::Message() << "state " << int(state) << " end " << int(end) << " websocket " << websocket
                                    << " what " << int(what));
    st::Wire wire(url(client, what, state));
    reach(wire, state, what, websocket);
    die(wire, end);
  }

  // Each thread works inside the node's network namespace, where the streaming address is.
  void many(int from, int to) {
    constexpr int kClients = 4;
    std::atomic<int> next{from};
    std::vector<std::thread> threads;
    for (int c = 0; c < kClients; c++)
      threads.emplace_back([&] {
        const Fd netns(::open(node->netns_path().c_str(), O_RDONLY | O_CLOEXEC));
        ASSERT_EQ(::setns(netns.get(), CLONE_NEWNET), 0);
        CriClient client(node->socket());
        for (int i; (i = next++) < to;) one(client, i);
      });
    for (auto& t : threads) t.join();
  }

  static std::size_t entries(const std::string& directory) {
    std::error_code gone;
    std::size_t n = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory, gone)) n++;
    return n;
  }
  struct Costs {
    std::size_t daemon_fds, daemon_threads, monitor_fds, processes;
    long memory_kb;
  };
  Costs costs() {
    const std::string daemon = "/proc/" + std::to_string(node->daemon_pid());
    Costs out{.daemon_fds = entries(daemon + "/fd"), .daemon_threads = entries(daemon + "/task")};
    std::ifstream smaps(daemon + "/smaps_rollup");
    for (std::string word; smaps >> word;)
      if (word == "Private_Dirty:") smaps >> out.memory_kb;
    auto monitor = node->run({"pgrep", "-f", "podshim-monitor.*" + pod_.id});
    out.monitor_fds = entries("/proc/" + std::to_string(std::atoi(monitor.out.c_str())) + "/fd");
    cri::ExecSyncResponse ps;
    EXPECT_TRUE(node->cri().exec(target_, {"sh", "-c", "ls -d /proc/[0-9]* | wc -l"}, 20, &ps).ok());
    out.processes = static_cast<std::size_t>(std::atoi(ps.stdout().c_str()));
    return out;
  }

  Pod pod_;
  std::string target_;
};

TEST_F(StreamSoak, ClientsThatDieCostTheNodeNothing) {
  many(0, 256);  // each state, end, transport and kind once: allocators, thread stacks
  std::this_thread::sleep_for(std::chrono::seconds(12));  // what waits for a header is let go
  const auto before = costs();
  ASSERT_GT(before.monitor_fds, 3U);
  const int rounds = long_run() ? 10000 : 512;
  const auto begin = std::chrono::steady_clock::now();
  for (int from = 0; from < rounds; from += 2500) {
    many(from, std::min(from + 2500, rounds));
    if (long_run()) std::printf("%d: %ld kB\n", from, costs().memory_kb);
  }
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  Costs after{};
  // Tokens that nobody showed live for a minute, and each minute the daemon gives memory back.
  const long memory = before.memory_kb + 8192;  // what the allocator keeps of the peak, which was twice that
  for (int i = 0; i < 260 * slowness(); i++) {
    after = costs();
    if (after.daemon_fds <= before.daemon_fds && after.daemon_threads <= before.daemon_threads + kGrpcThreads &&
        after.monitor_fds <= before.monitor_fds && after.processes <= before.processes && after.memory_kb < memory)
      break;
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
  EXPECT_LE(after.daemon_fds, before.daemon_fds);
  EXPECT_LE(after.daemon_threads, before.daemon_threads + kGrpcThreads);
  EXPECT_LE(after.monitor_fds, before.monitor_fds);
  EXPECT_LE(after.processes, before.processes);
  EXPECT_LT(after.memory_kb, memory);
  std::printf(
      "%d sessions in %ld ms; daemon: fds %zu -> %zu, threads %zu -> %zu, private memory %ld -> %ld kB; monitor "
      "fds %zu -> %zu; processes %zu -> %zu\n",
      rounds, static_cast<long>(took.count()), before.daemon_fds, after.daemon_fds, before.daemon_threads,
      after.daemon_threads, before.memory_kb, after.memory_kb, before.monitor_fds, after.monitor_fds, before.processes,
      after.processes);
  cri::ExecSyncResponse alive;
  EXPECT_TRUE(node->cri().exec(target_, {"true"}, 10, &alive).ok());
}

}  // namespace
}  // namespace podshim::test
