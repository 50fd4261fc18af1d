// Input that waits for a process which does not read: the client sees that we live, loses nothing, and may go.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "shim/streaming/limits.h"
#include "tests/unit/shim-streaming/world.h"

namespace podshim::streaming::test {
namespace {

constexpr StreamRequest kStreams{.in = true, .out = true};
// More than the session keeps and a pipe holds, little enough for the kernel's buffers to take the rest.
constexpr std::size_t kTooMuch = kInputHigh + (512 << 10);

class Stall : public World {
 protected:
  Stall() { std::filesystem::remove(gate_); }
  ~Stall() override { std::filesystem::remove(gate_); }

  // A process that counts its input, once it may.
  std::string deaf_url() { return script_url("until [ -e " + gate_ + " ]; do sleep 0.02; done; exec wc -c", kStreams); }
  void let_it_read() { const std::ofstream made(gate_); }

  const std::string gate_ = testing::TempDir() + "/podshim-stall-" + std::to_string(::getpid());
};

TEST_F(Stall, AWebSocketIsToldThatWeLiveAndItsPingIsAnsweredLater) {
  serve({.heartbeat = 50ms});
  Wire wire(deaf_url());
  ASSERT_EQ(upgrade_websocket(wire, {"v5.channel.k8s.io"}), 101);
  WebSocket socket(wire);
  socket.send(9, "before");
  for (std::size_t sent = 0; sent < kTooMuch; sent += 65536) socket.send(2, std::string(1, '\0').append(65536, 'x'));
  socket.send(9, "behind");
  socket.send(2, std::string("\xff\0", 2));
  Message message;
  std::vector<std::string> pongs;
  const auto unasked = [&] { return std::count(pongs.begin(), pongs.end(), ""); };
  while (unasked() < 5 && socket.next(&message))
    if (message.opcode == 10) pongs.push_back(message.payload);
  ASSERT_EQ(unasked(), 5);
  EXPECT_EQ(pongs[0], "before");
  EXPECT_EQ(std::count(pongs.begin(), pongs.end(), "behind"), 0) << "is the input not waiting?";
  let_it_read();
  Output out;
  while (socket.next(&message) && message.opcode != 8) {
    if (message.opcode == 10) pongs.push_back(message.payload);
    if (message.opcode == 2) (message.payload[0] == 1 ? out.out : out.error) += message.payload.substr(1);
  }
  EXPECT_EQ(message.opcode, 8);
  EXPECT_EQ(std::count(pongs.begin(), pongs.end(), "behind"), 1);
  EXPECT_EQ(out.out, std::to_string(kTooMuch) + "\n");
  EXPECT_NE(out.error.find("Success"), std::string::npos) << out.error;
}

TEST_F(Stall, ASpdyClientIsToldThatWeLiveAndItsPingIsAnsweredLater) {
  serve({.heartbeat = 50ms});
  Wire wire(deaf_url());
  ASSERT_EQ(upgrade_spdy(wire, {"v4.channel.k8s.io"}), 101);
  SpdyClient client(wire);
  const auto error = client.open({{"streamtype", "error"}}), out = client.open({{"streamtype", "stdout"}});
  const auto in = client.open({{"streamtype", "stdin"}});
  client.raw(spdy::ping_frame(1));
  ASSERT_TRUE(client.until([&] { return client.replied.contains(in) && !client.pings.empty(); }));
  client.send(in, std::string(kTooMuch, 'x'), true);
  client.raw(spdy::ping_frame(3));
  const std::string beat = spdy::empty_settings_frame();
  while (wire.received.size() < 5 * beat.size()) ASSERT_TRUE(wire.receive());
  EXPECT_EQ(wire.received.substr(0, 5 * beat.size()), beat + beat + beat + beat + beat);
  let_it_read();
  ASSERT_TRUE(client.until_ended(out) && client.until_ended(error));
  EXPECT_EQ(client.data[out], std::to_string(kTooMuch) + "\n");
  EXPECT_NE(client.data[error].find("Success"), std::string::npos) << client.data[error];
  EXPECT_EQ(client.pings, (std::vector<std::uint32_t>{1, 3}));
}

// Its end waits behind what nobody takes: its kernel says it only when it is sent something.
TEST_F(Stall, AClientThatClosesBehindItsInputIsNoticed) {
  serve({.heartbeat = 50ms});
  for (const bool websocket : {false, true}) {
    SCOPED_TRACE(websocket);
    auto wire = std::make_unique<Wire>(deaf_url());
    std::string frame;
    if (websocket) {
      ASSERT_EQ(upgrade_websocket(*wire, {"v5.channel.k8s.io"}), 101);
      frame = WebSocket::frame(2, std::string(1, '\0').append(60000, 'x'));
    } else {
      ASSERT_EQ(upgrade_spdy(*wire, {"v4.channel.k8s.io"}), 101);
      SpdyClient client(*wire);
      client.open({{"streamtype", "error"}});
      client.open({{"streamtype", "stdout"}});
      frame = spdy::data_frame(client.open({{"streamtype", "stdin"}}), std::string(60000, 'x'));
    }
    EXPECT_LT(wire->stuff(frame), 64U << 20);
    wire->drain();  // a client that closes with something unread says so by RST
    wire.reset();
    EXPECT_TRUE(no_sessions());
  }
}

TEST_F(Stall, WhatWeSayUnaskedIsNoActivity) {
  serve({.idle = 400ms, .heartbeat = 20ms});
  for (const bool websocket : {false, true}) {
    SCOPED_TRACE(websocket);
    Wire wire(deaf_url());
    if (websocket) {
      ASSERT_EQ(upgrade_websocket(wire, {"v5.channel.k8s.io"}), 101);
      WebSocket(wire).send(2, std::string(1, '\0').append(kTooMuch, 'x'));
    } else {
      ASSERT_EQ(upgrade_spdy(wire, {"v4.channel.k8s.io"}), 101);
      SpdyClient client(wire);
      client.open({{"streamtype", "error"}});
      client.open({{"streamtype", "stdout"}});
      client.send(client.open({{"streamtype", "stdin"}}), std::string(kTooMuch, 'x'));
    }
    EXPECT_TRUE(no_sessions());
  }
}

}  // namespace
}  // namespace podshim::streaming::test
