#include "shim/streaming/channels.h"
#include "shim/streaming/message_codec.h"

namespace podshim::streaming {
namespace {

class WebSocketChannels final : public Channels, private CarrierHandler {
 public:
  WebSocketChannels(std::shared_ptr<Carrier> carrier, const Protocol& protocol, const StreamRequest& request)
      : carrier_(std::move(carrier)), protocol_(protocol), request_(request), decoder_(protocol.base64) {}
  ~WebSocketChannels() override { carrier_->abort(); }

  void start(ChannelHandler* handler) override {
    handler_ = handler;
    carrier_->start(this);
    // Clients wait for an empty message as the sign that the session stands.
    send(request_.out ? Channel::out : request_.err ? Channel::err : Channel::error, {});
    handler_->on_ready();
  }
  void write(Channel channel, std::string_view bytes) override {
    if (!bytes.empty()) send(channel, bytes);
  }
  // Only clients send CLOSE: client-go reports one of ours on its user's terminal as an unknown channel.
  void end(Channel) override {}
  void finish(const Outcome& outcome) override {
    write(Channel::error, protocol_.json_status() ? status_json(outcome) : status_text(outcome));
    carrier_->finish();
  }
  std::string missing() const override { return ""; }
  Carrier& carrier() override { return *carrier_; }
  void abort() override {
    handler_ = nullptr;
    carrier_->abort();
  }

 private:
  void send(Channel channel, std::string_view bytes) {
    carrier_->send(channel_message(protocol_.base64, int(channel), bytes));
  }

  void on_bytes(std::string_view bytes, bool last) override {
    bool ok = true;
    const auto piece = decoder_.feed(bytes, last, &ok);
    if (!ok) {
      ChannelHandler* const handler = handler_;
      abort();
      return handler->on_gone("serve WebSocket client: a message that is no channel message");
    }
    if (piece.channel == int(Channel::in) && request_.in) {
      if (!piece.bytes.empty() && !input_ended_) handler_->on_input(piece.bytes);
    } else if (piece.channel == int(Channel::resize)) {
      if (const auto size = resize_.feed(piece.bytes)) handler_->on_resize(*size);
    } else if (piece.channel == kCloseChannel && protocol_.closes_channels() && request_.in && !input_ended_ &&
               piece.bytes == std::string_view("\0", 1)) {
      input_ended_ = true;
      handler_->on_input_end();
    }
  }
  void on_drained() override { handler_->on_drained(); }
  void on_gone(const std::string& why) override { handler_->on_gone(why); }

  const std::shared_ptr<Carrier> carrier_;
  const Protocol protocol_;
  const StreamRequest request_;
  MessageDecoder decoder_;
  ChannelHandler* handler_ = nullptr;
  ResizeParser resize_;
  bool input_ended_ = false;
};

}  // namespace

std::unique_ptr<Channels> websocket_channels(std::shared_ptr<Carrier> carrier, const Protocol& protocol,
                                             const StreamRequest& request) {
  return std::make_unique<WebSocketChannels>(std::move(carrier), protocol, request);
}

}  // namespace podshim::streaming
