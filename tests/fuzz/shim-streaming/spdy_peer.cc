#include "tests/fuzz/shim-streaming/spdy_peer.h"

#include "shim/streaming/big_endian.h"

namespace podshim::streaming::test {
namespace {

constexpr const char* kTypes[] = {"stdin", "stdout", "stderr", "error", "resize", "data", "junk", ""};
constexpr const char* kPorts[] = {"80", "81", "0", "", "65536", "8080"};
constexpr std::uint32_t kPingsAtOnce = 64;
constexpr std::size_t kMostAtOnce = 3 << 20;

// Of a frame that our encoders do not make.
std::string control(spdy::FrameType type, std::string_view payload, unsigned flags = 0) {
  std::string out;
  put_u16(&out, 0x8000 | spdy::kVersion);
  put_u16(&out, static_cast<std::uint16_t>(type));
  put_u32(&out, flags << 24 | static_cast<std::uint32_t>(payload.size()));
  return out.append(payload);
}

}  // namespace

// A request id is a number, a long text, or none at all.
std::string SpdyPeer::open(Script& script, bool in_order) {
  const unsigned type = script.next(), port = script.next(), request = script.next();
  spdy::Headers headers{{"streamtype", kTypes[type % std::size(kTypes)]}, {"port", kPorts[port % std::size(kPorts)]}};
  if (request >= 192)
    headers["requestid"] = std::to_string(next_) + std::string(script.size() % (60 << 10), 'r');
  else if (request != 0)
    headers["requestid"] = std::to_string(request);
  const std::uint32_t stream = in_order ? next_ : script.next();
  if (in_order) next_ += 2;
  if (stream == 0) wild_ = true;
  streams_.try_emplace(stream);
  return spdy::syn_stream_frame(deflater_, stream, headers, type >= 128);
}

std::uint32_t SpdyPeer::pick(Script& script) const { return (2 * script.next() + 1) % (next_ + 2); }

std::string SpdyPeer::act(Script& script) {
  using enum spdy::FrameType;
  std::string out, part;
  switch (script.next() % 16) {
    case 0:
    case 1:
      return open(script, true);
    case 2: {  // many alike
      const unsigned n = script.next();
      const char alike[] = {char(script.next()), char(script.next()), char(script.next()), char(script.next())};
      for (unsigned i = 0; i < n; i++) {
        Script same({alike, sizeof alike});
        out += open(same, true);
      }
      return out;
    }
    case 3:
      return open(script, false);
    case 4:
    case 5: {
      const auto stream = pick(script);
      const auto size = script.size();
      input_ += size;
      return spdy::data_frame(stream, std::string(size, 'x'), script.next() % 4 == 3);
    }
    case 6: {
      const auto stream = pick(script);
      return spdy::data_frame(stream, "{\"Width\":80,\"Height\":" + std::to_string(script.next()) + "}");
    }
    case 7:
      return spdy::data_frame(pick(script), {}, true);
    case 8:
      return spdy::reset_frame(pick(script), spdy::ResetCode::cancel);
    case 9:
      for (unsigned n = script.next() * kPingsAtOnce + 1; n > 0; n--) {
        out += spdy::ping_frame(n % 8 == 7 ? n + 1 : n | 1);
        pings_sent_++;
      }
      return out;
    case 10:
      put_u32(&part, pick(script));
      return control(headers, part + deflater_.deflate({{"a", "b"}}), script.next() % 2);
    case 11:
      return spdy::empty_settings_frame() + spdy::goaway_frame(0) + control(window_update, std::string(8, '\1'));
    case 12:  // to every stream
      for (std::uint32_t s = 1; s < next_; s += 2) out += spdy::reset_frame(s, spdy::ResetCode::cancel);
      return out;
    case 13:
      for (std::uint32_t s = 1; s < next_; s += 2) out += spdy::data_frame(s, {}, true);
      return out;
    case 14: {  // to every stream, and more than is taken of one
      const auto size = script.size();
      for (std::uint32_t s = 1; s < next_ && out.size() < kMostAtOnce; s += 2)
        out += spdy::data_frame(s, std::string(size, 'x'));
      input_ += out.size();
      return out;
    }
    default:
      wild_ = true;
      return std::string(script.raw());
  }
}

void SpdyPeer::received(std::string_view frames) {
  const auto fed = decoder_.feed(frames);
  must(fed.has_value(), "we send frames of SPDY/3.1");
}

SpdyPeer::Stream& SpdyPeer::answered(std::uint32_t stream) {
  const auto it = streams_.find(stream);
  must(it != streams_.end() && it->second.replied, "nothing on a stream before its SYN_REPLY");
  must(!it->second.ended && !it->second.reset, "nothing on a stream after its end");
  return it->second;
}

Result<> SpdyPeer::on_syn_stream(std::uint32_t, const spdy::Headers&, bool) {
  must(false, "we open no streams");
  return {};
}

Result<> SpdyPeer::on_syn_reply(std::uint32_t stream, bool fin) {
  must(wild_ || streams_.contains(stream), "a SYN_REPLY answers a SYN_STREAM");
  auto& s = streams_[stream];
  must(!fin && !s.replied && !s.reset, "one SYN_REPLY a stream");
  s.replied = true;
  replied++;
  return {};
}

Result<> SpdyPeer::on_data(std::uint32_t stream, std::string_view piece) {
  answered(stream);
  bytes += piece.size();
  return {};
}

Result<> SpdyPeer::on_fin(std::uint32_t stream) {
  answered(stream).ended = true;
  ended++;
  return {};
}

Result<> SpdyPeer::on_reset(std::uint32_t stream, std::uint32_t code) {
  auto& s = streams_[stream];
  const bool no_room = code == static_cast<std::uint32_t>(spdy::ResetCode::refused_stream);
  must(!s.reset && s.replied == !no_room, "a stream is reset once, or refused before a SYN_REPLY");
  s.reset = true;
  refused++;
  return {};
}

Result<> SpdyPeer::on_ping(std::uint32_t id) {
  must(id % 2 == 1 && (wild_ || ++pings <= pings_sent_), "we answer the client's pings");
  return {};
}

Result<> SpdyPeer::on_goaway() {
  must(false, "we end a connection without GOAWAY");
  return {};
}

}  // namespace podshim::streaming::test
