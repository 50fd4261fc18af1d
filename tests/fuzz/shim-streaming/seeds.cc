#include "tests/fuzz/shim-streaming/seeds.h"

#include "shim/streaming/big_endian.h"
#include "shim/streaming/message_codec.h"
#include "shim/streaming/spdy_frames.h"

namespace podshim::streaming::test {
namespace {

using namespace std::string_literals;
using spdy::Headers;

constexpr char kWhole = 63, kBytes = 0, kOdd = 6;  // pieces of 64 bytes, of one, of seven

std::string control(spdy::FrameType type, std::string_view payload, char flags = 0) {
  std::string out;
  put_u16(&out, 0x8000 | spdy::kVersion);
  put_u16(&out, static_cast<std::uint16_t>(type));
  put_u32(&out, static_cast<std::uint32_t>(flags) << 24 | static_cast<std::uint32_t>(payload.size()));
  return out.append(payload);
}

std::string numbers(std::initializer_list<std::uint32_t> values) {
  std::string out;
  for (const auto value : values) put_u32(&out, value);
  return out;
}

// A frame that opens a stream, of a client that has sent nothing before.
std::string syn(const Headers& headers, bool fin = false) {
  spdy::HeaderDeflater deflater;
  return spdy::syn_stream_frame(deflater, 1, headers, fin);
}

std::string with_block(spdy::FrameType type, std::uint32_t stream, const Headers& headers, char flags = 0) {
  spdy::HeaderDeflater deflater;
  return control(type, numbers({stream}) + deflater.deflate(headers), flags);
}

std::string exec_session() {
  spdy::HeaderDeflater deflater;
  std::string out;
  std::uint32_t stream = 1;
  for (const char* type : {"error", "stdin", "stdout", "resize"}) {
    out += spdy::syn_stream_frame(deflater, stream, {{"streamtype", type}});
    stream += 2;
  }
  out += spdy::data_frame(7, "{\"Width\":80,\"Height\":24}\n") + spdy::data_frame(3, "echo hello\n");
  return out + spdy::ping_frame(1) + spdy::data_frame(3, {}, true) + spdy::goaway_frame(0);
}

std::string forward_session() {
  spdy::HeaderDeflater deflater;
  Headers headers{{"port", "8080"}, {"requestid", "0"}, {"streamtype", "error"}};
  std::string out = spdy::syn_stream_frame(deflater, 1, headers, true);
  headers["streamtype"] = "data";
  return out + spdy::syn_stream_frame(deflater, 3, headers) + spdy::data_frame(3, "GET / HTTP/1.0\r\n\r\n", true) +
         spdy::reset_frame(3, spdy::ResetCode::cancel);
}

std::string request(const std::string& line, const std::string& headers) {
  return line + " HTTP/1.1\r\nHost: node\r\n" + headers + "\r\n";
}

void add_frames(std::vector<Seed>* out) {
  using enum spdy::FrameType;
  const auto add = [&](const char* name, char cut, const std::string& bytes) { out->push_back({name, cut + bytes}); };
  add("spdy-syn-stream", kWhole, syn({{"streamtype", "stdout"}}));
  add("spdy-syn-stream-fin", kOdd, syn({{"streamtype", "error"}, {"port", "80"}}, true));
  add("spdy-syn-reply", kWhole, with_block(syn_reply, 1, {{"status", "200 OK"}}));
  add("spdy-headers", kWhole, with_block(headers, 1, {{"x", "y"}}));
  add("spdy-headers-fin", kWhole, with_block(headers, 1, {}, 1));
  add("spdy-data", kOdd, spdy::data_frame(3, std::string(100, 'x')));
  add("spdy-data-fin", kBytes, spdy::data_frame(3, "last", true));
  add("spdy-data-empty", kWhole, spdy::data_frame(3, {}) + spdy::data_frame(3, {}, true));
  add("spdy-rst-stream", kWhole, spdy::reset_frame(5, spdy::ResetCode::refused_stream));
  add("spdy-settings", kWhole, spdy::empty_settings_frame() + control(settings, numbers({1, 0x01000004, 100})));
  add("spdy-ping", kBytes, spdy::ping_frame(1) + spdy::ping_frame(2));
  add("spdy-goaway", kWhole, spdy::goaway_frame(7));
  add("spdy-window-update", kWhole, control(window_update, numbers({1, 65536})));
  add("spdy-unknown", kWhole, control(static_cast<spdy::FrameType>(42), "whatever") + spdy::ping_frame(3));
  add("spdy-exec", kOdd, exec_session());
  add("spdy-exec-bytes", kBytes, exec_session());
  add("spdy-forward", kWhole, forward_session());
}

void add_wrong_frames(std::vector<Seed>* out) {
  using enum spdy::FrameType;
  const auto add = [&](const char* name, const std::string& bytes) { out->push_back({name, kWhole + bytes}); };
  add("bad-version", "\x80\x02\0\1\0\0\0\0"s);
  add("bad-length", "\x80\x03\0\1\0\2\0\0"s);
  add("bad-rst-stream", control(rst_stream, numbers({1})));
  add("bad-ping", control(ping, numbers({1, 2})));
  add("bad-fixed-part", control(syn_stream, numbers({1})));
  add("bad-stream-0", with_block(headers, 0, {}) + spdy::data_frame(0, "x"));
  add("bad-data-0", spdy::data_frame(0, "x"));
  add("bad-block-cut", control(syn_reply, numbers({1}) + syn({{"streamtype", "data"}}).substr(18, 20)));
  add("bad-block-zlib", control(syn_reply, numbers({1}) + "no zlib stream"));
  add("bad-block-adler", control(syn_reply, numbers({1}) + "\x78\xbb\0\0\0\0"s));  // another dictionary
  add("bad-block-large", syn({{"a", std::string(spdy::kMaxHeaderBytes, 'a')}}));
  add("bad-block-twice", syn({{"A", "1"}, {"a", "2"}}));
  add("bad-block-no-name", syn({{"", "1"}}));
  Headers many;
  for (std::size_t i = 0; i <= spdy::kMaxHeaders; i++) many[std::to_string(i)] = "";
  add("bad-block-many", syn(many));
}

void add_blocks_and_messages(std::vector<Seed>* out) {
  const auto add = [&](const char* name, char cut, const std::string& bytes) { out->push_back({name, cut + bytes}); };
  add("block", kWhole,
      numbers({1, 4}) + "Port" + numbers({5}) +
          "80\0"
          "81"s);
  add("block-empty", kWhole, numbers({0}));
  add("block-cut", kWhole, numbers({2, 1}) + "a" + numbers({1}) + "b" + numbers({9}) + "c");
  add("block-more", kWhole, numbers({0}) + "after its end");
  add("message-stdin", kWhole, channel_message(false, 0, "input\n"));
  add("message-resize", kOdd, channel_message(false, 4, "{\"Width\":132,\"Height\":43}"));
  add("message-close", kWhole, "\xff\0"s);
  add("message-empty", kWhole, channel_message(false, 1, {}));
  add("base64-stdin", kOdd, channel_message(true, 0, "input\n"));
  add("base64-resize", kWhole, channel_message(true, 4, "{\"Width\":132,\"Height\":43}"));
  add("base64-padding", kWhole, channel_message(true, 0, "1") + channel_message(true, 0, "22"));
  add("base64-bits", kWhole, "0aGVsbG9=x==");
  add("base64-channel", kWhole, "/aGVsbG8=");
  add("resize-several", kOdd, "{\"Width\":1,\"Height\":2}{\"Width\":65535,\"Height\":65535}\n{}");
  add("resize-range", kWhole, "{\"Width\":65536,\"Height\":-1}{\"Width\":\"80\"}");
  add("resize-long", kWhole, "{" + std::string(5000, ' ') + "}");
}

void add_requests(std::vector<Seed>* out) {
  const std::string spdy = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n",
                    token = "/exec/0123456789abcdef0123456789abcdef";
  const std::string socket =
      "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const auto add = [&](const char* name, const std::string& bytes) { out->push_back({name, kWhole + bytes}); };
  add("http-spdy", request("POST " + token, spdy + "X-Stream-Protocol-Version: v5.channel.k8s.io\r\n"
                                                   "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n"));
  add("http-websocket",
      request("GET " + token, socket + "Sec-WebSocket-Protocol: v5.channel.k8s.io,\t v4.channel.k8s.io\r\n"));
  add("http-tunnel", request("GET /portforward/x", socket + "Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io\r\n"));
  add("http-query", request("GET " + token + "?command=ls&stdin=1", spdy));
  add("http-plain", request("GET /", ""));
  add("http-body", request("POST " + token, spdy + "Content-Length: 3\r\n") + "abc");
  add("http-chunked", request("POST " + token, spdy + "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n");
  add("http-early-frames", request("POST " + token, spdy) + exec_session());
  add("http-half", "POST " + token + " HTTP/1.1\r\nHost:");
  add("http-garbage", "garbage\r\n\r\n");
}

}  // namespace

std::vector<Seed> seeds() {
  std::vector<Seed> out;
  add_frames(&out);
  add_wrong_frames(&out);
  add_blocks_and_messages(&out);
  add_requests(&out);
  return out;
}

}  // namespace podshim::streaming::test
