// Socket: a client's byte stream, TCP or TLS over it, behind one type, so that Beast's WebSocket is compiled once.
//
// At most one read and one write at a time. A completion is never called from within the call that started it. Whoever
// starts an operation keeps the Socket until it has completed; close() completes all of them soon. Loop thread.
#pragma once

#include <array>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <string>

#include "common/result.h"

namespace podshim::streaming {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using Tcp = asio::ip::tcp;

class Socket : public std::enable_shared_from_this<Socket> {
 public:
  using executor_type = asio::io_context::executor_type;
  using Done = std::move_only_function<void(ErrorCode, std::size_t)>;
  using WriteBuffers = std::array<asio::const_buffer, 8>;  // those at the end may be empty

  explicit Socket(asio::io_context& io) : io_(io) {}
  virtual ~Socket() = default;
  virtual void handshake(std::move_only_function<void(ErrorCode)> done) = 0;
  virtual void read_some(asio::mutable_buffer into, Done done) = 0;
  virtual void write_some(const WriteBuffers& from, Done done) = 0;
  virtual void end_output() = 0;  // the peer reads to the end of what was written, and then sees the end
  virtual void close() = 0;
  virtual int native() = 0;

  // What Beast asks of a stream.
  executor_type get_executor() { return io_.get_executor(); }
  template <typename Buffers, typename Handler>
  auto async_read_some(const Buffers& buffers, Handler&& handler) {
    asio::mutable_buffer into;
    for (auto it = asio::buffer_sequence_begin(buffers); it != asio::buffer_sequence_end(buffers); ++it) {
      into = *it;
      if (into.size() != 0) break;
    }
    return asio::async_initiate<Handler, void(ErrorCode, std::size_t)>(
        [this, into](auto done) { read_some(into, Done(std::move(done))); }, handler);
  }
  template <typename Buffers, typename Handler>
  auto async_write_some(const Buffers& buffers, Handler&& handler) {
    WriteBuffers from;
    std::size_t n = 0;
    for (auto it = asio::buffer_sequence_begin(buffers); it != asio::buffer_sequence_end(buffers); ++it)
      if (asio::const_buffer(*it).size() != 0 && n < from.size()) from[n++] = *it;
    return asio::async_initiate<Handler, void(ErrorCode, std::size_t)>(
        [this, from](auto done) { write_some(from, Done(std::move(done))); }, handler);
  }

 private:
  asio::io_context& io_;
};

std::shared_ptr<Socket> plain_socket(asio::io_context& io, Tcp::socket socket);

// TLS for all connections of a server: made once, from PEM files.
class TlsContext {
 public:
  static Result<std::unique_ptr<TlsContext>> load(const std::string& certificate, const std::string& key);
  virtual ~TlsContext() = default;
  virtual std::shared_ptr<Socket> wrap(asio::io_context& io, Tcp::socket socket) = 0;
};

}  // namespace podshim::streaming
