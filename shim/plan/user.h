// The user of a process: texts of an image's /etc/passwd and /etc/group, the request and the image's config in,
// numbers out. Pure; any thread. Lines that do not parse are skipped, as libc does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "shim/plan/spec.h"

namespace podshim {

struct PasswdEntry {
  std::string name;
  std::uint32_t uid = 0, gid = 0;
  std::string home;
  bool operator==(const PasswdEntry&) const = default;
};

struct GroupEntry {
  std::string name;
  std::uint32_t gid = 0;
  std::vector<std::string> members;
  bool operator==(const GroupEntry&) const = default;
};

// Texts as read from the image; "" when it has no such file.
struct UserFiles {
  std::string passwd, group;
  bool operator==(const UserFiles&) const = default;
};

std::vector<PasswdEntry> parse_passwd(std::string_view text);
std::vector<GroupEntry> parse_group(std::string_view text);

// Order: run_as_user, run_as_username, the image config's User ("uid", "name", "uid:gid", "name:group"), root.
// run_as_group without either of the first two is an error. Merge adds the groups /etc/group lists for the user's name.
Result<ProcessUser> resolve_user(const SecurityContext& security, const std::string& image_user,
                                 const UserFiles& files);

}  // namespace podshim
