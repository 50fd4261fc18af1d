#include "tests/unit/shim-streaming/talk.h"

#include "shim/streaming/base64.h"

namespace podshim::streaming::test {

Output talk_spdy(const Talk& talk) {
  Wire wire(talk.url);
  return talk_spdy_over(wire, talk);
}

Output talk_websocket(const Talk& talk) {
  Wire wire(talk.url);
  return talk_websocket_over(wire, talk);
}

Output talk_spdy_over(Wire& wire, const Talk& talk) {
  Output out;
  EXPECT_EQ(upgrade_spdy(wire, talk.protocol.empty() ? std::vector<std::string>{} : std::vector{talk.protocol}), 101);
  SpdyClient client(wire);
  const auto open = [&](const char* type, bool wanted) { return wanted ? client.open({{"streamtype", type}}) : 0; };
  const auto error = open("error", true);
  const auto in = open("stdin", talk.streams.in);
  const auto stdout_stream = open("stdout", talk.streams.out);
  const auto stderr_stream = open("stderr", talk.streams.err);
  const bool resizes = talk.streams.tty && !talk.protocol.empty() && talk.protocol > "v3";
  const auto resize = open("resize", resizes);
  if (!talk.resize.empty()) client.send(resize, talk.resize);
  if (in != 0 && (!talk.input.empty() || talk.end_input)) client.send(in, talk.input, talk.end_input);
  // As client-go does: the session is over when these three have ended, and then the client closes.
  for (const auto stream : {stdout_stream, stderr_stream, error})
    EXPECT_TRUE(stream == 0 || client.until_ended(stream)) << "stream " << stream << " has no end";
  out.out = client.data[stdout_stream];
  out.err = client.data[stderr_stream];
  out.error = client.data[error];
  return out;
}

Output talk_websocket_over(Wire& wire, const Talk& talk) {
  Output out;
  EXPECT_EQ(upgrade_websocket(wire, talk.protocol.empty() ? std::vector<std::string>{} : std::vector{talk.protocol}),
            101);
  const bool base64 = talk.protocol.find("base64") != std::string::npos;
  WebSocket socket(wire);
  const auto send = [&](int channel, std::string_view bytes, std::size_t piece = SIZE_MAX) {
    std::string message(1, static_cast<char>(base64 ? '0' + channel : channel));
    message += base64 ? base64_encode(bytes) : std::string(bytes);
    socket.send(base64 ? 1 : 2, message, true, piece);
  };
  if (!talk.resize.empty()) send(4, talk.resize);
  for (std::size_t at = 0; at < talk.input.size(); at += 100000)
    send(0, std::string_view(talk.input).substr(at, 100000), 30000);  // in fragments
  if (talk.end_input) socket.send(2, std::string("\xff\0", 2));
  bool first = true;
  for (Message message; socket.next(&message); first = false) {
    if (message.opcode == 8) {
      out.close_code = message.payload.size() < 2 ? 0
                                                  : static_cast<unsigned char>(message.payload[0]) << 8 |
                                                        static_cast<unsigned char>(message.payload[1]);
      socket.send(8, message.payload);
      break;
    }
    EXPECT_EQ(message.opcode, base64 ? 1 : 2);
    EXPECT_FALSE(message.payload.empty());
    const int channel = message.payload[0] - (base64 ? '0' : 0);
    std::string bytes = message.payload.substr(1);
    if (base64) {
      std::string decoded;
      Base64Decoder decoder;
      EXPECT_TRUE(decoder.feed(bytes, &decoded) && decoder.end());
      bytes = decoded;
    }
    EXPECT_TRUE(!first || bytes.empty()) << "the first message says that the session stands";
    (channel == 1 ? out.out : channel == 2 ? out.err : out.error) += bytes;
    EXPECT_TRUE(channel >= 1 && channel <= 3) << channel;
  }
  EXPECT_TRUE(wire.closed_by_server());
  return out;
}

}  // namespace podshim::streaming::test
