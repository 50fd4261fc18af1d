// Exec and attach, over every protocol, with real processes.
#include <random>

#include "tests/support/long_run.h"
#include "tests/unit/shim-streaming/world.h"

namespace podshim::streaming::test {
namespace {

class Exec : public World {};

struct Way {
  const char* name;
  Output (*talk)(const Talk&);
  const char* protocol;
  bool json = true, half_close = true;
};
const Way kWays[] = {
    {"spdy v5", talk_spdy, "v5.channel.k8s.io"},
    {"spdy v4", talk_spdy, "v4.channel.k8s.io"},
    {"spdy v3", talk_spdy, "v3.channel.k8s.io", false},
    {"spdy v2", talk_spdy, "v2.channel.k8s.io", false},
    {"spdy v1", talk_spdy, "channel.k8s.io", false},
    {"spdy none", talk_spdy, "", false},
    {"websocket v5", talk_websocket, "v5.channel.k8s.io"},
    {"websocket v4", talk_websocket, "v4.channel.k8s.io", true, false},
    {"websocket v4 base64", talk_websocket, "v4.base64.channel.k8s.io", true, false},
    {"websocket binary", talk_websocket, "channel.k8s.io", false, false},
    {"websocket base64", talk_websocket, "base64.channel.k8s.io", false, false},
    {"websocket none", talk_websocket, "", false, false},
};

std::string noise(std::size_t size) {
  std::mt19937_64 random(7);
  std::string out;
  while (out.size() < size) {
    const std::uint64_t word = random();
    out.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  out.resize(size);
  return out;
}

TEST_F(Exec, OutputsAndExitCodesInEveryProtocol) {
  serve();
  for (const auto& way : kWays) {
    SCOPED_TRACE(way.name);
    const StreamRequest both{.out = true, .err = true};
    const auto failed = way.talk(
        {.url = script_url("echo out; echo err >&2; exit 3", both), .protocol = way.protocol, .streams = both});
    EXPECT_EQ(failed.out, "out\n");
    EXPECT_EQ(failed.err, "err\n");
    EXPECT_NE(failed.error.find(way.json ? R"({"reason":"ExitCode","message":"3"})" : "exit code: exit status 3"),
              std::string::npos)
        << failed.error;
    const auto good = way.talk({.url = script_url("printf hello"), .protocol = way.protocol});
    EXPECT_EQ(good.out, "hello");
    EXPECT_EQ(good.error, way.json ? R"({"metadata":{},"status":"Success"})" : "");
    const auto missing = way.talk({.url = exec_url({"/no/such"}), .protocol = way.protocol});
    EXPECT_EQ(missing.out, "");
    EXPECT_NE(missing.error.find("exec /no/such: ENOENT"), std::string::npos) << missing.error;
    EXPECT_EQ(missing.error.find("InternalError") != std::string::npos, way.json);
    const auto killed = way.talk({.url = script_url("kill -9 $$"), .protocol = way.protocol});
    EXPECT_NE(killed.error.find("137"), std::string::npos) << killed.error;
    EXPECT_EQ(failed.close_code, way.talk == talk_websocket ? 1000 : 0);
  }
  EXPECT_TRUE(no_sessions());
}

TEST_F(Exec, TheEndOfInputIsPassedOn) {
  serve();
  const StreamRequest streams{.in = true, .out = true};
  for (const auto& way : kWays) {
    if (!way.half_close) continue;
    SCOPED_TRACE(way.name);
    Talk talk{.url = exec_url({"wc", "-c"}, streams),
              .protocol = way.protocol,
              .streams = streams,
              .input = "12345",
              .end_input = true};
    EXPECT_EQ(way.talk(talk).out, "5\n");
    talk.url = exec_url({"wc", "-c"}, streams);
    talk.input = "";
    EXPECT_EQ(way.talk(talk).out, "0\n");
  }
}

TEST_F(Exec, MegabytesBothWaysAreExact) {
  serve();
  const StreamRequest streams{.in = true, .out = true};
  const std::string bytes = noise(5 << 20);
  for (const auto& way : kWays) {
    SCOPED_TRACE(way.name);
    // head ends by itself, where the protocol has no end of input.
    const auto out = way.talk({.url = exec_url({"head", "-c", std::to_string(bytes.size())}, streams),
                               .protocol = way.protocol,
                               .streams = streams,
                               .input = bytes});
    EXPECT_EQ(out.out.size(), bytes.size());
    EXPECT_TRUE(out.out == bytes);
  }
}

TEST_F(Exec, ATerminalIsResizedAndEndsWithItsProcess) {
  serve();
  const StreamRequest streams{.in = true, .out = true, .tty = true};
  for (const auto& way : kWays) {
    SCOPED_TRACE(way.name);
    const bool resizes = way.talk == talk_websocket || std::string(way.protocol) > "v3";
    // The input stays open: the session ends all the same.
    const auto out = way.talk({.url = script_url("read x; stty size; echo $x", streams),
                               .protocol = way.protocol,
                               .streams = streams,
                               .input = "word\n",
                               .resize = resizes ? "{\"Width\":100,\"Height\":40}\n" : ""});
    EXPECT_NE(out.out.find(resizes ? "40 100\r\nword\r\n" : "0 0\r\nword\r\n"), std::string::npos) << out.out;
  }
}

TEST_F(Exec, ShortTerminalSessionsLoseNothing) {
  serve();
  const int rounds = podshim::test::long_run() ? 5000 : 100;
  for (int i = 0; i < rounds; i++) {
    const auto& way = kWays[i % std::size(kWays)];
    const StreamRequest streams{.out = true, .tty = true};
    const std::string word = std::to_string(i);
    const auto out = way.talk({.url = exec_url({"echo", word}, streams), .protocol = way.protocol, .streams = streams});
    ASSERT_EQ(out.out, word + "\r\n") << way.name;
  }
}

TEST_F(Exec, AttachHasInputAndOutputAndAnEnd) {
  serve();
  for (const auto& way : kWays) {
    if (!way.half_close) continue;
    SCOPED_TRACE(way.name);
    const StreamRequest streams{.in = true, .out = true, .err = true};
    const auto out = way.talk({.url = url({.kind = Kind::attach, .streams = streams}),
                               .protocol = way.protocol,
                               .streams = streams,
                               .input = "echo -n hello",
                               .end_input = true});
    EXPECT_EQ(out.out, "hello");
    const bool resizes = std::string(way.protocol) > "v3";
    const StreamRequest tty{.in = true, .out = true, .tty = true};
    const auto terminal = way.talk({.url = url({.kind = Kind::attach, .streams = tty}),
                                    .protocol = way.protocol,
                                    .streams = tty,
                                    .input = "stty size; exit\n",
                                    .resize = resizes ? "{\"Width\":90,\"Height\":30}" : ""});
    EXPECT_EQ(terminal.out, resizes ? "30 90\n" : "0 0\n");
  }
}

TEST_F(Exec, OutputThatAGrandchildKeepsOpenIsWaitedForAMoment) {
  serve({.grandchild = 300ms});
  const auto quiet = talk_spdy({.url = script_url("sleep 20 & echo done; exit 4"), .protocol = "v4.channel.k8s.io"});
  EXPECT_EQ(quiet.out, "done\n");
  EXPECT_NE(quiet.error.find("\"4\""), std::string::npos) << quiet.error;
  const auto loud =
      talk_websocket({.url = script_url("(while :; do echo noise; done) & exit 5"), .protocol = "v5.channel.k8s.io"});
  EXPECT_NE(loud.error.find("\"5\""), std::string::npos) << loud.error;
  EXPECT_TRUE(no_sessions());
}

TEST_F(Exec, ASlowClientGetsEveryByte) {
  serve();
  const std::size_t size = 6 << 20;
  Wire wire(exec_url({"head", "-c", std::to_string(size), "/dev/zero"}), 4096);
  ASSERT_EQ(upgrade_spdy(wire, {"v4.channel.k8s.io"}), 101);
  SpdyClient client(wire);
  const auto error = client.open({{"streamtype", "error"}}), out = client.open({{"streamtype", "stdout"}});
  std::this_thread::sleep_for(300ms);  // everything on the way is full by now
  ASSERT_TRUE(client.until_ended(out));
  EXPECT_EQ(client.data[out].size(), size);
  ASSERT_TRUE(client.until_ended(error));
  EXPECT_NE(client.data[error].find("Success"), std::string::npos);
}

TEST_F(Exec, AClientThatTakesNothingAfterTheEndIsCut) {
  serve({.stall = 300ms});
  for (const bool websocket : {false, true}) {
    // 600 kB fit into what may wait for the client and the kernel's buffers, so that the process ends.
    Wire wire(exec_url({"head", "-c", "600000", "/dev/zero"}), 4096);
    if (websocket) {
      ASSERT_EQ(upgrade_websocket(wire, {"v5.channel.k8s.io"}), 101);
    } else {
      ASSERT_EQ(upgrade_spdy(wire, {"v4.channel.k8s.io"}), 101);
      EXPECT_TRUE(soon([&] { return server->sessions() == 1; }));
      SpdyClient client(wire);
      client.open({{"streamtype", "error"}});
      client.open({{"streamtype", "stdout"}});
    }
    EXPECT_TRUE(no_sessions());
  }
}

TEST_F(Exec, InputThatNobodyReadsStopsTheClient) {
  serve();
  const StreamRequest streams{.in = true, .out = true};
  Wire wire(exec_url({"sleep", "1000"}, streams));
  ASSERT_EQ(upgrade_spdy(wire, {"v4.channel.k8s.io"}), 101);
  SpdyClient client(wire);
  client.open({{"streamtype", "error"}});
  client.open({{"streamtype", "stdout"}});
  const auto in = client.open({{"streamtype", "stdin"}});
  ASSERT_TRUE(client.until([&] { return client.replied.contains(in); }));
  EXPECT_LT(wire.stuff(spdy::data_frame(in, std::string(60000, 'x'))), 32U << 20) << "the server keeps whatever comes";
  wire.reset();
  EXPECT_TRUE(no_sessions());
}

TEST_F(Exec, InputBeforeTheProcessIsThereIsKept) {
  serve();
  runtime.hold_streams(true);
  std::thread later([&] {
    std::this_thread::sleep_for(200ms);
    runtime.hold_streams(false);
  });
  const StreamRequest streams{.in = true, .out = true};
  const std::string bytes = noise(3 << 20);
  const auto out = talk_spdy({.url = exec_url({"cat"}, streams),
                              .protocol = "v5.channel.k8s.io",
                              .streams = streams,
                              .input = bytes,
                              .end_input = true});
  EXPECT_TRUE(out.out == bytes);
  later.join();
}

TEST_F(Exec, PingsAreAnsweredAndOddStreamsRefused) {
  serve();
  Wire wire(exec_url({"sleep", "1000"}));
  ASSERT_EQ(upgrade_spdy(wire, {"v4.channel.k8s.io"}), 101);
  SpdyClient client(wire);
  client.raw(spdy::ping_frame(1) + spdy::ping_frame(2));  // an even one would be an answer
  const auto unknown = client.open({{"streamtype", "nonsense"}}), none = client.open({});
  const auto error = client.open({{"streamtype", "error"}}), again = client.open({{"streamtype", "error"}});
  ASSERT_TRUE(client.until([&] { return client.replied.contains(again) && client.resets.size() == 3; }));
  EXPECT_EQ(client.pings, std::vector<std::uint32_t>{1});
  EXPECT_EQ(client.resets, (std::set{unknown, none, again}));
  EXPECT_TRUE(client.replied.contains(error));
  Wire other(exec_url({"sleep", "1000"}));
  ASSERT_EQ(upgrade_websocket(other, {"v5.channel.k8s.io"}), 101);
  WebSocket socket(other);
  socket.send(9, "are you there");
  Message message;
  do {
    ASSERT_TRUE(socket.next(&message));
  } while (message.opcode != 10);
  EXPECT_EQ(message.payload, "are you there");
}

}  // namespace
}  // namespace podshim::streaming::test
