// Visitor: a connection that has not shown a token yet. It has a little time for its TLS handshake and request header,
// and is dropped without a word after it. Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "shim/streaming/http_upgrade.h"
#include "shim/streaming/limits.h"
#include "shim/streaming/socket.h"
#include "shim/streaming/timer.h"

namespace podshim::streaming {

class Visitor : public std::enable_shared_from_this<Visitor> {
 public:
  // Called once, unless drop() came before: with all bytes read (the header first), or with "" when nothing came of it.
  using Done = std::function<void(Visitor*, std::string bytes, std::size_t header)>;
  Visitor(asio::io_context& io, std::shared_ptr<Socket> socket) : socket_(std::move(socket)), deadline_(io) {}

  void start(const Limits& limits, Done done);
  void drop();
  std::shared_ptr<Socket> socket() const { return socket_; }

 private:
  void read();
  void finish(std::string bytes, std::size_t header);

  const std::shared_ptr<Socket> socket_;
  Timer deadline_;
  Done done_;
  std::string bytes_;
};

}  // namespace podshim::streaming
