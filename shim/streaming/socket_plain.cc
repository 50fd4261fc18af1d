#include "shim/streaming/socket.h"

namespace podshim::streaming {
namespace {

class PlainSocket final : public Socket {
 public:
  PlainSocket(asio::io_context& io, Tcp::socket socket) : Socket(io), socket_(std::move(socket)) {}

  void handshake(std::move_only_function<void(ErrorCode)> done) override {
    asio::post(socket_.get_executor(), [done = std::move(done)]() mutable { done(ErrorCode()); });
  }
  void read_some(asio::mutable_buffer into, Done done) override { socket_.async_read_some(into, std::move(done)); }
  void write_some(const WriteBuffers& from, Done done) override { socket_.async_write_some(from, std::move(done)); }
  void end_output() override {
    ErrorCode ignored;  // it may be gone
    socket_.shutdown(Tcp::socket::shutdown_send, ignored);
  }
  void close() override {
    ErrorCode ignored;
    socket_.close(ignored);
  }
  int native() override { return socket_.native_handle(); }

 private:
  Tcp::socket socket_;
};

}  // namespace

std::shared_ptr<Socket> plain_socket(asio::io_context& io, Tcp::socket socket) {
  return std::make_shared<PlainSocket>(io, std::move(socket));
}

}  // namespace podshim::streaming
