// Session: one client's exec, attach or port-forward, from the upgraded connection to the end. Loop thread, but for
// what says otherwise. The server keeps every session until `closed` was called for it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "shim/lifecycle/runtime.h"
#include "shim/streaming/carrier.h"
#include "shim/streaming/protocols.h"

namespace podshim::streaming {

class Session {
 public:
  virtual ~Session() = default;
  virtual void start() = 0;
  virtual void abort() = 0;  // at once; `closed` is not called
};

struct SessionContext {
  Runtime& runtime;
  std::shared_ptr<asio::io_context> io;  // shared: what a process' end posts may come late
  Limits limits;
  // Runs a call that blocks on another thread, a few of a lane at a time; false: too many wait already.
  std::function<bool(const std::string& lane, std::function<void()>)> blocking;
  std::function<void(Session*)> closed;
};

std::shared_ptr<Session> exec_session(const SessionContext& context, Order order, const Protocol& protocol,
                                      Transport transport, std::shared_ptr<Carrier> carrier);
std::shared_ptr<Session> port_forward_session(const SessionContext& context, Order order,
                                              std::shared_ptr<Carrier> carrier);
// Plain WebSocket port-forward: two channels for each port of the order.
std::shared_ptr<Session> websocket_forward_session(const SessionContext& context, Order order, const Protocol& protocol,
                                                   std::shared_ptr<Carrier> carrier);

}  // namespace podshim::streaming
