// Finding: one thing `podshim doctor` looked at. A value.
#pragma once

#include <string>

namespace podshim {

struct Finding {
  enum class Level { ok, warning, problem };  // as podshim.v1.Finding numbers them
  Level level = Level::ok;
  std::string check;  // short stable name: "ip-forward"
  std::string found;
  std::string fix;  // what to do; empty when ok
  bool operator==(const Finding&) const = default;
};

}  // namespace podshim
