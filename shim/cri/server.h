// Server: gRPC on our own listening socket, by one thread.
//
// It accepts, reads and writes, and never blocks: a call is looked up in the method table and run in its lane, inline
// or on one of the bounded pools (call.h). A client that cancels or goes away stops what waits for it alone (call.h).
// start() serves until stop(). stop() takes no new connections and nothing more for the pools, waits up to `patience`
// for running calls (a second at most for StopContainer, ExecSync, PullImage, RemoveImage and imports) and gives true
// when none is left: then the last answers have gone out, and all connections are closed. False means that lifecycle
// functions still run and must not lose the objects they use; the server answers on, and stop() may be called again.
// Any thread.
#pragma once

#include <chrono>
#include <memory>

#include "shim/cri/border.h"
#include "shim/cri/listen.h"
#include "shim/cri/methods.h"

namespace podshim::cri {

class Server {
 public:
  // Needs a `border` and `listener` that outlive it.
  static Result<std::unique_ptr<Server>> start(Border& border, Listener& listener);
  virtual ~Server() = default;
  virtual bool stop(std::chrono::milliseconds patience) = 0;
};

}  // namespace podshim::cri
