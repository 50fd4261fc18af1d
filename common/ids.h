// Strong ids. A SandboxId or ContainerId in hand is 64 lower-case hex digits (design: names carry the id).
#pragma once

#include <compare>
#include <functional>
#include <string>

#include "common/result.h"

namespace podshim {

template <typename Tag>
class StrongId {
 public:
  StrongId() = default;
  static Result<StrongId> parse(std::string text) {
    bool ok = text.size() == 64;
    for (char c : text) ok = ok && ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
    if (!ok) return fail(Error::of(ErrorKind::not_found, Tag::kName, text, "not an id: 64 hex digits expected"));
    return StrongId(std::move(text));
  }
  const std::string& str() const { return text_; }
  std::string brief() const { return text_.substr(0, 12); }
  bool empty() const { return text_.empty(); }
  auto operator<=>(const StrongId&) const = default;

 private:
  explicit StrongId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

struct SandboxTag {
  static constexpr const char* kName = "sandbox";
};
struct ContainerTag {
  static constexpr const char* kName = "container";
};
using SandboxId = StrongId<SandboxTag>;
using ContainerId = StrongId<ContainerTag>;

// n bytes from getrandom(2) as 2n hex digits. Never fails once the system has booted; aborts else.
std::string random_hex(std::size_t bytes);

}  // namespace podshim

template <typename Tag>
struct std::hash<podshim::StrongId<Tag>> {
  std::size_t operator()(const podshim::StrongId<Tag>& id) const { return std::hash<std::string>{}(id.str()); }
};
