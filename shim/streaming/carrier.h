// Carrier: what a session sends to its client and gets from it: bytes of a plain upgraded connection, or messages of a
// WebSocket. Loop thread.
//
// send() queues and never blocks; the queue is for the sender to bound, by queued() and on_drained(). Nothing is read
// while the sender says so or while more than 1 MiB waits for the client (answers to pings and the like). finish() lets
// the queue out, says goodbye and waits for the client to close; abort() cuts at once. on_gone() is called once,
// whatever the end was, unless abort() came before; the Carrier calls nobody after it. The limits: `idle` without a
// byte in either direction; after expect_progress() or finish(), `stall` without the client taking or closing anything.
// A client that dies while nothing is read from it is noticed within a second or so, by the state of its TCP
// connection.
//
// While nothing is read, the client's pings wait as well, behind bytes that nobody takes: neither WebSocket nor SPDY as
// spoken here can stop one channel alone. So it is told every `heartbeat` that we live, without being asked. That is
// also what finds out a client that has closed: its end waits behind the same bytes, but its kernel answers RST.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "shim/streaming/limits.h"
#include "shim/streaming/socket.h"
#include "shim/streaming/timer.h"

namespace podshim::streaming {

class CarrierHandler {
 public:
  virtual ~CarrierHandler() = default;
  virtual void on_bytes(std::string_view bytes, bool last) = 0;  // last: of a message
  virtual void on_drained() = 0;                                 // queued() has fallen below the low mark
  virtual void on_gone(const std::string& why) = 0;              // "" after finish()
};

class Carrier : public std::enable_shared_from_this<Carrier> {
 public:
  Carrier(asio::io_context& io, std::shared_ptr<Socket> socket, const Limits& limits);
  virtual ~Carrier() = default;

  void start(CarrierHandler* handler);
  void send(std::string bytes);
  std::size_t queued() const { return queued_; }
  void set_reading(bool on);
  void expect_progress();
  void finish();
  void abort();

 protected:
  using Clock = std::chrono::steady_clock;
  virtual void open() { opened(); }  // ends in opened() or lost()
  virtual void read_more() = 0;      // ends in got() or lost()
  virtual void write_front() = 0;    // ends in wrote() or lost()
  virtual void say_goodbye() = 0;    // after the queue is out; got_end() or lost() will follow
  virtual bool may_merge() const { return false; }
  virtual void heartbeat() = 0;  // something that asks for no answer, unless the last one waits still
  virtual void let_go() {}       // the socket was closed: of what still waits nothing is wanted
  void send_heartbeat(std::string bytes);

  void opened();
  void got(std::string_view bytes, bool last);
  void wrote(std::size_t bytes);
  void lost(const std::string& why);

  const std::shared_ptr<Socket> socket_;
  std::deque<std::string> queue_;  // the first `in_flight_` entries are being written
  std::size_t front_written_ = 0, in_flight_ = 0;
  bool finishing_ = false;

 private:
  void read_if_wanted();
  void write_if_any();
  void arm_tick();
  void tick();
  void arm_idle();

  const Limits limits_;
  CarrierHandler* handler_ = nullptr;
  bool open_ = false, gone_ = false, wanted_ = true, reading_ = false, writing_ = false, said_goodbye_ = false;
  bool expecting_ = false, ticking_ = false, was_high_ = false, beating_ = false;
  std::size_t queued_ = 0;
  std::uint64_t sent_ = 0;
  int unsent_seen_ = 0;  // of the kernel's queue, at the last tick
  std::uint64_t sent_seen_ = 0;
  Clock::time_point last_activity_, last_progress_, last_heartbeat_;
  Timer tick_, idle_;
};

// `first`: bytes that came with the request header. `heartbeat`: bytes that mean nothing in the protocol; "" = none.
std::shared_ptr<Carrier> byte_carrier(asio::io_context& io, std::shared_ptr<Socket> socket, const Limits& limits,
                                      std::string first, std::string heartbeat);
// `head`: all bytes read so far, the request header among them. Answers the handshake with `protocol` ("" = none).
std::shared_ptr<Carrier> websocket_carrier(asio::io_context& io, std::shared_ptr<Socket> socket, const Limits& limits,
                                           std::string head, const std::string& protocol, bool text);

}  // namespace podshim::streaming
