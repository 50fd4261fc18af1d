// gRPC over HTTP/2, the parts that are text and bytes: framed messages, timeouts, status texts. Pure; any thread.
// Source: "gRPC over HTTP2" (PROTOCOL-HTTP2.md of gRPC). Messages are never compressed here: what a client sends
// compressed is refused as that text wants it, and no CRI client does.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/status_code.h"

namespace podshim::cri {

inline constexpr std::size_t kPrefixBytes = 5;  // compressed flag, length (big endian)

struct Status {
  Code code = Code::ok;
  std::string message{};
};

Status status_of(const Error& error);

// The one message of a request's body. unimplemented: compressed; internal: less or more than one message.
std::expected<std::string_view, Status> only_message(std::string_view body);

// "grpc-timeout": at most eight digits and a unit. nullopt: it is none.
std::optional<std::chrono::nanoseconds> parse_timeout(std::string_view value);

// "grpc-message": bytes outside of printable ASCII, and '%', as %XX; cut at a character's end to what clients take.
inline constexpr std::size_t kMaxStatusText = 4096;  // they refuse headers of more than 8 KiB
std::string percent_encoded(std::string_view text);
std::string percent_decoded(std::string_view value);  // what is no %XX stays

std::string framed(std::string_view message);

// One message on its way out, piece by piece.
class OutMessage {
 public:
  OutMessage() = default;
  explicit OutMessage(std::string message);
  std::size_t take(std::uint8_t* to, std::size_t room);  // bytes copied
  bool done() const { return at_ == size(); }
  std::size_t size() const { return message_ ? kPrefixBytes + message_->size() : 0; }

 private:
  std::array<std::uint8_t, kPrefixBytes> prefix_{};
  std::optional<std::string> message_{};
  std::size_t at_ = 0;
};

}  // namespace podshim::cri
