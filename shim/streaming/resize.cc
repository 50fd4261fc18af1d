#include "shim/streaming/resize.h"

#include "common/json.h"

namespace podshim::streaming {
namespace {

constexpr std::size_t kMaxObject = 4096;

std::optional<TerminalSize> parse(const std::string& text) {
  const auto value = json::parse(text);
  if (!value) return std::nullopt;
  const auto reader = json::Reader::of(*value);
  if (!reader) return std::nullopt;
  const auto width = reader->integer("Width", 0, UINT16_MAX);
  const auto height = reader->integer("Height", 0, UINT16_MAX);
  if (!width || !height) return std::nullopt;
  return TerminalSize{static_cast<std::uint16_t>(*width), static_cast<std::uint16_t>(*height)};
}

}  // namespace

std::optional<TerminalSize> ResizeParser::feed(std::string_view bytes) {
  std::optional<TerminalSize> out;
  for (const char c : bytes) {
    if (c == '{') object_.clear();  // the objects hold no other
    if (object_.size() < kMaxObject) object_ += c;
    if (c != '}') continue;
    if (auto size = parse(object_)) out = size;
    object_.clear();
  }
  return out;
}

}  // namespace podshim::streaming
