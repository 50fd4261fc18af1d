// Capabilities of a container: names to masks, defaults, add and drop. Bit n is capability n of capabilities(7).
// Pure; any thread. An unknown name is an error that says so; a capability this host may not grant is left out and
// reported in `unavailable` (the caller warns once), as a rootless runtime does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "shim/plan/facts.h"
#include "shim/plan/spec.h"

namespace podshim {

inline constexpr int kCapDacReadSearch = 2;
inline constexpr int kCapSysAdmin = 21;

struct CapabilityPlan {
  std::uint64_t bounding = 0;
  std::uint64_t effective = 0;
  std::uint64_t permitted = 0;
  std::uint64_t inheritable = 0;  // always 0: CVE-2022-24769
  std::uint64_t ambient = 0;
  std::uint64_t unavailable = 0;  // asked for, not in the host's bounding set
  bool operator==(const CapabilityPlan&) const = default;
};

// The fourteen that containerd and Docker give by default.
std::uint64_t default_capabilities();
// "NET_ADMIN", "cap_net_admin", "CAP_NET_ADMIN" -> 12.
std::optional<int> capability_number(std::string_view name);
std::string capability_name(int number);             // "CAP_NET_ADMIN"; "CAP_41" for one without a name
std::string print_capabilities(std::uint64_t mask);  // "NET_BIND_SERVICE,SYS_CHROOT" or "none"

// Order: add ALL, drop ALL, each add, each drop. `field` goes in front of errors.
Result<CapabilityPlan> plan_capabilities(const Capabilities& request, bool privileged, const HostFacts& host,
                                         const std::string& field = "config.linux.security_context.capabilities");

}  // namespace podshim
