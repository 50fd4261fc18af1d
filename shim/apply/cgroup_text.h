// The formats of cgroup files: a number, lines "key value", pressure, blkio and io.stat. Pure; any thread.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "shim/plan/usage.h"

namespace podshim::cgroup_text {

inline std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;  // stays 0 for "max"
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// v1 says "no limit" as the largest page-aligned number, v2 as "max".
inline std::uint64_t limit(std::string_view text) {
  constexpr std::uint64_t kNoLimit = 1ULL << 62;
  const std::uint64_t value = number(text);
  return value < kNoLimit ? value : 0;
}

// The value of a line "key value".
std::optional<std::uint64_t> find(std::string_view text, std::string_view key);
inline std::uint64_t value_of(std::string_view text, std::string_view key) { return find(text, key).value_or(0); }

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull ...".
Pressure pressure(std::string_view text);

// v1 blkio: "8:0 Read 4096"; `member` of what is read and written. A device that is not in `out` yet is added.
void add_blkio(std::string_view text, std::uint64_t BlockUse::* read, std::uint64_t BlockUse::* write,
               std::vector<BlockUse>& out);
// v2: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0".
std::vector<BlockUse> io_stat(std::string_view text);

// One pid a line.
void add_pids(std::string_view text, std::vector<std::int32_t>& out);

}  // namespace podshim::cgroup_text
