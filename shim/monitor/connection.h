// Connection: the daemon's end of the protocol as the monitor holds it. Sending never blocks: what the daemon does not
// take is queued, so that a daemon that hangs holds up nothing here.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "common/sys/seqpacket.h"
#include "shim/monitor/loop.h"
#include "shim/monitor/protocol.h"

namespace podshim {

// One request, taken apart. Views point into memory that lives for the length of the call.
struct Request {
  MessageHeader header;
  std::string_view payload;
  std::span<Fd> fds;  // without the payload's memfd; taken from the front
  std::uint64_t connection = 0;
  Fd answer_fd;  // set by who handles it: goes with the answer, whose payload is a small one then

  Fd take_fd() {
    if (fds.empty()) return Fd();
    Fd first = std::move(fds.front());
    fds = fds.subspan(1);
    return first;
  }
};

class Connection;

class ConnectionOwner {
 public:
  virtual void handle(Connection& connection, Request& request) = 0;
  virtual void connection_lost(Connection& connection) = 0;  // destroys it

 protected:
  ~ConnectionOwner() = default;
};

class Connection final : public Watch {
 public:
  Connection(ConnectionOwner& owner, Loop& loop, Fd socket, std::uint64_t serial)
      : owner_(owner), loop_(loop), socket_(std::move(socket)), serial_(serial) {}
  ~Connection() { loop_.remove(socket_, this); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Result<> listen() { return loop_.add(socket_, this); }
  void ready(std::uint32_t events) override;
  void send(MessageType type, std::uint64_t request, std::string_view payload, Fd fd = Fd());
  void send_error(std::uint64_t request, const Error& error, std::int32_t step = -1);
  std::uint64_t serial() const { return serial_; }
  bool greeted = false;  // hello came

 private:
  struct Queued {
    std::string bytes;
    Fd fd;  // the payload's memfd, or one that goes with a small payload
  };
  Result<> receive();
  Result<> take_apart(sys::Packet& packet);
  Result<> send_now(std::string_view header, std::string_view payload, const Fd& fd);
  void flush();

  ConnectionOwner& owner_;
  Loop& loop_;
  Fd socket_;
  std::uint64_t serial_;
  std::vector<Queued> queue_;
};

}  // namespace podshim
