// The way in: tokens, refusals, deadlines, limits, garbage.
#include <sys/socket.h>

#include "tests/support/few_descriptors.h"
#include "tests/unit/shim-streaming/world.h"

namespace podshim::streaming::test {
namespace {

class Door : public World {
 protected:
  std::string refused(const std::string& at, int want, bool websocket = false) {
    Wire wire(at);
    std::string answer;
    const int status = websocket ? upgrade_websocket(wire, {"v5.channel.k8s.io"}, &answer)
                                 : upgrade_spdy(wire, {"v4.channel.k8s.io"}, &answer);
    EXPECT_EQ(status, want) << answer;
    return answer;
  }
};

TEST_F(Door, ATokenIsGoodOnce) {
  serve();
  const auto at = script_url("echo hello");
  EXPECT_EQ(talk_spdy({.url = at, .protocol = "v4.channel.k8s.io"}).out, "hello\n");
  EXPECT_NE(refused(at, 404).find("was used already"), std::string::npos);
  EXPECT_NE(refused(at, 404, true).find("was used already"), std::string::npos);
  EXPECT_NE(refused(server->address() + "/exec/" + std::string(32, '0'), 404).find("never issued"), std::string::npos);
  EXPECT_NE(refused(server->address() + "/attach/" + exec_url({"true"}).substr(server->address().size() + 6), 404)
                .find("is for exec"),
            std::string::npos);
  refused(server->address() + "/", 404);
  refused(server->address() + "/exec/", 404);
  EXPECT_EQ(server->sessions(), 0u);
}

TEST_F(Door, ATokenExpires) {
  serve({.token = 50ms});
  const auto at = exec_url({"true"});
  std::this_thread::sleep_for(80ms);
  EXPECT_NE(refused(at, 404).find("has expired"), std::string::npos);
}

TEST_F(Door, RequestsThatAreNoUpgrade) {
  serve();
  const auto at = exec_url({"true"});
  const auto path = at.substr(server->address().size());
  struct Case {
    std::string request;
    int want;
  };
  const Case cases[] = {
      {"GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"PUT " + path + " HTTP/1.1\r\nHost: x\r\n\r\n", 405},
      {"GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 400},
      {"POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 400},
      {"garbage\r\n\r\n", 400},
      {"POST " + path +
           " HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v9\r\n\r\n",
       403},
  };
  for (const auto& c : cases) {
    Wire wire(server->address());
    wire.send(c.request);
    const auto answer = wire.take_header();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + std::to_string(c.want) + " ")) << c.request << answer;
    EXPECT_TRUE(wire.closed_by_server());
  }
  // None of them has spent the token.
  EXPECT_NE(talk_spdy({.url = at, .protocol = "v4.channel.k8s.io"}).error.find("Success"), std::string::npos);
}

TEST_F(Door, ALongHeaderIsAHeader) {
  serve();
  for (const std::size_t size : {1000, 1500, 2000, 12000}) {
    Wire wire(script_url("echo hello"));
    const std::string more = "Authorization: Bearer " + std::string(size, 'x') + "\r\n";
    EXPECT_EQ(upgrade_websocket(wire, {"v5.channel.k8s.io"}, nullptr, more), 101) << size;
    WebSocket socket(wire);
    std::string out;
    Message message;
    while (socket.next(&message) && message.opcode == 2)
      if (message.payload[0] == 1) out += message.payload.substr(1);
    EXPECT_EQ(out, "hello\n") << size;
  }
}

// They may not take the daemon's descriptors by reading their refusals slowly.
TEST_F(Door, RefusedClientsThatStayMakeRoomForEachOther) {
  serve({.visitors = 4});
  std::vector<std::unique_ptr<Wire>> wires;
  for (int i = 0; i < 6; i++) {
    wires.push_back(std::make_unique<Wire>(server->address()));
    wires.back()->send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(wires.back()->take_header().starts_with("HTTP/1.1 404 "));
  }
  const auto gone = [](const Wire& wire) {
    char byte = 0;
    while (::recv(wire.fd(), &byte, 1, MSG_DONTWAIT) > 0) {
    }
    ::send(wire.fd(), "x", 1, MSG_NOSIGNAL);  // nobody is there: RST
    return ::send(wire.fd(), "x", 1, MSG_NOSIGNAL) < 0;
  };
  EXPECT_TRUE(soon([&] { return gone(*wires[0]); }));
  EXPECT_TRUE(soon([&] { return gone(*wires[1]); }));
  for (std::size_t i = 2; i < wires.size(); i++) EXPECT_FALSE(gone(*wires[i])) << i;
}

TEST_F(Door, EveryStateHasItsDeadline) {
  serve({.header = 100ms});
  Wire silent(server->address());
  EXPECT_TRUE(silent.closed_by_server());
  Wire half(server->address());
  half.send("GET /exec/");
  EXPECT_TRUE(half.closed_by_server());
  server.reset();
  serve({.streams = 150ms, .idle = 300ms});  // and as long for a header as it takes
  Wire no_streams(exec_url({"true"}));
  ASSERT_EQ(upgrade_spdy(no_streams, {"v4.channel.k8s.io"}), 101);
  EXPECT_TRUE(no_streams.closed_by_server());
  for (const bool websocket : {false, true}) {
    Wire idle(exec_url({"sleep", "1000"}));
    if (websocket) {
      ASSERT_EQ(upgrade_websocket(idle, {"v5.channel.k8s.io"}), 101);
    } else {
      ASSERT_EQ(upgrade_spdy(idle, {"v4.channel.k8s.io"}), 101);
      SpdyClient client(idle);
      client.open({{"streamtype", "error"}});
      client.open({{"streamtype", "stdout"}});
    }
    EXPECT_TRUE(idle.closed_by_server());
  }
  EXPECT_TRUE(no_sessions());
}

TEST_F(Door, SessionsAndVisitorsAreBounded) {
  serve({.sessions = 2, .visitors = 4});
  Wire first(exec_url({"sleep", "1000"})), second(exec_url({"sleep", "1000"}));
  ASSERT_EQ(upgrade_websocket(first, {"v5.channel.k8s.io"}), 101);
  ASSERT_EQ(upgrade_websocket(second, {"v5.channel.k8s.io"}), 101);
  const auto third = script_url("echo late");
  EXPECT_NE(refused(third, 503).find("too many streaming sessions"), std::string::npos);
  EXPECT_EQ(server->sessions(), 2u);
  first.reset();
  ASSERT_TRUE(soon([&] { return server->sessions() == 1; }));
  EXPECT_EQ(talk_spdy({.url = third, .protocol = "v4.channel.k8s.io"}).out, "late\n");  // its token was not spent
  // Whoever only connects makes room for the next one.
  std::vector<std::unique_ptr<Wire>> idle;
  for (int i = 0; i < 8; i++) idle.push_back(std::make_unique<Wire>(server->address()));
  EXPECT_TRUE(idle[0]->closed_by_server());
  EXPECT_NE(refused(server->address() + "/exec/x", 404).find("never issued"), std::string::npos);
}

TEST_F(Door, GarbageEndsItsSessionAlone) {
  serve();
  Wire good(exec_url({"sleep", "1000"}));
  ASSERT_EQ(upgrade_websocket(good, {"v5.channel.k8s.io"}), 101);
  for (int i = 0; i < 40; i++) {
    Wire wire(exec_url({"sleep", "1000"}));
    const bool websocket = i % 2 == 0;
    ASSERT_EQ(websocket ? upgrade_websocket(wire, {i % 4 == 0 ? "v5.channel.k8s.io" : "v4.base64.channel.k8s.io"})
                        : upgrade_spdy(wire, {"v5.channel.k8s.io"}),
              101);
    std::string garbage(200, static_cast<char>(0x80 + i));
    for (std::size_t k = 0; k < garbage.size(); k++) garbage[k] = static_cast<char>(garbage[k] ^ (k * k * (i + 1)));
    garbage[0] = static_cast<char>(0xff);  // SPDY: another version; WebSocket: reserved bits
    wire.send(garbage);
    EXPECT_TRUE(wire.closed_by_server());
  }
  EXPECT_TRUE(soon([&] { return server->sessions() == 1; }));
}

TEST_F(Door, ServersThatCannotStartSayWhy) {
  const auto start = [&](ServerOptions options) {
    auto started = Server::start(runtime, options, [](auto) { return false; });
    return started ? "started" : started.error().text();
  };
  EXPECT_NE(start({.address = "nowhere"}).find("\"nowhere\""), std::string::npos);
  EXPECT_NE(start({.address = "192.0.2.1", .port = 1}).find("EADDRNOTAVAIL"), std::string::npos);
  EXPECT_NE(start({.certificate = "/no/cert.pem"}).find("belong together"), std::string::npos);
  EXPECT_NE(start({.certificate = "/no/cert.pem", .key = "/no/key.pem"}).find("/no/cert.pem"), std::string::npos);
}

#ifndef PODSHIM_SANITIZED
// Not with sanitizers: UBSan looks at an object through a pipe of its own, and there is none to be had then.
// The library throws then.
TEST_F(Door, AServerWithoutDescriptorsFailsToStart) {
  int failed = 0;
  for (unsigned more = 0; more < 8; more++) {
    const podshim::test::FewDescriptors few(more);
    const auto started = Server::start(runtime, {}, [](auto) { return false; });
    if (started) continue;
    failed++;
    EXPECT_NE(started.error().text().find("streaming server"), std::string::npos) << started.error().text();
  }
  EXPECT_GT(failed, 1);
  EXPECT_LT(failed, 8);
}
#endif

TEST_F(Door, NobodyToOpenTheProcess) {
  auto started = Server::start(runtime, {}, [](auto) { return false; });
  ASSERT_TRUE(started);
  server = *std::move(started);
  const auto out = talk_spdy({.url = exec_url({"true"}), .protocol = "v4.channel.k8s.io"});
  EXPECT_NE(out.error.find("too many"), std::string::npos) << out.error;
}

}  // namespace
}  // namespace podshim::streaming::test
