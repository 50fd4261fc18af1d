#include "shim/apply/mountinfo.h"

#include <algorithm>
#include <charconv>

namespace podshim {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  for (std::size_t from = 0; from <= text.size();) {
    auto to = std::min(text.find(separator, from), text.size());
    if (to > from) out.push_back(text.substr(from, to - from));
    from = to + 1;
  }
  return out;
}

// The kernel writes space, tab, line break and backslash as \040 and the like.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); i++) {
    int value = 0;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 4, value, 8).ptr == text.data() + i + 4) {
      out += static_cast<char>(value);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

std::vector<MountInfo> parse_mountinfo(std::string_view text) {
  std::vector<MountInfo> out;
  for (auto line : split(text, '\n')) {
    auto fields = split(line, ' ');  // id parent dev root mount-point options [tags] - type source super-options
    auto dash = std::find(fields.begin(), fields.end(), std::string_view("-"));
    if (fields.size() < 6 || dash - fields.begin() < 6 || fields.end() - dash < 4) continue;
    MountInfo info{.root = unescape(fields[3]), .mount_point = unescape(fields[4])};
    std::from_chars(fields[0].data(), fields[0].data() + fields[0].size(), info.id);
    for (auto tag = fields.begin() + 6; tag != dash; ++tag) info.shared = info.shared || tag->starts_with("shared:");
    info.type = std::string(dash[1]);
    info.super_options = std::string(dash[3]);
    out.push_back(std::move(info));
  }
  return out;
}

}  // namespace podshim
