// SPDY sessions, driven through their states: a client's frames by a script (and bytes as they come), what a process or
// a Pod does, calls that block for a while, a client that reads nothing. Three kinds: the streams of a connection
// alone, exec and attach, port-forward. Invariants: session_world.h, spdy_peer.h, and that a connection knows the
// streams that are open, and no other.
#include <cstdint>
#include <map>
#include <optional>

#include "shim/streaming/spdy_connection.h"
#include "tests/fuzz/shim-streaming/sessions.h"
#include "tests/fuzz/shim-streaming/spdy_peer.h"

namespace podshim::streaming::test {
namespace {

enum class Drive { connection, exec, attach, forward };

constexpr std::size_t kMaxOpen = 1000;

// Who accepts the streams of a bare connection, and keeps his own table of what is open.
class Owner final : public SpdyHandler {
 public:
  explicit Owner(std::shared_ptr<Carrier> carrier) : connection_(std::move(carrier)) { connection_.start(this); }

  void act(Script& script) {
    const std::uint32_t stream = 2 * script.next() + 1;
    const auto it = streams_.find(stream);
    switch (script.next() % 4) {
      case 0:
        if (connection_.carrier().queued() < kOutputHigh) connection_.write(stream, std::string(script.size(), 'o'));
        break;
      case 1:
        connection_.end(stream);
        if (it != streams_.end()) it->second.ours = false;
        break;
      case 2:
        connection_.reset(stream);
        streams_.erase(stream);
        break;
      default:
        connection_.carrier().set_reading(script.next() % 2 == 0);
    }
    check();
  }
  void check() {
    std::erase_if(streams_, [](const auto& s) { return !s.second.ours && !s.second.theirs; });
    must(gone_ || connection_.streams() == streams_.size(), "a connection knows the streams that are open");
    must(streams_.size() <= kMaxOpen, "the number of streams is bounded");
  }
  void read_on() { connection_.carrier().set_reading(true); }
  bool gone() const { return gone_; }

 private:
  struct Open {
    bool ours = true, theirs = true;
  };
  bool on_stream(std::uint32_t stream, const spdy::Headers& headers) override {
    must(!gone_, "nothing after on_gone()");
    const auto type = headers.find("streamtype");
    if (type == headers.end() || type->second == "junk") return false;
    must(streams_.emplace(stream, Open{}).second, "a stream is opened once");
    return true;
  }
  void on_stream_bytes(std::uint32_t stream, std::string_view) override {
    const auto it = streams_.find(stream);
    must(!gone_ && it != streams_.end() && it->second.theirs, "bytes on a stream whose half is open");
  }
  void on_stream_end(std::uint32_t stream) override {
    const auto it = streams_.find(stream);
    must(!gone_ && it != streams_.end() && std::exchange(it->second.theirs, false), "a half ends once");
  }
  void on_stream_reset(std::uint32_t stream) override {
    must(!gone_ && streams_.erase(stream) == 1, "a stream that was open is reset");
  }
  void on_drained() override {}
  void on_gone(const std::string&) override { must(!std::exchange(gone_, true), "on_gone() once"); }

  SpdyConnection connection_;
  std::map<std::uint32_t, Open> streams_;
  bool gone_ = false;
};

Route route_of(Drive drive, unsigned wishes) {
  const StreamRequest streams{
      .in = (wishes & 1) != 0, .out = (wishes & 2) != 0, .err = (wishes & 4) != 0, .tty = (wishes & 8) != 0};
  const Kind kind = drive == Drive::forward ? Kind::port_forward : drive == Drive::exec ? Kind::exec : Kind::attach;
  Order order{.kind = kind, .id = "id", .command = {"cat"}, .streams = streams};
  if ((wishes & 0xf0) == 0xf0) order.command.clear();  // no such program
  const auto known = known_protocols(kind, Transport::spdy);
  auto protocol = choose_protocol(kind, Transport::spdy, {known[(wishes >> 4) % known.size()]});
  return {.order = std::move(order), .transport = Transport::spdy, .protocol = std::move(*protocol)};
}

}  // namespace

Reached run_spdy_session(std::string_view text) {
  Script script(text);
  const unsigned first = script.next(), wishes = script.next();
  const auto drive = static_cast<Drive>(first % 4);
  const bool impatient = (first & 4) != 0;

  SpdyPeer peer;
  std::string header;  // our answer to the upgrade, before the frames
  bool framed = drive == Drive::connection;
  SessionWorld world(
      [&](std::string_view bytes) {
        if (framed) return peer.received(bytes);
        header += bytes;
        const auto end = header_length(header);
        if (!end) return;
        framed = true;
        peer.received(std::string_view(header).substr(*end));
      },
      impatient);
  std::optional<Owner> owner;
  if (drive == Drive::connection)
    owner.emplace(byte_carrier(world.io(), world.socket(), world.context().limits, "", ""));
  else
    world.open(route_of(drive, wishes), "GET / HTTP/1.1\r\n\r\n");

  std::string together;
  while (!script.over()) {
    const unsigned step = script.next();
    switch (step % 8) {
      case 0:
        if (owner)
          owner->act(script);
        else
          world.runtime.act(script);
        break;
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
    if (owner) owner->check();
  }
  world.client().send(std::exchange(together, {}));
  // Input may wait for a stream that has not come yet; an impatient session has given it up.
  world.may_wait_long = peer.input() > kInputHigh / 2 && !impatient && world.runtime.opened == 0;
  if (owner) owner->read_on();
  world.client().set_taking(true);
  world.turn();
  if (owner) owner->check();
  if (owner) owner.reset();
  world.finish();
  return {.replied = peer.replied,
          .refused = peer.refused,
          .ended = peer.ended,
          .bytes = peer.bytes,
          .pings = peer.pings,
          .processes = static_cast<std::size_t>(world.runtime.opened),
          .connections = static_cast<std::size_t>(world.runtime.dialled)};
}

}  // namespace podshim::streaming::test
