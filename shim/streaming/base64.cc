#include "shim/streaming/base64.h"

#include <array>

namespace podshim::streaming {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> make_values() {
  std::array<std::int8_t, 256> out{};
  for (auto& v : out) v = -1;
  for (std::size_t i = 0; i < kAlphabet.size(); i++)
    out[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  return out;
}
constexpr auto kValues = make_values();

}  // namespace

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; k++) group = group << 8 | (k < n ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; k++) out += k <= n ? kAlphabet[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

bool Base64Decoder::feed(std::string_view text, std::string* out) {
  for (const char c : text) {
    const int value = kValues[static_cast<unsigned char>(c)];
    if (c == '=') {
      if (++padding_ > 2 || have_ < 2) return false;
    } else if (value < 0 || padding_ != 0) {
      return false;
    }
    group_ = group_ << 6 | static_cast<std::uint32_t>(c == '=' ? 0 : value);
    if (++have_ < 4) continue;
    for (int k = 0; k < 3 - padding_; k++) out->push_back(static_cast<char>(group_ >> (16 - 8 * k)));
    group_ = 0;
    have_ = 0;
  }
  return true;
}

bool Base64Decoder::end() {
  const bool whole = have_ == 0;
  *this = {};
  return whole;
}

}  // namespace podshim::streaming
