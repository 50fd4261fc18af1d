// The request header that begins every connection, and our answers to it. Pure; Beast's parser is behind it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace podshim::streaming {

inline constexpr std::size_t kMaxRequestHeader = 16 << 10;

struct UpgradeRequest {
  std::string method, path;                   // without the query
  bool spdy = false, websocket = false;       // what it wants to become
  std::vector<std::string> spdy_protocols;    // X-Stream-Protocol-Version
  std::vector<std::string> socket_protocols;  // Sec-WebSocket-Protocol
};

// Length of the header with its empty line; nullopt: not all there yet.
std::optional<std::size_t> header_length(std::string_view bytes);
Result<UpgradeRequest> parse_upgrade(std::string_view header);

std::string refusal(int status, const std::string& text);  // a whole response; the connection ends with it
std::string switching_to_spdy(const std::string& protocol);

}  // namespace podshim::streaming
