// Server: gRPC on our own listening socket. The one file with gRPC's server headers is server.cc.
//
// A call is read on a gRPC thread, looked up in the method table and run in its lane: inline, or on one of the bounded
// pools. gRPC's threads never block. A client that cancels or goes away cancels nothing: the operation ends, its answer
// is dropped. start() serves until stop(). stop() takes no new connections and calls, waits up to `patience` for
// running calls (a second at most for StopContainer, ExecSync, PullImage, RemoveImage and imports) and gives true when
// none is left; false means that lifecycle functions still run and must not lose the objects they use.
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
