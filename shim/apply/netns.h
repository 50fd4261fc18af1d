// Bound network namespaces: /run/netns/<name>, as `ip netns` has them. Needs CAP_SYS_ADMIN in the host's mount
// namespace. Any thread. bind and unbind are idempotent; a failed bind leaves nothing.
#pragma once

#include <sys/types.h>

#include <string>

#include "common/fd.h"
#include "common/result.h"

namespace podshim {

inline constexpr const char* kNetnsDir = "/run/netns";

std::string netns_name(const std::string& instance, const std::string& sandbox_id);  // podshim-<inst>-<id>

// Makes the directory and, as iproute2 does, a shared mount of it, so that binds reach other mount namespaces.
// Once at start of the daemon.
Result<> prepare_netns_dir(const std::string& dir);
// Binds the network namespace of `pid` at dir/name and gives the path. Bound already: success; another one there:
// EEXIST.
Result<std::string> bind_netns(pid_t pid, const std::string& dir, const std::string& name);
Result<> unbind_netns(const std::string& dir, const std::string& name);

}  // namespace podshim
