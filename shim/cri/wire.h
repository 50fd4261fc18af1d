// Protocol buffers put together from pieces that are bytes already. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace podshim::cri {

inline void append_varint(std::uint64_t n, std::string* out) {
  for (; n >= 0x80; n >>= 7) out->push_back(static_cast<char>(n | 0x80));
  out->push_back(static_cast<char>(n));
}

// One length-delimited element (message or string) of field `number`, which is below 16.
inline void append_field(int number, std::string_view bytes, std::string* out) {
  out->push_back(static_cast<char>(number << 3 | 2));
  append_varint(bytes.size(), out);
  out->append(bytes);
}

}  // namespace podshim::cri
