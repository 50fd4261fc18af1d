// Numbers in network order, within strings. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace podshim::streaming {

inline void put_u16(std::string* out, std::uint16_t v) {
  out->push_back(static_cast<char>(v >> 8));
  out->push_back(static_cast<char>(v));
}
inline void put_u32(std::string* out, std::uint32_t v) {
  put_u16(out, static_cast<std::uint16_t>(v >> 16));
  put_u16(out, static_cast<std::uint16_t>(v));
}
inline std::uint16_t get_u16(const char* p) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(p[0]) << 8 | static_cast<unsigned char>(p[1]));
}
inline std::uint32_t get_u32(const char* p) { return std::uint32_t{get_u16(p)} << 16 | get_u16(p + 2); }

}  // namespace podshim::streaming
