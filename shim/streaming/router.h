// What a request header leads to: a session of some kind and protocol, or a refusal with a status and a reason.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "shim/streaming/protocols.h"
#include "shim/streaming/session.h"
#include "shim/streaming/tokens.h"

namespace podshim::streaming {

struct Route {
  Order order;
  Transport transport = Transport::spdy;
  Protocol protocol;
};

struct Refusal {
  int status = 400;
  std::string text;
};

// Spends the token, unless the request would have been refused with any. `room`: another session may be opened.
std::expected<Route, Refusal> route(Tokens& tokens, bool room, std::string_view header);

// `bytes`: all that was read of the socket, the header first.
std::shared_ptr<Session> open_session(const SessionContext& context, Route route, std::shared_ptr<Socket> socket,
                                      const std::string& bytes, std::size_t header);

}  // namespace podshim::streaming
