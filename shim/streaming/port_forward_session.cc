// Port-forward over SPDY, plain or tunnelled through a WebSocket. Each connection of the client is a pair of streams
// with one request id: data, and errors (empty = none). The session itself has no end but the client's.
#include <charconv>
#include <unordered_map>

#include "common/log.h"
#include "shim/streaming/forward.h"
#include "shim/streaming/session.h"
#include "shim/streaming/spdy_connection.h"

namespace podshim::streaming {
namespace {

constexpr std::size_t kMaxRequestId = 256;  // bytes; clients count from 0. We keep it as long as its streams

std::uint16_t parse_port(const std::string& text) {
  std::uint16_t port = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && at == text.data() + text.size() ? port : 0;
}

std::string header(const spdy::Headers& headers, const char* name) {
  const auto it = headers.find(name);
  return it == headers.end() ? "" : it->second;
}

class PortForwardSession final : public Session, private SpdyHandler, private ForwardOwner {
 public:
  PortForwardSession(const SessionContext& context, Order order, std::shared_ptr<Carrier> carrier)
      : context_(context), order_(std::move(order)), connection_(std::move(carrier)) {}
  ~PortForwardSession() override { close_forwards(); }

  void start() override { connection_.start(this); }
  void abort() override {
    connection_.abort();
    close_forwards();
  }

 private:
  struct Pair {
    std::string request;
    std::uint32_t data = 0, error = 0;
    std::shared_ptr<Forward> forward;
    std::unique_ptr<Timer> deadline;
    bool client_ended = false;
    std::string early;
  };

  // ---- the client
  bool on_stream(std::uint32_t stream, const spdy::Headers& headers) override {
    const std::string type = header(headers, "streamtype");
    const std::uint16_t port = parse_port(header(headers, "port"));
    const bool data = type == "data";
    if (port == 0 || (!data && type != "error")) {
      log::warn("port-forward stream refused", {{"sandbox", order_.id}, {"type", type}, {"port", port}});
      return false;
    }
    std::string request = header(headers, "requestid");
    if (request.size() > kMaxRequestId) return false;
    // Clients of old send none, and open the error stream right before its data stream.
    if (request.empty()) request = "stream " + std::to_string(data ? stream - 2 : stream);
    auto& known = pairs_[request];
    if (!known) known = std::make_shared<Pair>(Pair{.request = request});
    const auto pair = known;  // ours: a dial that is refused at once drops the other
    if (pair->data == 0 && pair->error == 0) {
      pair->deadline = std::make_unique<Timer>(*context_.io);
      pair->deadline->after(context_.limits.streams, [this, p = pair.get()] { incomplete(*p); });
    }
    auto& slot = data ? pair->data : pair->error;
    if (slot != 0) return false;
    slot = stream;
    streams_[stream] = pair;
    if (pair->data == 0 || pair->error == 0) return true;
    pair->deadline.reset();
    pair->forward = std::make_shared<Forward>(context_, static_cast<ForwardOwner&>(*this), pair->data, order_.id, port);
    pair->forward->dial();
    pass_input(*pair);
    return true;
  }

  void on_stream_bytes(std::uint32_t stream, std::string_view bytes) override {
    const auto pair = find(stream);
    if (!pair || stream != pair->data) return;
    pair->early += bytes;
    pass_input(*pair);
  }

  void on_stream_end(std::uint32_t stream) override {
    const auto pair = find(stream);
    if (!pair || stream != pair->data) return;
    pair->client_ended = true;
    pass_input(*pair);
  }

  void on_stream_reset(std::uint32_t stream) override {
    const auto pair = find(stream);
    if (pair) drop(*pair, "");
  }

  void on_drained() override {
    for (const auto& [request, pair] : pairs_)
      if (pair->forward) pair->forward->set_reading(true);
  }

  void on_gone(const std::string& why) override {
    if (!why.empty()) log::info("port-forward ends", {{"sandbox", order_.id}, {"why", why}});
    close_forwards();
    context_.closed(this);
  }

  // ---- the Pod
  void on_pod_bytes(std::uint32_t stream, std::string_view bytes) override {
    connection_.write(stream, bytes);
    if (connection_.carrier().queued() < kOutputHigh) return;
    for (const auto& [request, pair] : pairs_)
      if (pair->forward) pair->forward->set_reading(false);
  }
  void on_pod_end(std::uint32_t stream) override { connection_.end(stream); }
  void on_pod_over(std::uint32_t stream, bool dialled, const std::string& error) override {
    const auto pair = find(stream);
    if (!pair) return;
    // A connection that broke later is the Pod's affair, and no reason for the client to give up all others.
    if (dialled || error.empty()) {
      if (!error.empty()) connection_.reset(pair->data);
      return drop(*pair, "");
    }
    const auto port = std::to_string(pair->forward->port());
    log::info("port-forward failed", {{"sandbox", order_.id}, {"port", port}, {"error", error}});
    drop(*pair, "error forwarding port " + port + " to pod " + order_.id + ": " + error);
  }
  void on_room() override { set_reading(); }

  // ----
  void pass_input(Pair& pair) {
    if (pair.forward) {
      if (!pair.early.empty()) pair.forward->write(std::exchange(pair.early, {}));
      if (pair.client_ended && pair.forward) pair.forward->end();
    }
    set_reading();
  }
  // One connection whose Pod takes nothing stops them all: they share the client's, and its bound.
  void set_reading() {
    std::size_t waiting = 0;
    for (const auto& [request, pair] : pairs_)
      waiting += pair->early.size() + (pair->forward ? pair->forward->buffered() : 0);
    connection_.carrier().set_reading(waiting <= kInputHigh);
  }
  void incomplete(Pair& pair) {
    log::warn("port-forward stream without its twin", {{"sandbox", order_.id}, {"request", pair.request}});
    drop(pair, "timed out waiting for the other stream of request " + pair.request);
  }
  void drop(Pair& pair, const std::string& error) {
    const auto keep = pairs_.find(pair.request)->second;
    pairs_.erase(keep->request);
    if (keep->forward) keep->forward->close();
    connection_.write(keep->error, error);
    for (const std::uint32_t stream : {keep->data, keep->error}) {
      if (stream == 0) continue;
      connection_.end(stream);
      streams_.erase(stream);
    }
    set_reading();
  }
  std::shared_ptr<Pair> find(std::uint32_t stream) const {
    const auto it = streams_.find(stream);
    return it == streams_.end() ? nullptr : it->second;
  }
  void close_forwards() {
    for (const auto& [request, pair] : pairs_)
      if (pair->forward) pair->forward->close();
    pairs_.clear();
    streams_.clear();
  }

  const SessionContext& context_;
  const Order order_;
  SpdyConnection connection_;
  std::unordered_map<std::string, std::shared_ptr<Pair>> pairs_;      // by request id
  std::unordered_map<std::uint32_t, std::shared_ptr<Pair>> streams_;  // by both its streams
};

}  // namespace

std::shared_ptr<Session> port_forward_session(const SessionContext& context, Order order,
                                              std::shared_ptr<Carrier> carrier) {
  return std::make_shared<PortForwardSession>(context, std::move(order), std::move(carrier));
}

}  // namespace podshim::streaming
