// Port-forward: SPDY, SPDY through a WebSocket, and plain WebSocket channels.
#include <csignal>

#include "shim/streaming/pump.h"
#include "shim/streaming/socket.h"
#include "tests/unit/shim-streaming/tcp_service.h"
#include "tests/unit/shim-streaming/world.h"

namespace podshim::streaming::test {
namespace {

constexpr std::uint16_t kWeb = 80, kClosed = 81;

class Forward : public World, public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    runtime.map_port(kWeb, service_.port());
    const TcpService gone([](int) {});
    runtime.map_port(kClosed, gone.port());
    serve();
  }
  // A client over SPDY; with the parameter, through a WebSocket.
  void connect() {
    wire_ = std::make_unique<Wire>(url({.kind = Kind::port_forward}));
    if (GetParam()) {
      ASSERT_EQ(upgrade_websocket(*wire_, {"SPDY/3.1+portforward.k8s.io"}), 101);
      tunnel_ = std::make_unique<WebSocket>(*wire_);
    } else {
      ASSERT_EQ(upgrade_spdy(*wire_, {"portforward.k8s.io"}), 101);
    }
    client_ = std::make_unique<SpdyClient>(*wire_, tunnel_.get());
  }
  struct Pair {
    std::uint32_t error = 0, data = 0;
  };
  Pair open(std::uint16_t port, const std::string& request) {
    spdy::Headers headers{{"port", std::to_string(port)}, {"streamtype", "error"}};
    if (!request.empty()) headers["requestid"] = request;
    Pair pair;
    pair.error = client_->open(headers);
    client_->send(pair.error, "", true);  // as kubectl does
    headers["streamtype"] = "data";
    pair.data = client_->open(headers);
    return pair;
  }

  TcpService service_{echo("bye")};
  std::unique_ptr<Wire> wire_;
  std::unique_ptr<WebSocket> tunnel_;
  std::unique_ptr<SpdyClient> client_;
};

TEST_P(Forward, BytesAndTheEndsOfBothHalves) {
  connect();
  std::string bytes;
  for (long i = 0; bytes.size() < (3 << 20); i++) bytes += std::to_string(i * 7919) + ",";
  const auto pair = open(kWeb, "0");
  client_->send(pair.data, bytes, true);
  ASSERT_TRUE(client_->until_ended(pair.data));
  ASSERT_TRUE(client_->until_ended(pair.error));
  EXPECT_TRUE(client_->data[pair.data] == bytes + "bye") << client_->data[pair.data].size();
  EXPECT_EQ(client_->data[pair.error], "");
  EXPECT_TRUE(client_->resets.empty());
  // The session goes on: a second connection, of a client that sends no request ids.
  const auto second = open(kWeb, "");
  client_->send(second.data, "again", true);
  ASSERT_TRUE(client_->until_ended(second.error));
  EXPECT_EQ(client_->data[second.data], "againbye");
}

TEST_P(Forward, ConnectionsDoNotDisturbEachOther) {
  connect();
  std::vector<Pair> pairs;
  for (int i = 0; i < 30; i++) pairs.push_back(open(i % 3 == 2 ? kClosed : kWeb, "r" + std::to_string(i)));
  for (int i = 0; i < 30; i++)
    if (i % 3 != 2) client_->send(pairs[i].data, "request " + std::to_string(i), i % 3 == 0);
  for (int i = 0; i < 30; i++) {
    if (i % 3 == 1) continue;  // stays open
    ASSERT_TRUE(client_->until_ended(pairs[i].error)) << i;
    if (i % 3 == 0) {
      EXPECT_EQ(client_->data[pairs[i].data], "request " + std::to_string(i) + "bye");
      EXPECT_EQ(client_->data[pairs[i].error], "");
    } else {
      const auto& error = client_->data[pairs[i].error];
      EXPECT_TRUE(error.starts_with("error forwarding port 81 to pod " + sandbox)) << error;
      EXPECT_NE(error.find("ECONNREFUSED"), std::string::npos) << error;
    }
  }
  EXPECT_EQ(server->sessions(), 1u);
  wire_->half_close();
  EXPECT_TRUE(no_sessions());
}

// Four threads for all Pods.
TEST_P(Forward, DialsThatHangHoldUpNoOtherPodAndNoExec) {
  server.reset();
  serve({.lane_running = 2, .lane_waiting = 30});
  runtime.hold_streams(true, sandbox);
  connect();
  std::vector<Pair> pairs;
  for (int i = 0; i < 33; i++) pairs.push_back(open(kWeb, "r" + std::to_string(i)));
  ASSERT_TRUE(client_->until_ended(pairs.back().error));  // 2 hang, 30 wait
  EXPECT_NE(client_->data[pairs.back().error].find("too many connections to this Pod are being made already"),
            std::string::npos)
      << client_->data[pairs.back().error];
  EXPECT_TRUE(soon([&] { return runtime.held_streams() == 2; }));
  EXPECT_EQ(talk_spdy({.url = script_url("echo here"), .protocol = "v4.channel.k8s.io"}).out, "here\n");
  SandboxSpec other;
  other.metadata.name = "other";
  EXPECT_TRUE(runtime.dial(runtime.run_sandbox(other)->str(), kWeb));
  runtime.hold_streams(false);
  pairs.pop_back();
  for (const auto& pair : pairs) client_->send(pair.data, "x", true);
  for (const auto& pair : pairs) {
    ASSERT_TRUE(client_->until_ended(pair.error));
    EXPECT_EQ(client_->data[pair.data], "xbye");
  }
}

TEST_P(Forward, ADialWaitsNotLongForThoseBeforeIt) {
  server.reset();
  serve({.lane_running = 1, .dial_turn = 200ms});
  runtime.hold_streams(true);
  connect();
  const auto first = open(kWeb, "1"), second = open(kWeb, "2");
  ASSERT_TRUE(soon([&] { return runtime.held_streams() == 1; }));
  ASSERT_TRUE(client_->until([&] { return client_->replied.contains(second.data); }));  // both wait
  std::this_thread::sleep_for(300ms);
  runtime.hold_streams(false);
  ASSERT_TRUE(client_->until_ended(second.error));
  EXPECT_NE(client_->data[second.error].find("those before it take too long"), std::string::npos)
      << client_->data[second.error];
  client_->send(first.data, "x", true);
  ASSERT_TRUE(client_->until_ended(first.error));
  EXPECT_EQ(client_->data[first.data], "xbye");
}

TEST_P(Forward, StreamsThatMakeNoSense) {
  server.reset();
  serve({.streams = 200ms});
  connect();
  const auto no_port = client_->open({{"streamtype", "data"}});
  const auto no_type = client_->open({{"port", "80"}});
  const auto zero = client_->open({{"streamtype", "data"}, {"port", "0"}});
  const auto big = client_->open({{"streamtype", "data"}, {"port", "65536"}});
  const auto long_id =
      client_->open({{"streamtype", "data"}, {"port", "80"}, {"requestid", std::string(60 << 10, 'r')}});
  ASSERT_TRUE(client_->until([&] { return client_->resets == std::set{no_port, no_type, zero, big, long_id}; }));
  const auto lonely = client_->open({{"streamtype", "error"}, {"port", "80"}, {"requestid", "1"}});
  ASSERT_TRUE(client_->until_ended(lonely));
  EXPECT_NE(client_->data[lonely].find("timed out"), std::string::npos) << client_->data[lonely];
}

TEST_P(Forward, APodThatTakesNothingStopsTheClient) {
  std::atomic<bool> over = false;
  const TcpService deaf([&](int) {
    while (!over) std::this_thread::sleep_for(5ms);
  });
  runtime.map_port(90, deaf.port());
  connect();
  const auto pair = open(90, "1");
  ASSERT_TRUE(client_->until([&] { return client_->replied.contains(pair.data); }));
  const std::string frame = spdy::data_frame(pair.data, std::string(60000, 'x'));
  EXPECT_LT(wire_->stuff(GetParam() ? WebSocket::frame(2, frame) : frame), 32U << 20);
  wire_->reset();
  EXPECT_TRUE(no_sessions());
  over = true;
}

// Streams that wait for their twins, each with less than a session may keep.
TEST_P(Forward, LonelyStreamsStopTheClientTogether) {
  connect();
  std::string frames;
  for (int i = 0; i < 40; i++) {
    const auto id = client_->open({{"streamtype", "data"}, {"port", "80"}, {"requestid", std::to_string(i)}});
    frames += spdy::data_frame(id, std::string(1000 << 10, 'x'));
  }
  EXPECT_LT(wire_->stuff(GetParam() ? WebSocket::frame(2, frames) : frames), 32U << 20);
  wire_->reset();
  EXPECT_TRUE(no_sessions());
}

// A Pod that breaks its connection while we write to it.
TEST_P(Forward, APodThatResetsHarmsNobody) {
  const TcpService rude([](int fd) {
    std::this_thread::sleep_for(2ms);
    const linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  });
  runtime.map_port(90, rude.port());
  connect();
  for (int i = 0; i < 20; i++) {
    const auto pair = open(90, "r" + std::to_string(i));
    for (int k = 0; k < 8; k++) client_->send(pair.data, std::string(256 << 10, 'x'), k == 7 && i % 2 == 0);
    ASSERT_TRUE(client_->until([&] { return client_->resets.contains(pair.data); })) << i;
  }
  const auto pair = open(kWeb, "after");
  client_->send(pair.data, "still here", true);
  ASSERT_TRUE(client_->until_ended(pair.error));
  EXPECT_EQ(client_->data[pair.data], "still herebye");
}

TEST(Writer, WhoClosesItWhenItBreaksHearsNoMore) {
  asio::io_context io;
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  ::close(fds[0]);
  int broken = 0, room = 0, ended = 0;
  std::shared_ptr<Writer> writer;
  writer = std::make_shared<Writer>(
      io, Fd(fds[1]), [&] { room++; },
      [&](int error) {
        EXPECT_EQ(error, EPIPE);
        broken++;
        writer->close();
      });
  ::signal(SIGPIPE, SIG_IGN);
  writer->write("x");
  writer->end([&] { ended++; });  // at once: it is over
  EXPECT_EQ(broken, 1);
  EXPECT_EQ(room, 0);
  EXPECT_EQ(ended, 1);
}

// The end that was waited for is room too: what it goes with in one write never stands below the low mark.
TEST(Writer, SaysThatThereIsRoomBeforeItSaysThatItIsOut) {
  asio::io_context io;
  Tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
  Tcp::socket near(io), far(io);
  near.connect(acceptor.local_endpoint());
  acceptor.accept(far);
  near.non_blocking(true);
  std::string said;
  const auto writer =
      std::make_shared<Writer>(io, Fd(near.release()), [&] { said += "room "; }, [&](int) { said += "broken "; });
  while (writer->buffered() <= kInputHigh) writer->write(std::string(kInputLow, 'x'));
  const std::size_t all = 64 << 20;
  writer->end([&] { said += "out"; });
  // Taken by the other end at once, as by a Pod that was busy: the kernel's buffers are larger than our marks.
  std::string bytes(all, '\0');
  far.non_blocking(true);
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!said.ends_with("out") && std::chrono::steady_clock::now() < until) {
    ErrorCode none;
    while (far.read_some(asio::buffer(bytes), none) != 0) {
    }
    io.restart();
    io.poll_one();
  }
  EXPECT_EQ(said, "room out");
}

// Somebody who looks at the sum of many hears of each that has caught up.
TEST(Writer, SaysThatItHasCaughtUp) {
  asio::io_context io;
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  const Fd far(fds[0]);
  int room = 0;
  const auto writer = std::make_shared<Writer>(io, Fd(fds[1]), [&] { room++; }, [](int) {});
  writer->write("taken at once");
  EXPECT_EQ(room, 0);
  while (writer->buffered() == 0) writer->write(std::string(1 << 10, 'x'));
  ASSERT_LT(writer->buffered(), kInputLow);
  std::string bytes(1 << 20, '\0');
  while (writer->buffered() != 0) {
    (void)::recv(far.get(), bytes.data(), bytes.size(), 0);
    io.restart();
    io.poll();
  }
  EXPECT_EQ(room, 1);
}

// The pool of dialling threads takes no more.
TEST_P(Forward, DialsThatAreRefusedAtOnce) {
  server.reset();
  auto started = Server::start(runtime, {}, [](auto) { return false; });
  ASSERT_TRUE(started);
  server = *std::move(started);
  connect();
  for (int i = 0; i < 20; i++) {
    const auto pair = open(kWeb, "r" + std::to_string(i));
    client_->send(pair.data, "lost");
    ASSERT_TRUE(client_->until_ended(pair.error)) << i;
    EXPECT_NE(client_->data[pair.error].find("too many connections to this Pod"), std::string::npos)
        << client_->data[pair.error];
  }
}

INSTANTIATE_TEST_SUITE_P(Transports, Forward, testing::Bool(),
                         [](const auto& test) { return test.param ? "Tunnel" : "Spdy"; });

class WebSocketForward : public World {};

TEST_F(WebSocketForward, TwoChannelsAPort) {
  serve();
  const TcpService greeter([](int fd) {
    char buffer[64];
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
    const std::string answer = "hello " + std::string(buffer, static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    ::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
  });
  runtime.map_port(8080, greeter.port());
  {
    const TcpService gone([](int) {});
    runtime.map_port(8081, gone.port());
  }
  Wire wire(url({.kind = Kind::port_forward, .ports = {8080, 8081}}));
  ASSERT_EQ(upgrade_websocket(wire, {"v4.channel.k8s.io"}), 101);
  WebSocket socket(wire);
  socket.send(2, std::string("\0you", 4));
  std::map<int, std::string> channels;
  Message message;
  while (socket.next(&message) && message.opcode == 2) channels[message.payload[0]] += message.payload.substr(1);
  EXPECT_EQ(message.opcode, 8);
  EXPECT_EQ(channels[0], "\x90\x1fhello you");
  EXPECT_EQ(channels[1], "\x90\x1f");
  EXPECT_EQ(channels[2], "\x91\x1f");
  EXPECT_NE(channels[3].find("ECONNREFUSED"), std::string::npos) << channels[3];
  socket.send(8, message.payload);
  EXPECT_TRUE(wire.closed_by_server());
  EXPECT_TRUE(no_sessions());
}

// A channel's number is one byte, and with base64 a character of ASCII.
TEST_F(WebSocketForward, NoMorePortsThanChannels) {
  serve();
  struct Case {
    const char* protocol;
    std::size_t ports;
    int want;
  };
  for (const Case& c : {Case{"v4.channel.k8s.io", 0, 400}, Case{"v4.channel.k8s.io", 128, 101},
                        Case{"v4.channel.k8s.io", 129, 400}, Case{"v4.base64.channel.k8s.io", 40, 101},
                        Case{"v4.base64.channel.k8s.io", 41, 400}, Case{"SPDY/3.1+portforward.k8s.io", 200, 101}}) {
    Wire wire(url({.kind = Kind::port_forward, .ports = std::vector<std::uint16_t>(c.ports, 81)}));
    EXPECT_EQ(upgrade_websocket(wire, {c.protocol}), c.want) << c.protocol << " " << c.ports;
  }
  EXPECT_TRUE(no_sessions());
}

}  // namespace
}  // namespace podshim::streaming::test
