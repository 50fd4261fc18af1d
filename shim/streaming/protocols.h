// Subprotocols of Kubernetes' streams, and which one of a client's offer is taken: the first that we know. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shim/streaming/tokens.h"

namespace podshim::streaming {

enum class Transport { spdy, websocket };

struct Protocol {
  std::string name;     // answered to the client; "" = nothing was offered
  int version = 1;      // of the channels: 1..5
  bool base64 = false;  // WebSocket text messages
  bool tunnel = false;  // SPDY within WebSocket messages

  bool json_status() const { return version >= 4; }
  bool resizes() const { return version >= 3; }
  bool closes_channels() const { return version >= 5; }
};

std::optional<Protocol> choose_protocol(Kind kind, Transport transport, const std::vector<std::string>& offered);
std::vector<std::string> known_protocols(Kind kind, Transport transport);

}  // namespace podshim::streaming
