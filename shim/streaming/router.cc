#include "shim/streaming/router.h"

#include "shim/streaming/http_upgrade.h"
#include "shim/streaming/spdy_frames.h"

namespace podshim::streaming {
namespace {

constexpr int kBadRequest = 400, kForbidden = 403, kNotFound = 404, kMethodNotAllowed = 405, kUnavailable = 503;

// Of plain WebSocket port-forward, two channels each: their numbers are a byte, in base64 a character of ASCII from
// '0'.
constexpr std::size_t kMaxPorts = 128, kMaxBase64Ports = 40;

std::unexpected<Refusal> refuse(int status, std::string text) {
  return std::unexpected(Refusal{.status = status, .text = std::move(text)});
}

std::string list(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : " ") + word;
  return "[" + out + "]";
}

}  // namespace

std::expected<Route, Refusal> route(Tokens& tokens, bool room, std::string_view header) {
  const auto request = parse_upgrade(header);
  if (!request) return refuse(kBadRequest, request.error().text());
  Route out;
  std::string token;
  for (const Kind kind : {Kind::exec, Kind::attach, Kind::port_forward}) {
    const std::string prefix = "/" + std::string(kind_path(kind)) + "/";
    if (!request->path.starts_with(prefix)) continue;
    out.order.kind = kind;
    token = request->path.substr(prefix.size());
  }
  if (token.empty()) return refuse(kNotFound, "nothing here");
  if (request->method != "GET" && request->method != "POST")
    return refuse(kMethodNotAllowed, "GET and POST only, not " + request->method);
  if (!request->spdy && !request->websocket)
    return refuse(kBadRequest, "unable to upgrade: neither Upgrade: SPDY/3.1 nor Upgrade: websocket");
  out.transport = request->spdy ? Transport::spdy : Transport::websocket;
  const auto& offered = request->spdy ? request->spdy_protocols : request->socket_protocols;
  auto protocol = choose_protocol(out.order.kind, out.transport, offered);
  if (!protocol)
    return refuse(kForbidden, "unable to negotiate protocol: client supports " + list(offered) + ", server accepts " +
                                  list(known_protocols(out.order.kind, out.transport)));
  out.protocol = std::move(*protocol);
  if (!room) return refuse(kUnavailable, "too many streaming sessions are open");
  auto order = tokens.take(out.order.kind, token, Tokens::Clock::now());
  if (!order) return refuse(kNotFound, order.error().text());
  out.order = std::move(*order);
  if (out.order.kind == Kind::port_forward && out.transport == Transport::websocket && !out.protocol.tunnel) {
    const std::size_t ports = out.order.ports.size(), most = out.protocol.base64 ? kMaxBase64Ports : kMaxPorts;
    if (ports == 0 || ports > most)
      return refuse(kBadRequest, "unable to forward " + std::to_string(ports) + " ports: these channels take 1 to " +
                                     std::to_string(most));
  }
  return out;
}

std::shared_ptr<Session> open_session(const SessionContext& context, Route route, std::shared_ptr<Socket> socket,
                                      const std::string& bytes, std::size_t header) {
  asio::io_context& io = *context.io;
  std::shared_ptr<Carrier> carrier;
  if (route.transport == Transport::spdy) {
    carrier = byte_carrier(io, std::move(socket), context.limits, bytes.substr(header), spdy::empty_settings_frame());
    carrier->send(switching_to_spdy(route.protocol.name));
  } else {
    carrier =
        websocket_carrier(io, std::move(socket), context.limits, bytes, route.protocol.name, route.protocol.base64);
  }
  if (route.order.kind != Kind::port_forward)
    return exec_session(context, std::move(route.order), route.protocol, route.transport, std::move(carrier));
  if (route.transport == Transport::spdy || route.protocol.tunnel)
    return port_forward_session(context, std::move(route.order), std::move(carrier));
  return websocket_forward_session(context, std::move(route.order), route.protocol, std::move(carrier));
}

}  // namespace podshim::streaming
