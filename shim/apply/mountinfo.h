// /proc/<pid>/mountinfo as values (proc(5)). Pure: the caller reads the file. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace podshim {

struct MountInfo {
  std::uint64_t id = 0;
  std::string root, mount_point;  // octal escapes undone
  std::string type, super_options;
  bool shared = false;  // in a peer group
  bool operator==(const MountInfo&) const = default;
};

std::vector<MountInfo> parse_mountinfo(std::string_view text);  // lines that do not parse are skipped

}  // namespace podshim
