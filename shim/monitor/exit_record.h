// The record of a container's end: on disk, synced, before anybody is told. One flat JSON object, so that the daemon
// and people read it; written by rename, so that a half one never exists under its name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace podshim {

struct ExitInfo {
  std::int32_t code = 0;  // 128 + signal for a killed one
  std::int32_t signal = 0;
  bool oom_killed = false;
  std::int64_t finished_at_ns = 0;
};

ExitInfo exit_of(int wait_status, std::int64_t now_ns);
Result<> write_exit_record(const std::string& path, std::string_view id, const ExitInfo& exit);

// Kills counted by a container's memory cgroup: the line "oom_kill N" of memory.events (v2) and memory.oom_control
// (v1). 0 when there is no such file.
std::uint64_t oom_kills(const std::string& path);
std::uint64_t parse_oom_kills(std::string_view text);

}  // namespace podshim
