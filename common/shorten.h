// shorten: text for a log line or an answer, whoever made it: at most `most` bytes of it, and then how many there were.
// Does not end within a UTF-8 character.
#pragma once

#include <string>
#include <string_view>

namespace podshim {

inline constexpr std::size_t kMostTold = 4096;  // a path fits

inline std::string shorten(std::string_view text, std::size_t most = kMostTold) {
  if (text.size() <= most) return std::string(text);
  const auto within = [&](std::size_t at) { return (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80; };
  std::size_t end = most;
  while (end > 0 && most - end < 3 && within(end)) end--;
  return std::string(text.substr(0, end)) + "... (" + std::to_string(text.size()) + " bytes)";
}

}  // namespace podshim
