#include "shim/streaming/spdy_connection.h"

namespace podshim::streaming {
namespace {

constexpr std::size_t kMaxStreams = 1000;

std::unexpected<Error> broken(std::string why) {
  return fail(Error::of(ErrorKind::invalid_argument, "serve", "SPDY client", std::move(why)));
}

}  // namespace

void SpdyConnection::start(SpdyHandler* handler) {
  handler_ = handler;
  carrier_->start(this);
}

void SpdyConnection::write(std::uint32_t stream, std::string_view bytes) {
  const auto it = streams_.find(stream);
  if (it == streams_.end() || !it->second.ours || bytes.empty()) return;
  carrier_->send(spdy::data_frame(stream, bytes));
}

void SpdyConnection::end(std::uint32_t stream) {
  const auto it = streams_.find(stream);
  if (it == streams_.end() || !it->second.ours) return;
  carrier_->send(spdy::data_frame(stream, {}, true));
  it->second.ours = false;
  if (!it->second.theirs) streams_.erase(it);
}

void SpdyConnection::reset(std::uint32_t stream) {
  if (streams_.erase(stream) != 0) carrier_->send(spdy::reset_frame(stream, spdy::ResetCode::cancel));
}

void SpdyConnection::abort() {
  handler_ = nullptr;
  carrier_->abort();
}

void SpdyConnection::on_bytes(std::string_view bytes, bool) {
  const auto fed = decoder_.feed(bytes);
  if (fed || handler_ == nullptr) return;
  SpdyHandler* const handler = handler_;
  abort();
  handler->on_gone(fed.error().text());
}

void SpdyConnection::on_drained() {
  if (handler_ != nullptr) handler_->on_drained();
}

void SpdyConnection::on_gone(const std::string& why) {
  SpdyHandler* const handler = std::exchange(handler_, nullptr);
  if (handler != nullptr) handler->on_gone(why);
}

Result<> SpdyConnection::on_syn_stream(std::uint32_t stream, const spdy::Headers& headers, bool fin) {
  if (handler_ == nullptr) return {};
  if (stream % 2 == 0 || stream <= last_stream_)
    return broken("opens stream " + std::to_string(stream) + " after " + std::to_string(last_stream_));
  last_stream_ = stream;
  if (streams_.size() >= kMaxStreams) {
    carrier_->send(spdy::reset_frame(stream, spdy::ResetCode::refused_stream));
    return {};
  }
  streams_[stream] = {};
  // The reply goes first: what the handler writes at once must not overtake it.
  carrier_->send(spdy::syn_reply_frame(deflater_, stream));
  if (!handler_->on_stream(stream, headers)) reset(stream);
  return fin ? on_fin(stream) : Result<>();
}

Result<> SpdyConnection::on_syn_reply(std::uint32_t stream, bool) {
  return broken("answers stream " + std::to_string(stream) + ", which nobody opened");
}

Result<> SpdyConnection::on_data(std::uint32_t stream, std::string_view bytes) {
  const auto it = streams_.find(stream);
  if (handler_ != nullptr && it != streams_.end() && it->second.theirs) handler_->on_stream_bytes(stream, bytes);
  return {};
}

Result<> SpdyConnection::on_fin(std::uint32_t stream) {
  const auto it = streams_.find(stream);
  if (handler_ == nullptr || it == streams_.end() || !it->second.theirs) return {};
  it->second.theirs = false;
  if (!it->second.ours) streams_.erase(it);
  handler_->on_stream_end(stream);
  return {};
}

Result<> SpdyConnection::on_reset(std::uint32_t stream, std::uint32_t) {
  if (streams_.erase(stream) != 0 && handler_ != nullptr) handler_->on_stream_reset(stream);
  return {};
}

Result<> SpdyConnection::on_ping(std::uint32_t id) {
  if (id % 2 == 1) carrier_->send(spdy::ping_frame(id));  // even ones would be answers to ours
  return {};
}

Result<> SpdyConnection::on_goaway() { return {}; }  // the end of the connection follows

}  // namespace podshim::streaming
