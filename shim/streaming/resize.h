// ResizeParser: the terminal sizes in a client's resize stream, JSON objects {"Width":80,"Height":24} one after
// another, cut anywhere. What is no such object is skipped. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace podshim::streaming {

struct TerminalSize {
  std::uint16_t width = 0, height = 0;
  bool operator==(const TerminalSize&) const = default;
};

class ResizeParser {
 public:
  std::optional<TerminalSize> feed(std::string_view bytes);  // the last whole one

 private:
  std::string object_;
};

}  // namespace podshim::streaming
