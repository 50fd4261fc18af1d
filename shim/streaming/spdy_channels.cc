#include <array>

#include "shim/streaming/channels.h"
#include "shim/streaming/spdy_connection.h"

namespace podshim::streaming {
namespace {

constexpr std::string_view kStreamType = "streamtype";
constexpr std::string_view kNames[kChannels] = {"stdin", "stdout", "stderr", "error", "resize"};

class SpdyChannels final : public Channels, private SpdyHandler {
 public:
  SpdyChannels(std::shared_ptr<Carrier> carrier, const Protocol& protocol, const StreamRequest& request)
      : connection_(std::move(carrier)), protocol_(protocol) {
    expected_[int(Channel::in)] = request.in;
    expected_[int(Channel::out)] = request.out;
    expected_[int(Channel::err)] = request.err && !request.tty;
    expected_[int(Channel::error)] = true;
    expected_[int(Channel::resize)] = request.tty && protocol.resizes();
  }

  void start(ChannelHandler* handler) override {
    handler_ = handler;
    connection_.start(this);
  }
  void write(Channel channel, std::string_view bytes) override { connection_.write(ids_[int(channel)], bytes); }
  void end(Channel channel) override { connection_.end(ids_[int(channel)]); }
  void finish(const Outcome& outcome) override {
    end(Channel::out);
    end(Channel::err);
    write(Channel::error, protocol_.json_status() ? status_json(outcome) : status_text(outcome));
    end(Channel::error);
    end(Channel::in);  // a client that copies its own input learns by this that nobody wants it
    end(Channel::resize);
    carrier().finish();
  }
  std::string missing() const override {
    std::string out;
    for (int i = 0; i < kChannels; i++)
      if (expected_[i] && ids_[i] == 0) out.append(out.empty() ? "" : ", ").append(kNames[i]);
    return out;
  }
  Carrier& carrier() override { return connection_.carrier(); }
  void abort() override {
    handler_ = nullptr;
    connection_.abort();
  }

 private:
  bool on_stream(std::uint32_t stream, const spdy::Headers& headers) override {
    const auto type = headers.find(std::string(kStreamType));
    for (int i = 0; type != headers.end() && i < kChannels; i++) {
      if (type->second != kNames[i]) continue;
      if (ids_[i] != 0) return false;
      ids_[i] = stream;
      if (!ready_ && missing().empty()) {
        ready_ = true;
        handler_->on_ready();
      }
      return true;
    }
    return false;
  }
  void on_stream_bytes(std::uint32_t stream, std::string_view bytes) override {
    if (stream == ids_[int(Channel::in)] && expected_[int(Channel::in)]) return handler_->on_input(bytes);
    if (stream != ids_[int(Channel::resize)]) return;  // clients write nothing else
    if (const auto size = resize_.feed(bytes)) handler_->on_resize(*size);
  }
  void on_stream_end(std::uint32_t stream) override {
    if (stream == ids_[int(Channel::in)] && expected_[int(Channel::in)]) handler_->on_input_end();
  }
  void on_stream_reset(std::uint32_t stream) override {
    if (stream == ids_[int(Channel::in)]) return on_stream_end(stream);
    for (const Channel c : {Channel::out, Channel::err})
      if (stream == ids_[int(c)]) handler_->on_refused(c);
  }
  void on_drained() override { handler_->on_drained(); }
  void on_gone(const std::string& why) override { handler_->on_gone(why); }

  SpdyConnection connection_;
  const Protocol protocol_;
  ChannelHandler* handler_ = nullptr;
  std::array<bool, kChannels> expected_{};
  std::array<std::uint32_t, kChannels> ids_{};
  ResizeParser resize_;
  bool ready_ = false;
};

}  // namespace

std::unique_ptr<Channels> spdy_channels(std::shared_ptr<Carrier> carrier, const Protocol& protocol,
                                        const StreamRequest& request) {
  return std::make_unique<SpdyChannels>(std::move(carrier), protocol, request);
}

}  // namespace podshim::streaming
