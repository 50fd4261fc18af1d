// WebSocket sessions over Beast's framing, driven through their states: a client's frames by a script (and bytes as
// they come), what a process or a Pod does, calls that block for a while, a client that reads nothing. Exec, attach,
// plain port-forward, and SPDY through a tunnel. Invariants: session_world.h, spdy_peer.h, and what a server may send:
// whole messages without mask, of the kind and on the channels that the protocol knows, and nothing after a close
// frame.
#include <cstdint>

#include "shim/streaming/base64.h"
#include "shim/streaming/big_endian.h"
#include "shim/streaming/message_codec.h"
#include "tests/fuzz/shim-streaming/sessions.h"
#include "tests/fuzz/shim-streaming/spdy_peer.h"

namespace podshim::streaming::test {
namespace {

constexpr unsigned kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10;
constexpr unsigned kFin = 0x80, kMasked = 0x80;
constexpr std::size_t kMaxControl = 125;
constexpr std::size_t kPorts = 3;
constexpr std::string_view kMask = "\x12\x34\x56\x78";

std::string frame(unsigned first, std::string_view payload) {
  std::string out(1, static_cast<char>(first));
  if (payload.size() <= kMaxControl) {
    out += static_cast<char>(kMasked | payload.size());
  } else if (payload.size() <= UINT16_MAX) {
    out += static_cast<char>(kMasked | 126);
    put_u16(&out, static_cast<std::uint16_t>(payload.size()));
  } else {
    out += static_cast<char>(kMasked | 127);
    put_u32(&out, 0);
    put_u32(&out, static_cast<std::uint32_t>(payload.size()));
  }
  out += kMask;
  const std::size_t begin = out.size();
  out += payload;
  for (std::size_t i = 0; i < payload.size(); i++) out[begin + i] ^= kMask[i % kMask.size()];
  return out;
}

class WebSocketPeer {
 public:
  explicit WebSocketPeer(const Route& route)
      : protocol_(route.protocol), forward_(route.order.kind == Kind::port_forward) {}

  std::string act(Script& script) {
    const unsigned kind = protocol_.base64 ? kText : kBinary;
    switch (script.next() % 10) {
      case 0:
      case 1: {  // a message, whole or in pieces
        const unsigned channel = script.next(), piece = script.next();
        std::string content(script.size(), 'x');
        return message(kind, channel_message(protocol_.base64, static_cast<int>(channel % 8), content), piece);
      }
      case 2: {
        const std::string size = "{\"Width\":80,\"Height\":" + std::to_string(script.next()) + "}";
        return message(kind, channel_message(protocol_.base64, 4, size), script.next());
      }
      case 3: {
        const char channel = static_cast<char>(script.next() % 8);
        return message(kind, channel_message(protocol_.base64, kCloseChannel, {&channel, 1}), 0);
      }
      case 4:
      case 5: {
        if (!protocol_.tunnel) return frame(kFin | kPing, std::string(script.next() % (kMaxControl + 1), 'p'));
        const std::string frames = spdy.act(script);
        return message(kBinary, frames, script.next());
      }
      case 6: {
        std::string many;
        for (unsigned n = script.next(); n > 0; n--) many += frame(kFin | kPing, "p");
        return many;
      }
      case 7: {
        wild_ = true;
        std::string code;
        put_u16(&code, static_cast<std::uint16_t>(1000 + script.next()));
        return frame(kFin | kClose, script.next() % 2 == 0 ? code : "");
      }
      case 8: {  // any frame: a continuation of nothing, reserved bits, unknown kinds
        const unsigned first = script.next();
        wild_ = true;
        return frame(first, script.raw());
      }
      default:
        wild_ = true;
        return std::string(script.raw());
    }
  }

  void received(std::string_view bytes) {
    incoming_ += bytes;
    if (!upgraded_) {
      const auto end = header_length(incoming_);
      if (!end) return;
      must(incoming_.starts_with("HTTP/1.1 101 "), "the upgrade is answered");
      incoming_.erase(0, *end);
      upgraded_ = true;
    }
    while (next_frame()) {
    }
  }
  bool wild() const { return wild_; }  // it may have broken the protocol

  SpdyPeer spdy;  // of a tunnel
  std::size_t messages = 0, pongs = 0, closes = 0;

 private:
  static std::string message(unsigned kind, std::string_view payload, unsigned pieces) {
    std::string out;
    for (pieces = pieces % 4; pieces > 0; pieces--) {
      const auto part = payload.substr(0, payload.size() / 2);
      payload.remove_prefix(part.size());
      out += frame(std::exchange(kind, 0), part);
    }
    return out + frame(kFin | kind, payload);
  }

  bool next_frame() {
    if (incoming_.size() < 2) return false;
    const unsigned first = static_cast<unsigned char>(incoming_[0]), second = static_cast<unsigned char>(incoming_[1]);
    must((first & 0xf0) == kFin && (second & kMasked) == 0, "our frames are whole messages without mask");
    const std::size_t more = second == 127 ? 8 : second == 126 ? 2 : 0;
    if (incoming_.size() < 2 + more) return false;
    std::size_t size = second;
    if (more == 2) size = get_u16(incoming_.data() + 2);
    if (more == 8) size = get_u32(incoming_.data() + 6);
    must(more != 2 || size > kMaxControl, "our frames are no longer than they need to be");
    must(more != 8 || size > UINT16_MAX, "our frames are no longer than they need to be");
    if (incoming_.size() < 2 + more + size) return false;
    take(first & 0xf, std::string_view(incoming_).substr(2 + more, size));
    incoming_.erase(0, 2 + more + size);
    return true;
  }

  void take(unsigned kind, std::string_view payload) {
    must(closes == 0, "nothing after a close frame");
    if (kind >= kClose) {
      must(kind == kClose || kind == kPong, "of control frames we send close and pong");
      must(payload.size() <= kMaxControl && (kind != kClose || payload.size() != 1), "control frames are well formed");
      (kind == kClose ? closes : pongs)++;
      return;
    }
    messages++;
    if (protocol_.tunnel) {
      must(kind == kBinary, "a tunnel has binary messages");
      return spdy.received(payload);
    }
    must(kind == (protocol_.base64 ? kText : kBinary), "messages are of the protocol's kind");
    must(!payload.empty(), "a message has a channel");
    const unsigned channel = static_cast<unsigned char>(payload[0]) - (protocol_.base64 ? unsigned{'0'} : 0U);
    must(forward_ ? channel < 2 * kPorts : channel >= 1 && channel <= 3, "we send on the channels of the protocol");
    std::string plain;
    Base64Decoder decoder;
    if (protocol_.base64) must(decoder.feed(payload.substr(1), &plain) && decoder.end(), "base64 is base64");
  }

  const Protocol protocol_;
  const bool forward_;
  std::string incoming_;
  bool upgraded_ = false, wild_ = false;
};

Route route_of(unsigned first, unsigned wishes) {
  const Kind kind = first % 4 == 0 ? Kind::exec : first % 4 == 1 ? Kind::attach : Kind::port_forward;
  const StreamRequest streams{
      .in = (wishes & 1) != 0, .out = (wishes & 2) != 0, .err = (wishes & 4) != 0, .tty = (wishes & 8) != 0};
  Order order{.kind = kind, .id = "id", .command = {"cat"}, .streams = streams, .ports = {80, 81, 8080}};
  if ((wishes & 0xf0) == 0xf0) order.command.clear();  // no such program
  const auto known = known_protocols(kind, Transport::websocket);
  auto protocol = choose_protocol(kind, Transport::websocket, {known[(wishes >> 4) % known.size()]});
  return {.order = std::move(order), .transport = Transport::websocket, .protocol = std::move(*protocol)};
}

// A long one is parsed by us for Beast, a short one by Beast.
std::string request(bool long_one) {
  return "GET /exec/token HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
         (long_one ? "X-Long: " + std::string(2000, 'l') + "\r\n" : std::string()) + "\r\n";
}

}  // namespace

Reached run_websocket_session(std::string_view text) {
  Script script(text);
  const unsigned first = script.next(), wishes = script.next();
  const bool impatient = (first & 4) != 0, early_frames = (first & 16) != 0;
  Route route = route_of(first, wishes);
  WebSocketPeer peer(route);
  SessionWorld world([&](std::string_view bytes) { peer.received(bytes); }, impatient);
  world.holding = (first & 32) != 0;
  const std::string early = early_frames ? peer.act(script) : "";
  world.open(std::move(route), request((first & 8) != 0) + early);

  std::string together;
  while (!script.over()) {
    const unsigned step = script.next();
    switch (step % 8) {
      case 0:
      case 1:
        world.runtime.act(script);
        break;
      case 2: {
        const unsigned what = script.next();
        world.client().set_taking((what & 1) == 0);
        world.holding = (what & 2) != 0;
        world.pool_is_full = (what & 4) != 0;
        break;
      }
      default:
        together += peer.act(script);
    }
    if (step >= 128 && together.size() < kClientRoom) continue;  // together with the next one
    world.client().send(std::exchange(together, {}));
    world.turn();
  }
  world.client().send(std::exchange(together, {}));
  // A stream of a tunnel may have no twin yet; an impatient session has given it up. And where both sides say goodbye,
  // and the client wrongly, Beast waits for itself until the limit for that.
  world.may_wait_long = (peer.spdy.input() > kInputHigh / 2 && !impatient) || peer.wild();
  world.finish();
  return {.replied = peer.spdy.replied,
          .refused = peer.spdy.refused,
          .ended = peer.spdy.ended,
          .bytes = peer.spdy.bytes,
          .pings = peer.spdy.pings,
          .messages = peer.messages,
          .pongs = peer.pongs,
          .closes = peer.closes,
          .processes = static_cast<std::size_t>(world.runtime.opened),
          .connections = static_cast<std::size_t>(world.runtime.dialled)};
}

}  // namespace podshim::streaming::test
