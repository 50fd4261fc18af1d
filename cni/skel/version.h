// Versions of the CNI specification that these plugins speak, and what differs between them. Pure; any thread.
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace podshim::cni {

enum class Version { v0_3_0, v0_3_1, v0_4_0, v1_0_0, v1_1_0 };

inline constexpr std::array<std::string_view, 5> kVersionNames = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};
inline constexpr Version kNewestVersion = Version::v1_1_0;

inline std::string_view name_of(Version v) { return kVersionNames[static_cast<std::size_t>(v)]; }

inline std::optional<Version> parse_version(std::string_view text) {
  for (std::size_t i = 0; i < kVersionNames.size(); i++)
    if (kVersionNames[i] == text) return static_cast<Version>(i);
  return std::nullopt;
}

// Until 0.4.0 every address of a result says its family.
inline bool addresses_carry_family(Version v) { return v < Version::v1_0_0; }
// MTU of an interface and the metrics of a route came with 1.1.0.
inline bool results_carry_metrics(Version v) { return v >= Version::v1_1_0; }
inline bool allows_check(Version v) { return v >= Version::v0_4_0; }
inline bool allows_gc_and_status(Version v) { return v >= Version::v1_1_0; }

}  // namespace podshim::cni
