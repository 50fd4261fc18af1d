// Port-forward over plain WebSocket channels: for the n-th port of the order, channel 2n carries data and 2n+1 errors,
// each beginning with the port as two bytes, low one first. A port is one connection, dialled at once. The session ends
// when all have, or with the client.
#include "common/log.h"
#include "shim/streaming/forward.h"
#include "shim/streaming/message_codec.h"
#include "shim/streaming/session.h"

namespace podshim::streaming {
namespace {

class WebSocketForwardSession final : public Session, private CarrierHandler, private ForwardOwner {
 public:
  WebSocketForwardSession(const SessionContext& context, Order order, const Protocol& protocol,
                          std::shared_ptr<Carrier> carrier)
      : context_(context),
        order_(std::move(order)),
        base64_(protocol.base64),
        carrier_(std::move(carrier)),
        decoder_(protocol.base64) {}
  ~WebSocketForwardSession() override { abort(); }

  void start() override {
    carrier_->start(this);
    for (std::size_t i = 0; i < order_.ports.size(); i++) {
      const std::uint16_t port = order_.ports[i];
      const std::string text{static_cast<char>(port & 0xff), static_cast<char>(port >> 8)};
      send(2 * i, text);
      send(2 * i + 1, text);
      forwards_.push_back(std::make_shared<Forward>(context_, static_cast<ForwardOwner&>(*this),
                                                    static_cast<std::uint32_t>(i), order_.id, port));
    }
    for (const auto& forward : forwards_) forward->dial();
  }
  void abort() override {
    carrier_->abort();
    close_forwards();
  }

 private:
  void send(std::size_t channel, std::string_view bytes) {
    carrier_->send(channel_message(base64_, static_cast<int>(channel), bytes));
  }

  void on_bytes(std::string_view bytes, bool last) override {
    bool ok = true;
    const auto piece = decoder_.feed(bytes, last, &ok);
    if (!ok) {
      carrier_->abort();
      return on_gone("a message that is no channel message");
    }
    const std::size_t index = static_cast<std::size_t>(piece.channel) / 2;
    if (piece.channel < 0 || piece.channel % 2 != 0 || index >= forwards_.size() || !forwards_[index]) return;
    const auto forward = forwards_[index];
    forward->write(piece.bytes);
    on_room();
  }
  void on_drained() override { set_pods_reading(true); }
  void on_gone(const std::string& why) override {
    if (!why.empty()) log::info("port-forward ends", {{"sandbox", order_.id}, {"why", why}});
    close_forwards();
    context_.closed(this);
  }

  void on_pod_bytes(std::uint32_t key, std::string_view bytes) override {
    send(2 * key, bytes);
    if (carrier_->queued() >= kOutputHigh) set_pods_reading(false);
  }
  // The protocol has no half close: the Pod's end is the connection's.
  void on_pod_end(std::uint32_t key) override { over(key, ""); }
  void on_pod_over(std::uint32_t key, bool dialled, const std::string& error) override {
    over(key, dialled ? "" : error);
  }
  void on_room() override {
    std::size_t waiting = 0;
    for (const auto& f : forwards_) waiting += f ? f->buffered() : 0;
    carrier_->set_reading(waiting <= kInputHigh);
  }

  void over(std::uint32_t key, const std::string& error) {
    const auto forward = std::exchange(forwards_[key], nullptr);
    if (!forward) return;
    forward->close();
    if (!error.empty())
      send(2 * key + 1,
           "error forwarding port " + std::to_string(forward->port()) + " to pod " + order_.id + ": " + error);
    for (const auto& f : forwards_)
      if (f) return on_room();
    carrier_->finish();
  }
  void set_pods_reading(bool on) {
    for (const auto& f : forwards_)
      if (f) f->set_reading(on);
  }
  void close_forwards() {
    for (const auto& f : forwards_)
      if (f) f->close();
    forwards_.clear();
  }

  const SessionContext& context_;
  const Order order_;
  const bool base64_;
  const std::shared_ptr<Carrier> carrier_;
  MessageDecoder decoder_;
  std::vector<std::shared_ptr<Forward>> forwards_;  // nullptr: over
};

}  // namespace

std::shared_ptr<Session> websocket_forward_session(const SessionContext& context, Order order, const Protocol& protocol,
                                                   std::shared_ptr<Carrier> carrier) {
  return std::make_shared<WebSocketForwardSession>(context, std::move(order), protocol, std::move(carrier));
}

}  // namespace podshim::streaming
