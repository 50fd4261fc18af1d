// Base64 (RFC 4648, with padding) of WebSocket messages: a message is one encoded text and may come in parts. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace podshim::streaming {

std::string base64_encode(std::string_view bytes);

class Base64Decoder {
 public:
  // Appends the bytes; false: a character that is none of base64's, or something after the padding.
  bool feed(std::string_view text, std::string* out);
  bool end();  // of a message: false when it stopped within a group. Ready for the next one.

 private:
  std::uint32_t group_ = 0;
  int have_ = 0;  // characters of the group, 0..3
  int padding_ = 0;
};

}  // namespace podshim::streaming
