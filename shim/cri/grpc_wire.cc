#include "shim/cri/grpc_wire.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace podshim::cri {
namespace {

constexpr std::size_t kMaxTimeoutDigits = 8;

std::array<std::uint8_t, kPrefixBytes> prefix_of(std::size_t length) {
  std::array<std::uint8_t, kPrefixBytes> out{};
  for (std::size_t i = 1; i < kPrefixBytes; i++)
    out[i] = static_cast<std::uint8_t>(length >> (8 * (kPrefixBytes - 1 - i)));
  return out;
}

std::uint32_t length_in(std::string_view prefix) {
  std::uint32_t length = 0;
  for (std::size_t i = 1; i < kPrefixBytes; i++) length = length << 8 | static_cast<unsigned char>(prefix[i]);
  return length;
}

}  // namespace

Status status_of(const Error& error) { return {.code = status_code(error), .message = error.text()}; }

std::expected<std::string_view, Status> only_message(std::string_view body) {
  const auto broken = [&](const std::string& why) {
    return std::unexpected(Status{.code = Code::internal, .message = "request body: " + why});
  };
  if (body.size() < kPrefixBytes)
    return broken(std::to_string(body.size()) + " bytes are no message; the call ended before its request");
  if (body[0] != 0)
    return std::unexpected(Status{.code = Code::unimplemented, .message = "compressed messages are not served"});
  const std::string_view message = body.substr(kPrefixBytes);
  if (length_in(body) != message.size())
    return broken("a message of " + std::to_string(length_in(body)) + " bytes in " + std::to_string(message.size()));
  return message;
}

std::optional<std::chrono::nanoseconds> parse_timeout(std::string_view value) {
  using namespace std::chrono;
  if (value.size() < 2 || value.size() > kMaxTimeoutDigits + 1) return std::nullopt;
  std::int64_t amount = 0;
  for (const char c : value.substr(0, value.size() - 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    amount = amount * 10 + (c - '0');
  }
  // 99,999,999 hours do not fit into nanoseconds; who waits that long has no deadline.
  constexpr auto kLongest = duration_cast<nanoseconds>(hours(24 * 365 * 10));
  const auto of = [&](auto unit) {
    return duration_cast<nanoseconds>(std::min<decltype(unit)>(unit * amount, duration_cast<decltype(unit)>(kLongest)));
  };
  switch (value.back()) {
    case 'H':
      return of(hours(1));
    case 'M':
      return of(minutes(1));
    case 'S':
      return of(seconds(1));
    case 'm':
      return of(milliseconds(1));
    case 'u':
      return of(microseconds(1));
    case 'n':
      return of(nanoseconds(1));
    default:
      return std::nullopt;
  }
}

std::string percent_encoded(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  std::size_t whole = 0;  // of `out`: ends where a character does
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xc0) != 0x80) whole = out.size();  // no continuation of UTF-8
    if (out.size() + 3 > kMaxStatusText) {
      out.resize(whole);
      break;
    }
    if (byte >= 0x20 && byte <= 0x7e && c != '%') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 0xf];
    }
  }
  return out;
}

std::string percent_decoded(std::string_view value) {
  std::string out;
  out.reserve(value.size());
  for (std::size_t i = 0; i < value.size(); i++) {
    unsigned byte = 0;
    const char* digits = value.data() + i + 1;
    if (value[i] == '%' && i + 2 < value.size() && std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += value[i];
    }
  }
  return out;
}

std::string framed(std::string_view message) {
  const auto prefix = prefix_of(message.size());
  std::string out(prefix.begin(), prefix.end());
  return out += message;
}

OutMessage::OutMessage(std::string message) : prefix_(prefix_of(message.size())), message_(std::move(message)) {}

std::size_t OutMessage::take(std::uint8_t* to, std::size_t room) {
  std::size_t taken = 0;
  if (at_ < kPrefixBytes && message_) {
    taken = std::min(room, kPrefixBytes - at_);
    std::memcpy(to, prefix_.data() + at_, taken);
    at_ += taken;
  }
  if (at_ >= kPrefixBytes && taken < room) {
    const std::size_t from = at_ - kPrefixBytes, n = std::min(room - taken, message_->size() - from);
    std::memcpy(to + taken, message_->data() + from, n);
    taken += n;
    at_ += n;
  }
  return taken;
}

}  // namespace podshim::cri
