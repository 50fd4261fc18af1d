// Clients that die in every state, in every way: descriptors, threads, processes, sessions and memory return to what
// they were. `hack/test --long` does it ten thousand times.
#include <malloc.h>

#include <filesystem>

#include "tests/support/long_run.h"
#include "tests/unit/shim-streaming/tcp_service.h"
#include "tests/unit/shim-streaming/world.h"

namespace podshim::streaming::test {
namespace {

std::size_t entries(const char* directory) {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) n++;
  return n;
}

enum class State { connected, half_header, upgraded, some_streams, all_streams, flooded, stuffed, ended, kStates };
enum class End { close, reset, half_close, garbage, kEnds };
enum class What { exec, tty, attach, forward, kWhats };
enum class How { spdy, websocket, kHows };

class Death : public World {
 protected:
  Death() { runtime.map_port(80, service_.port()); }

  Order order(State state, What what) {
    const StreamRequest streams{.in = true, .out = true, .err = what != What::tty, .tty = what == What::tty};
    switch (what) {
      case What::exec:
      case What::tty:
        return {.kind = Kind::exec,
                .command = state == State::flooded ? std::vector<std::string>{"yes"}
                           : state == State::ended ? std::vector<std::string>{"true"}
                                                   : std::vector<std::string>{"sleep", "1000"},
                .streams = streams};
      case What::attach:
        return {.kind = Kind::attach, .streams = streams};
      default:
        return {.kind = Kind::port_forward, .ports = {80}};
    }
  }

  static bool upgrade(Wire& wire, What what, How how) {
    const bool forward = what == What::forward;
    if (how == How::spdy) return upgrade_spdy(wire, {forward ? "portforward.k8s.io" : "v5.channel.k8s.io"}) == 101;
    return upgrade_websocket(wire, {forward ? "SPDY/3.1+portforward.k8s.io" : "v5.channel.k8s.io"}) == 101;
  }

  static std::uint32_t open_streams(SpdyClient& client, State state, What what) {
    if (what == What::forward) {
      const auto data = client.open({{"streamtype", "data"}, {"port", "80"}, {"requestid", "1"}});
      if (state != State::some_streams) client.open({{"streamtype", "error"}, {"port", "80"}, {"requestid", "1"}});
      return data;
    }
    client.open({{"streamtype", "error"}});
    const auto in = client.open({{"streamtype", "stdin"}});
    if (state == State::some_streams) return in;
    client.open({{"streamtype", "stdout"}});
    client.open({{"streamtype", what == What::tty ? "resize" : "stderr"}});
    return in;
  }

  // Goes on until the state is reached, as far as a client can tell.
  void reach(Wire& wire, State state, What what, How how) {
    if (state == State::connected) return;
    if (state == State::half_header) return wire.send("POST " + wire.path + " HTTP/1.1\r\nHost:");
    ASSERT_TRUE(upgrade(wire, what, how));
    if (state == State::upgraded) return;
    WebSocket socket(wire);
    const std::string bytes(100000, 'x');
    const bool channels = how == How::websocket && what != What::forward;
    SpdyClient client(wire, how == How::websocket ? &socket : nullptr);
    const std::uint32_t in = channels ? 0 : open_streams(client, state, what);
    if (state == State::stuffed) {
      for (int i = 0; i < 4; i++) {
        if (channels) {
          socket.send(2, std::string(1, '\0') + bytes);
        } else {
          client.send(in, bytes);
        }
      }
    }
    const bool speaks = what == What::exec || what == What::tty;
    // What came with the header may have been all.
    if (speaks && wire.received.empty() && (state == State::flooded || state == State::ended)) (void)wire.receive();
  }

  static void die(std::unique_ptr<Wire> wire, End end) {
    switch (end) {
      case End::close:
        return;
      case End::reset:
        return wire->reset();
      case End::half_close:
        wire->half_close();
        break;
      default:
        wire->send(std::string(64, '\xff'));
        wire->half_close();
    }
    while (wire->receive()) wire->received.clear();  // it is the server who ends it
  }

  void one(int i) {
    const auto state = static_cast<State>(i % int(State::kStates));
    const auto end = static_cast<End>(i / 8 % int(End::kEnds));
    const auto how = static_cast<How>(i / 32 % int(How::kHows));
    const auto what = static_cast<What>(i / 64 % int(What::kWhats));
    SCOPED_TRACE(testing::Message() << "state " << int(state) << " end " << int(end) << " how " << int(how) << " what "
                                    << int(what));
    auto wire = std::make_unique<Wire>(url(order(state, what)));
    reach(*wire, state, what, how);
    die(std::move(wire), end);
  }

  bool all_gone() {
    return no_sessions() && soon([] { return podshim::test::local_processes() == 0; }) &&
           soon([this] { return pool.threads() == 0; });
  }

  TcpService service_{echo()};
};

TEST_F(Death, EverythingReturnsToTheStart) {
  serve({.token = 5s, .tokens = 100000});                      // a quarter of the clients go without showing theirs
  const int rounds = podshim::test::long_run() ? 10000 : 512;  // 256: each state, end, transport and kind once
  for (int i = 0; i < 256; i++) one(i);                        // warm-up: allocators and thread stacks
  ASSERT_TRUE(all_gone());
  ASSERT_TRUE(soon([] { return entries("/proc/self/fd") < 40; }));
  const auto fds = entries("/proc/self/fd"), threads = entries("/proc/self/task");
#ifndef PODSHIM_SANITIZED
  const auto memory = ::mallinfo2().uordblks;
#endif
  constexpr int kClients = 4;
  std::vector<std::thread> clients;
  for (int c = 0; c < kClients; c++)
    clients.emplace_back([&, c] {
      for (int i = c; i < rounds; i += kClients) one(i);
    });
  for (auto& client : clients) client.join();
  EXPECT_TRUE(all_gone());
  EXPECT_TRUE(soon([&] { return entries("/proc/self/fd") <= fds; })) << entries("/proc/self/fd") << " after " << fds;
  EXPECT_TRUE(soon([&] { return entries("/proc/self/task") <= threads; }));
#ifndef PODSHIM_SANITIZED
  // Of a session nothing may stay but its token, for ten seconds.
  EXPECT_LT(::mallinfo2().uordblks, memory + (podshim::test::long_run() ? 4 << 20 : 1 << 20));
#endif
  // And it still serves.
  EXPECT_EQ(talk_spdy({.url = script_url("echo alive"), .protocol = "v4.channel.k8s.io"}).out, "alive\n");
}

TEST_F(Death, AClientThatGoesWhileItsProcessIsOpened) {
  serve();
  runtime.hold_streams(true);
  for (const auto how : {How::spdy, How::websocket})
    for (const auto what : {What::exec, What::attach, What::forward})
      for (const auto end : {End::close, End::reset}) {
        auto wire = std::make_unique<Wire>(url(order(State::all_streams, what)));
        reach(*wire, State::all_streams, what, how);
        die(std::move(wire), end);
      }
  EXPECT_TRUE(no_sessions());  // while the calls still hang
  runtime.hold_streams(false);
  EXPECT_TRUE(all_gone());
}

// Of an exec even the call is told: the start of a program may hang.
TEST_F(Death, TheCallThatOpensAnExecEndsWithItsClient) {
  serve();
  runtime.hold_streams(true);
  for (const auto how : {How::spdy, How::websocket}) {
    auto wire = std::make_unique<Wire>(url(order(State::all_streams, What::exec)));
    reach(*wire, State::all_streams, What::exec, how);
    ASSERT_TRUE(soon([this] { return runtime.held_streams() == 1; }));
    die(std::move(wire), End::close);
    EXPECT_TRUE(soon([this] { return runtime.held_streams() == 0; }));
  }
  EXPECT_TRUE(no_sessions());
}

TEST_F(Death, TheServerStopsWithEverythingOpen) {
  serve();
  std::vector<std::unique_ptr<Wire>> wires;
  for (int i = 0; i < 256; i += 3) {
    wires.push_back(std::make_unique<Wire>(url(order(static_cast<State>(i % 8), static_cast<What>(i / 64 % 4)))));
    reach(*wires.back(), static_cast<State>(i % 8), static_cast<What>(i / 64 % 4), static_cast<How>(i / 32 % 2));
  }
  server->stop();
  EXPECT_EQ(server->sessions(), 0u);
  server.reset();
  for (const auto& wire : wires) EXPECT_TRUE(wire->closed_by_server());
  EXPECT_TRUE(soon([] { return podshim::test::local_processes() == 0; }));
}

}  // namespace
}  // namespace podshim::streaming::test
