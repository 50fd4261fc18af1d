// The pure parts: frames, header blocks, messages, tokens, protocols, statuses, request headers.
#include <gtest/gtest.h>
#include <zlib.h>

#include "shim/streaming/base64.h"
#include "shim/streaming/big_endian.h"
#include "shim/streaming/http_upgrade.h"
#include "shim/streaming/message_codec.h"
#include "shim/streaming/protocols.h"
#include "shim/streaming/resize.h"
#include "shim/streaming/spdy_frames.h"
#include "shim/streaming/status_json.h"
#include "shim/streaming/tokens.h"

namespace podshim::streaming::test {
namespace {

using namespace std::chrono_literals;

// Writes down what it is told.
class Notes final : public spdy::FrameSink {
 public:
  std::string text, bytes;

 private:
  Result<> note(const std::string& what) {
    text += what + "\n";
    return {};
  }
  Result<> on_syn_stream(std::uint32_t stream, const spdy::Headers& headers, bool fin) override {
    std::string out = "open " + std::to_string(stream);
    for (const auto& [name, value] : headers) out += " " + name + "=" + value;
    TRY(note(out));
    return fin ? on_fin(stream) : Result<>();
  }
  Result<> on_syn_reply(std::uint32_t stream, bool) override { return note("reply " + std::to_string(stream)); }
  Result<> on_data(std::uint32_t, std::string_view piece) override {
    bytes += piece;
    return {};
  }
  Result<> on_fin(std::uint32_t stream) override { return note("end " + std::to_string(stream)); }
  Result<> on_reset(std::uint32_t stream, std::uint32_t code) override {
    return note("reset " + std::to_string(stream) + " " + std::to_string(code));
  }
  Result<> on_ping(std::uint32_t id) override { return note("ping " + std::to_string(id)); }
  Result<> on_goaway() override { return note("goaway"); }
};

TEST(Spdy, DictionaryIsTheOneOfTheProtocol) {
  const auto text = spdy::dictionary();
  EXPECT_EQ(text.size(), 1423u);
  EXPECT_EQ(::adler32(1, reinterpret_cast<const Bytef*>(text.data()), text.size()), 0xe3c6a7c2u);  // in every SPDY/3
}

TEST(Spdy, FramesCutAnywhere) {
  spdy::HeaderDeflater deflater;
  std::string all = spdy::syn_stream_frame(deflater, 1, {{"streamtype", "stdin"}, {"port", "80"}});
  all += spdy::data_frame(1, "hello ");
  all += spdy::ping_frame(7);
  all += spdy::syn_stream_frame(deflater, 3, {}, true);
  all += spdy::syn_reply_frame(deflater, 5);
  all += spdy::data_frame(1, std::string("w\0rld", 5), true);
  all += spdy::data_frame(9, "", true);
  all += spdy::reset_frame(3, spdy::ResetCode::cancel);
  all += std::string("\x80\x03\x00\x04\x00\x00\x00\x04\x00\x00\x00\x00", 12);  // SETTINGS without entries
  all += std::string("\x80\x03\x00\x63\x00\x00\x00\x02zz", 10);                // of an unknown type
  all += spdy::goaway_frame(3);
  const std::string want =
      "open 1 port=80 streamtype=stdin\nping 7\nopen 3\nend 3\nreply 5\nend 1\nend 9\nreset 3 5\ngoaway\n";
  for (std::size_t piece = 1; piece <= all.size(); piece++) {
    Notes notes;
    spdy::FrameDecoder decoder(notes);
    for (std::size_t at = 0; at < all.size(); at += piece)
      ASSERT_TRUE(decoder.feed(std::string_view(all).substr(at, piece)));
    ASSERT_EQ(notes.text, want) << piece;
    ASSERT_EQ(notes.bytes, std::string("hello w\0rld", 11));
  }
}

std::string control(int type, std::string_view payload, int version = 3) {
  std::string out;
  put_u16(&out, static_cast<std::uint16_t>(0x8000 | version));
  put_u16(&out, static_cast<std::uint16_t>(type));
  put_u32(&out, static_cast<std::uint32_t>(payload.size()));
  return out.append(payload);
}

TEST(Spdy, HostileFramesEndTheConnection) {
  struct Case {
    const char* name;
    std::string bytes, want;
  };
  std::string huge(8, '\0');
  huge.replace(0, 8, std::string("\x80\x03\x00\x01\x00\xff\xff\xff", 8));
  const Case cases[] = {
      {"version", control(1, "", 2), "version 2"},
      {"huge control frame", huge, "control frame of 16777215 bytes"},
      {"data for stream 0", std::string("\0\0\0\0\0\0\0\1x", 9), "stream 0"},
      {"short SYN_STREAM", control(1, "12345"), "shorter"},
      {"stream 0", control(1, std::string(10, '\0')), "stream 0"},
      {"no zlib", control(1, std::string("\0\0\0\1\0\0\0\0\0\0garbage", 17)), "header block"},
      {"empty block", control(1, std::string("\0\0\0\1\0\0\0\0\0\0", 10)), "header block"},
      {"short PING", control(6, "123"), "PING of 3"},
      {"long RST_STREAM", control(3, "123456789"), "RST_STREAM of 9"},
  };
  for (const auto& c : cases) {
    Notes notes;
    spdy::FrameDecoder decoder(notes);
    const auto fed = decoder.feed(c.bytes);
    ASSERT_FALSE(fed) << c.name;
    EXPECT_NE(fed.error().text().find(c.want), std::string::npos) << c.name << ": " << fed.error().text();
  }
}

TEST(Spdy, AHeaderBlockCannotGrowWithoutBound) {
  spdy::HeaderDeflater deflater;
  spdy::HeaderInflater inflater;
  const auto bomb = deflater.deflate({{"x", std::string(4 << 20, 'a')}});
  EXPECT_LT(bomb.size(), spdy::kMaxControlFrame);
  const auto inflated = inflater.inflate(bomb);
  ASSERT_FALSE(inflated);
  EXPECT_NE(inflated.error().text().find("larger"), std::string::npos) << inflated.error().text();
}

TEST(Spdy, HeaderBlocks) {
  struct Case {
    const char* name;
    std::string block, want;
  };
  const auto text = [](std::initializer_list<std::string> words) {
    std::string out;
    put_u32(&out, static_cast<std::uint32_t>(words.size() / 2));
    for (const auto& word : words) {
      put_u32(&out, static_cast<std::uint32_t>(word.size()));
      out += word;
    }
    return out;
  };
  const Case bad[] = {
      {"nothing", "", "no count"},
      {"count only", std::string("\0\0\0\1", 4), "within"},
      {"length beyond", std::string("\0\0\0\1\xff\xff\xff\xff", 8), "within"},
      {"many", std::string("\xff\xff\xff\xff", 4), "too many"},
      {"twice", text({"a", "1", "A", "2"}), "twice"},
      {"no name", text({"", "1"}), "empty name"},
      {"more", text({"a", "1"}) + "x", "after its end"},
  };
  for (const auto& c : bad) {
    const auto parsed = spdy::parse_header_block(c.block);
    ASSERT_FALSE(parsed) << c.name;
    EXPECT_NE(parsed.error().text().find(c.want), std::string::npos) << c.name << ": " << parsed.error().text();
  }
  const auto good = spdy::parse_header_block(text({"Port", "80", "x", std::string("first\0second", 12)}));
  ASSERT_TRUE(good);
  EXPECT_EQ(*good, (spdy::Headers{{"port", "80"}, {"x", "first"}}));
}

TEST(Base64, BothWays) {
  const std::pair<const char*, const char*> rfc[] = {{"", ""},
                                                     {"f", "Zg=="},
                                                     {"fo", "Zm8="},
                                                     {"foo", "Zm9v"},
                                                     {"foob", "Zm9vYg=="},
                                                     {"fooba", "Zm9vYmE="},
                                                     {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : rfc) {
    EXPECT_EQ(base64_encode(plain), text);
    for (std::size_t cut = 0; cut <= std::string(text).size(); cut++) {
      Base64Decoder decoder;
      std::string out;
      EXPECT_TRUE(decoder.feed(std::string_view(text).substr(0, cut), &out));
      EXPECT_TRUE(decoder.feed(std::string_view(text).substr(cut), &out));
      EXPECT_TRUE(decoder.end());
      EXPECT_EQ(out, plain);
    }
  }
  for (const char* bad : {"Zg=", "Z", "Zg==Zg==", "Z===", "=", "Zm9v!", "Zg= ="}) {
    Base64Decoder decoder;
    std::string out;
    EXPECT_FALSE(decoder.feed(bad, &out) && decoder.end()) << bad;
  }
}

TEST(Messages, PiecesOfMessages) {
  for (const bool base64 : {false, true}) {
    std::string content;
    for (int i = 0; i < 300; i++) content += static_cast<char>(i);
    const auto message = channel_message(base64, 4, content);
    for (std::size_t piece = 1; piece <= message.size(); piece++) {
      MessageDecoder decoder(base64);
      std::string got;
      for (std::size_t at = 0; at < message.size(); at += piece) {
        bool ok = false;
        const auto part = decoder.feed(std::string_view(message).substr(at, piece), at + piece >= message.size(), &ok);
        ASSERT_TRUE(ok);
        ASSERT_EQ(part.channel, 4);
        got += part.bytes;
      }
      ASSERT_EQ(got, content);
    }
  }
  MessageDecoder decoder(true);
  bool ok = true;
  (void)decoder.feed("0abc", true, &ok);  // stops within a group
  EXPECT_FALSE(ok);
}

TEST(Resize, SizesInAStream) {
  ResizeParser parser;
  EXPECT_EQ(parser.feed("{\"Width\":80,\"Hei"), std::nullopt);
  EXPECT_EQ(parser.feed("ght\":24}\n{"), (TerminalSize{80, 24}));
  EXPECT_EQ(parser.feed("\"Height\":1,\"Width\":2}{\"Width\":7,\"Height\":9}"), (TerminalSize{7, 9}));
  EXPECT_EQ(parser.feed("}}garbage}{\"Width\":-1,\"Height\":70000}" + std::string(100000, 'x')), std::nullopt);
  EXPECT_EQ(parser.feed("{\"Width\":3,\"Height\":4}"), (TerminalSize{3, 4}));
}

TEST(Status, JsonAndText) {
  EXPECT_EQ(status_json({}), R"({"metadata":{},"status":"Success"})");
  EXPECT_EQ(
      status_json({.exit_code = 3}),
      R"({"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: exit status 3",)"
      R"("reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"3"}]}})");
  EXPECT_EQ(status_json({.error = "no"}),
            R"({"metadata":{},"status":"Failure","message":"Internal error occurred: no","reason":"InternalError",)"
            R"("code":500,"details":{"causes":[{"message":"no"}]}})");
  EXPECT_EQ(status_text({}), "");
  EXPECT_NE(status_text({.exit_code = 137}).find("137"), std::string::npos);
}

TEST(Tokens, OnceInTimeForTheirKind) {
  const auto t0 = Tokens::Clock::time_point(std::chrono::hours(1));
  Tokens tokens(1min, 3);
  const auto issue = [&](Tokens::Clock::time_point now) {
    return tokens.issue({.kind = Kind::exec, .id = "c", .command = {"true"}}, now);
  };
  const auto first = issue(t0);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->size(), 32u);
  const auto why = [&](Kind kind, const std::string& token, Tokens::Clock::time_point now) {
    const auto taken = tokens.take(kind, token, now);
    return taken ? "taken" : taken.error().detail;
  };
  EXPECT_EQ(why(Kind::exec, "feed", t0), "was never issued, or has expired");
  EXPECT_EQ(why(Kind::exec, *first, t0 + 59s), "taken");
  EXPECT_EQ(why(Kind::exec, *first, t0 + 59s), "was used already");
  const auto second = issue(t0), third = issue(t0);
  EXPECT_NE(*second, *third);
  EXPECT_EQ(why(Kind::attach, *second, t0), "is for exec");
  EXPECT_EQ(why(Kind::exec, *second, t0), "was used already");
  EXPECT_EQ(why(Kind::exec, *third, t0 + 1min), "has expired");
  // Full of live ones; spent and expired ones make room.
  Tokens full(1min, 3);
  for (int i = 0; i < 3; i++) ASSERT_TRUE(full.issue({.id = "c"}, t0 + i * 1s));
  EXPECT_EQ(full.issue({.id = "c"}, t0 + 30s).error().kind, ErrorKind::resource_exhausted);
  EXPECT_TRUE(full.issue({.id = "c"}, t0 + 61s));
  EXPECT_LE(full.size(), 3u);
}

TEST(Protocols, TheFirstThatIsKnown) {
  struct Case {
    Kind kind;
    Transport transport;
    std::vector<std::string> offered;
    const char* want;  // "-": none
  };
  const Case cases[] = {
      {Kind::exec, Transport::spdy, {"v5.channel.k8s.io", "v4.channel.k8s.io"}, "v5.channel.k8s.io"},
      {Kind::exec, Transport::spdy, {"v9.channel.k8s.io", "v2.channel.k8s.io"}, "v2.channel.k8s.io"},
      {Kind::attach, Transport::spdy, {}, ""},
      {Kind::exec, Transport::spdy, {"portforward.k8s.io"}, "-"},
      {Kind::exec,
       Transport::websocket,
       {"base64url.bearer.authorization.k8s.io.x", "v4.base64.channel.k8s.io"},
       "v4.base64.channel.k8s.io"},
      {Kind::exec, Transport::websocket, {}, ""},
      {Kind::port_forward, Transport::spdy, {"portforward.k8s.io"}, "portforward.k8s.io"},
      {Kind::port_forward, Transport::spdy, {}, "-"},
      {Kind::port_forward, Transport::websocket, {"SPDY/3.1+portforward.k8s.io"}, "SPDY/3.1+portforward.k8s.io"},
      {Kind::port_forward, Transport::websocket, {"v5.channel.k8s.io"}, "-"},
  };
  for (const auto& c : cases) {
    const auto chosen = choose_protocol(c.kind, c.transport, c.offered);
    EXPECT_EQ(chosen ? chosen->name : "-", c.want);
  }
}

TEST(Upgrade, RequestHeaders) {
  const auto spdy = parse_upgrade(
      "POST /exec/t0ken?x=y HTTP/1.1\r\nHost: h\r\nconnection: keep-alive, Upgrade\r\nupgrade: spdy/3.1\r\n"
      "X-Stream-Protocol-Version: v4.channel.k8s.io\r\nX-Stream-Protocol-Version: v3.channel.k8s.io,channel.k8s.io\r\n"
      "Content-Length: 0\r\n\r\n");
  ASSERT_TRUE(spdy) << spdy.error().text();
  EXPECT_EQ(spdy->path, "/exec/t0ken");
  EXPECT_TRUE(spdy->spdy && !spdy->websocket);
  EXPECT_EQ(spdy->spdy_protocols,
            (std::vector<std::string>{"v4.channel.k8s.io", "v3.channel.k8s.io", "channel.k8s.io"}));
  const auto plain = parse_upgrade("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n");
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->spdy || plain->websocket);  // without Connection: Upgrade
  for (const char* bad : {"\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
                          "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
                          "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "\x16\x03\x01\r\n\r\n"})
    EXPECT_FALSE(parse_upgrade(bad)) << bad;
}

}  // namespace
}  // namespace podshim::streaming::test
