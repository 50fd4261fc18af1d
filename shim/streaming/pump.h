// Pumps: bytes between a non-blocking descriptor (pipe, terminal, socket) and a session. Loop thread.
//
// A Reader calls `on_bytes` with what it reads, and once `on_end` (0, or the errno; EIO is a terminal's end), unless it
// was closed before. A Writer keeps what the descriptor does not take yet; once that broke (EPIPE) it drops everything.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/fd.h"

namespace podshim::streaming {

class Reader : public std::enable_shared_from_this<Reader> {
 public:
  using OnBytes = std::function<void(std::string_view)>;
  using OnEnd = std::function<void(int error)>;
  Reader(boost::asio::io_context& io, Fd fd, OnBytes on_bytes, OnEnd on_end);

  void start() { wait(); }
  void set_reading(bool on);
  void close();
  bool open() const { return fd_.is_open(); }
  // From now on no more than what waits in the descriptor: somebody else holds its other end and may never stop.
  void only_what_waits();

 private:
  void wait();
  void ready();
  void end(int error);

  boost::asio::posix::stream_descriptor fd_;
  OnBytes on_bytes_;
  OnEnd on_end_;
  bool wanted_ = true, waiting_ = false;
  static constexpr std::size_t kNoLimit = SIZE_MAX;
  std::size_t allowance_ = kNoLimit;
};

class Writer : public std::enable_shared_from_this<Writer> {
 public:
  // on_room: the buffer has fallen below the low mark, or is empty again. on_broken: nobody reads any more.
  Writer(boost::asio::io_context& io, Fd fd, std::function<void()> on_room, std::function<void(int)> on_broken);

  void write(std::string_view bytes);
  void end(std::function<void()> flushed);  // once everything written so far is out, or lost
  std::size_t buffered() const { return buffer_.size() - done_; }
  void close();
  int native() { return fd_.is_open() ? fd_.native_handle() : -1; }

 private:
  void flush();
  void broken(int error);
  void wait();

  boost::asio::posix::stream_descriptor fd_;
  std::function<void()> on_room_, flushed_;
  std::function<void(int)> on_broken_;
  std::string buffer_;
  std::size_t done_ = 0;
  bool waiting_ = false, was_high_ = false, behind_ = false;
};

}  // namespace podshim::streaming
