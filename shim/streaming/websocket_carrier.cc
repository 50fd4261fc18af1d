// The one file with Beast's WebSocket. Beast answers pings and close frames by itself while it reads.
#include <boost/beast/websocket.hpp>
#include <optional>

#include "shim/streaming/carrier.h"

namespace podshim::streaming {

// Found by argument-dependent look-up: how Beast ends our kind of stream. The close handshake is over by then.
inline void teardown(boost::beast::role_type, Socket& socket, ErrorCode& error) {
  socket.end_output();
  error = {};
}
template <typename Handler>
void async_teardown(boost::beast::role_type, Socket& socket, Handler&& handler) {
  socket.end_output();
  asio::post(socket.get_executor(), [handler = std::forward<Handler>(handler)]() mutable { handler(ErrorCode()); });
}
inline void beast_close_socket(Socket& socket) { socket.close(); }

namespace {

namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;

constexpr std::size_t kReadBuffer = 16 << 10;
// What Beast can be given of a header that it is to parse itself (its tcp_frame_size); a longer one comes parsed.
constexpr std::size_t kBeastBuffer = 1536;

class WebSocketCarrier final : public Carrier {
 public:
  WebSocketCarrier(asio::io_context& io, std::shared_ptr<Socket> socket, const Limits& limits, std::string head,
                   const std::string& protocol, bool text)
      : Carrier(io, socket, limits), head_(std::move(head)), stream_(std::in_place, *socket) {
    websocket::stream_base::timeout timeout{};
    timeout.handshake_timeout = limits.stall;  // also of the close handshake
    timeout.idle_timeout = websocket::stream_base::none();
    stream_->set_option(timeout);
    stream_->set_option(websocket::stream_base::decorator([protocol](websocket::response_type& response) {
      if (!protocol.empty()) response.set(boost::beast::http::field::sec_websocket_protocol, protocol);
    }));
    stream_->auto_fragment(false);
    stream_->read_message_max(0);  // messages are passed on in pieces
    stream_->text(text);
  }

 private:
  void open() override {
    auto done = [this, self = shared_from_this()](ErrorCode error) {
      if (error) return lost("handshake: " + error.message());
      head_ = {};
      opened();
    };
    if (head_.size() <= kBeastBuffer) return stream_->async_accept(asio::buffer(head_), std::move(done));
    http::request_parser<http::empty_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(head_.size()));
    ErrorCode error;
    const std::size_t taken = parser.put(asio::buffer(head_), error);
    if (!error && taken != head_.size()) error = http::error::unexpected_body;  // frames before our answer
    if (error) return asio::post(socket_->get_executor(), [done = std::move(done), error]() mutable { done(error); });
    stream_->async_accept(parser.get(), std::move(done));
  }

  void read_more() override {
    if (!buffer_) buffer_ = std::make_unique<char[]>(kReadBuffer);
    stream_->async_read_some(asio::buffer(buffer_.get(), kReadBuffer),
                             [this, self = shared_from_this()](ErrorCode error, std::size_t n) {
                               if (error || !stream_) return lost(why(error));
                               got({buffer_.get(), n}, stream_->is_message_done());
                             });
  }

  void write_front() override {
    in_flight_ = 1;
    stream_->async_write(asio::buffer(queue_.front()), [this, self = shared_from_this()](ErrorCode error, std::size_t) {
      if (error) return lost("write: " + error.message());
      wrote(queue_.front().size());
    });
  }

  void say_goodbye() override {
    stream_->async_close(websocket::close_code::normal,
                         [this, self = shared_from_this()](ErrorCode) { lost("closed"); });
  }

  // An unsolicited pong (RFC 6455, 5.5.3). client-go sends a ping every 5 s and closes when it has had no pong for 61
  // s, whatever else comes. Beast lets it go between two of our messages. Whether it could, the others will tell.
  void heartbeat() override {
    if (std::exchange(ponging_, true)) return;
    stream_->async_pong({}, [this, self = shared_from_this()](ErrorCode) { ponging_ = false; });
  }

  // A read that meets a wrong frame while async_close() waits for the client's: in Beast (1.81) each of the two then
  // waits for the other's lock, whatever becomes of the socket. What they hold, us among it, goes with the stream.
  void let_go() override {
    asio::post(socket_->get_executor(), [this, self = shared_from_this()] { stream_.reset(); });
  }

  static std::string why(ErrorCode error) {
    if (error == websocket::error::closed || error == asio::error::eof) return "the client closed";
    return "read: " + error.message();
  }

  std::string head_;
  std::optional<websocket::stream<Socket&>> stream_;  // until the connection is gone
  std::unique_ptr<char[]> buffer_;
  bool ponging_ = false;
};

}  // namespace

std::shared_ptr<Carrier> websocket_carrier(asio::io_context& io, std::shared_ptr<Socket> socket, const Limits& limits,
                                           std::string head, const std::string& protocol, bool text) {
  return std::make_shared<WebSocketCarrier>(io, std::move(socket), limits, std::move(head), protocol, text);
}

}  // namespace podshim::streaming
