#include "shim/streaming/protocols.h"

namespace podshim::streaming {
namespace {

struct Row {
  bool forward;  // port-forward; else exec and attach
  Transport transport;
  Protocol protocol;
};

// A WebSocket without a subprotocol is `channel.k8s.io`; its resize channel is there from the first version on.
const Row kRows[] = {
    {false, Transport::spdy, {.name = "v5.channel.k8s.io", .version = 5}},
    {false, Transport::spdy, {.name = "v4.channel.k8s.io", .version = 4}},
    {false, Transport::spdy, {.name = "v3.channel.k8s.io", .version = 3}},
    {false, Transport::spdy, {.name = "v2.channel.k8s.io", .version = 2}},
    {false, Transport::spdy, {.name = "channel.k8s.io", .version = 1}},
    {false, Transport::spdy, {.name = "", .version = 1}},
    {false, Transport::websocket, {.name = "v5.channel.k8s.io", .version = 5}},
    {false, Transport::websocket, {.name = "v4.channel.k8s.io", .version = 4}},
    {false, Transport::websocket, {.name = "v4.base64.channel.k8s.io", .version = 4, .base64 = true}},
    {false, Transport::websocket, {.name = "channel.k8s.io", .version = 3}},
    {false, Transport::websocket, {.name = "base64.channel.k8s.io", .version = 3, .base64 = true}},
    {false, Transport::websocket, {.name = "", .version = 3}},
    {true, Transport::spdy, {.name = "portforward.k8s.io"}},
    {true, Transport::websocket, {.name = "SPDY/3.1+portforward.k8s.io", .tunnel = true}},
    {true, Transport::websocket, {.name = "v4.channel.k8s.io", .version = 4}},
    {true, Transport::websocket, {.name = "v4.base64.channel.k8s.io", .version = 4, .base64 = true}},
    {true, Transport::websocket, {.name = "", .version = 4}},
};

}  // namespace

std::optional<Protocol> choose_protocol(Kind kind, Transport transport, const std::vector<std::string>& offered) {
  const auto find = [&](std::string_view name) -> std::optional<Protocol> {
    for (const Row& row : kRows)
      if (row.forward == (kind == Kind::port_forward) && row.transport == transport && row.protocol.name == name)
        return row.protocol;
    return std::nullopt;
  };
  if (offered.empty()) return find("");
  for (const auto& name : offered)
    if (auto found = find(name)) return found;
  return std::nullopt;
}

std::vector<std::string> known_protocols(Kind kind, Transport transport) {
  std::vector<std::string> out;
  for (const Row& row : kRows)
    if (row.forward == (kind == Kind::port_forward) && row.transport == transport && !row.protocol.name.empty())
      out.push_back(row.protocol.name);
  return out;
}

}  // namespace podshim::streaming
