// The page that `describe` prints: "Name:   value" lines, maps, the events of one object. One thread.
#pragma once

#include <algorithm>
#include <string>

#include "podlet/view.h"

namespace podshim::podlet {

inline constexpr std::size_t kColumn = 18;

class Page {
 public:
  void line(const std::string& name, const std::string& value, std::size_t indent = 0) {
    std::string head(indent, ' ');
    head += name + ":";
    head.append(head.size() + 2 <= kColumn + indent ? kColumn + indent - head.size() : 2, ' ');
    text_ += head + value + "\n";
  }
  void raw(const std::string& text) { text_ += text + "\n"; }
  void map(const std::string& name, const StringMap& values) {
    bool first = true;
    for (const auto& [key, value] : values) {
      std::string head = first ? name + ":" : "";
      head.append(kColumn - std::min(kColumn, head.size()), ' ');
      text_ += head + key + "=" + value + "\n";
      first = false;
    }
    if (first) line(name, "<none>");
  }
  void events(const Node& node, const ObjectKey& key) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& e : node.events().all()) {
      if (e.object != key) continue;
      std::string age = age_text(node.now() - e.last) + (e.count > 1 ? " (x" + std::to_string(e.count) + ")" : "");
      rows.push_back({"  " + std::string(e.warning ? "Warning" : "Normal"), e.reason, age, e.message});
    }
    if (rows.empty()) return line("Events", "<none>");
    raw("Events:");
    text_ += table({"  Type", "Reason", "Age", "Message"}, rows);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string describe_service(const Node& node, const ManifestObject& object);

}  // namespace podshim::podlet
