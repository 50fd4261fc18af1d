#include "shim/streaming/carrier.h"

namespace podshim::streaming {
namespace {

constexpr std::size_t kReadBuffer = 16 << 10;

class ByteCarrier final : public Carrier {
 public:
  ByteCarrier(asio::io_context& io, std::shared_ptr<Socket> socket, const Limits& limits, std::string first,
              std::string heartbeat)
      : Carrier(io, std::move(socket), limits), io_(io), first_(std::move(first)), heartbeat_(std::move(heartbeat)) {}

 private:
  bool may_merge() const override { return true; }

  void read_more() override {
    const auto self = shared_from_this();
    if (!first_.empty()) {
      return asio::post(io_, [this, self] { got(std::exchange(first_, {}), false); });
    }
    if (!buffer_) buffer_ = std::make_unique<char[]>(kReadBuffer);
    socket_->read_some(asio::buffer(buffer_.get(), kReadBuffer), [this, self](ErrorCode error, std::size_t n) {
      if (error) return lost(error == asio::error::eof ? "the client closed" : "read: " + error.message());
      got({buffer_.get(), n}, false);
    });
  }

  void write_front() override {
    Socket::WriteBuffers from;
    for (in_flight_ = 0; in_flight_ < queue_.size() && in_flight_ < from.size(); in_flight_++) {
      const std::size_t skip = in_flight_ == 0 ? front_written_ : 0;
      from[in_flight_] = asio::buffer(queue_[in_flight_].data() + skip, queue_[in_flight_].size() - skip);
    }
    socket_->write_some(from, [this, self = shared_from_this()](ErrorCode error, std::size_t n) {
      if (error) return lost("write: " + error.message());
      wrote(n);
    });
  }

  void say_goodbye() override { socket_->end_output(); }

  void heartbeat() override {
    if (!heartbeat_.empty()) send_heartbeat(heartbeat_);
  }

  asio::io_context& io_;
  std::string first_;
  const std::string heartbeat_;
  std::unique_ptr<char[]> buffer_;
};

}  // namespace

std::shared_ptr<Carrier> byte_carrier(asio::io_context& io, std::shared_ptr<Socket> socket, const Limits& limits,
                                      std::string first, std::string heartbeat) {
  return std::make_shared<ByteCarrier>(io, std::move(socket), limits, std::move(first), std::move(heartbeat));
}

}  // namespace podshim::streaming
