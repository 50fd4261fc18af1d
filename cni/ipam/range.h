// Ranges of addresses to hand out from. A RangeSet gives one address of an attachment; several sets give one each (dual
// stack). Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/ip.h"

namespace podshim::cni::ipam {

struct Range {
  Cidr subnet;
  IpAddress start;  // both inclusive
  IpAddress end;
  IpAddress gateway;  // never handed out

  bool contains(const IpAddress& ip) const { return ip.family() == start.family() && start <= ip && ip <= end; }
  // How many addresses may be handed out, the gateway not counted; UINT64_MAX for "more than that".
  std::uint64_t capacity() const;
  std::string str() const;
  bool operator==(const Range&) const = default;
};

using RangeSet = std::vector<Range>;

// Missing parts get their defaults: the first and the last host address, the gateway the first one. `field` names the
// range in errors.
Result<Range> make_range(const std::string& field, const Cidr& subnet, std::optional<IpAddress> start,
                         std::optional<IpAddress> end, std::optional<IpAddress> gateway);
bool overlap(const Range& a, const Range& b);
std::string print(const RangeSet& set);

}  // namespace podshim::cni::ipam
