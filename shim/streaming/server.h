// The streaming server: CRI's Exec, Attach and PortForward give a URL, and the client that comes to it is served here.
//
// One thread runs all connections; calls of the Runtime that block go to `blocking`, a bounded pool of the caller's (it
// must be drained before the Runtime goes). Whoever reaches the address can do nothing without a token (tokens.h), and
// with one only what it was issued for. issue(), sessions() and address() may be called by any thread. stop() cuts all
// sessions; the destructor stops.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "shim/lifecycle/runtime.h"
#include "shim/streaming/limits.h"
#include "shim/streaming/tokens.h"

namespace podshim::streaming {

struct ServerOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;        // 0 = any free one
  std::string certificate, key;  // PEM files; both or none
  Limits limits{};
};

class Server {
 public:
  using Blocking = std::function<bool(std::function<void()>)>;  // false: too many calls wait already

  static Result<std::unique_ptr<Server>> start(Runtime& runtime, const ServerOptions& options, Blocking blocking);
  ~Server();

  Result<std::string> issue(Order order);  // the URL; resource_exhausted
  std::string address() const;             // "http://127.0.0.1:34567"
  std::size_t sessions() const;            // open now
  void stop();

 private:
  struct Core;
  explicit Server(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

}  // namespace podshim::streaming
