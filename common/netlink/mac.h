// An Ethernet address. Pure; any thread.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/result.h"

namespace podshim::netlink {

struct Mac {
  std::array<std::uint8_t, 6> bytes{};

  static Result<Mac> parse(std::string_view text);  // "0a:58:0a:2a:00:05", unicast and not all zero
  std::string str() const;
  bool empty() const { return *this == Mac{}; }
  auto operator<=>(const Mac&) const = default;
};

}  // namespace podshim::netlink
