// The verbs of host-local. The program host-local calls them, and bridge calls them in its own process when the
// host-local that it would run is this one (kNote). What a call leaves behind is the State in the data directory.
#pragma once

#include "cni/ipam/allocator.h"
#include "cni/skel/request.h"

namespace podshim::cni::ipam {

// In an ELF note of the program; changes with the format of the leases.
inline constexpr std::string_view kNote = "podshim host-local leases 2";

Result<AddResult> add(const Request& request, const std::string& boot_id);
// The addresses that were held; releasing nothing is success.
Result<std::vector<IpAddress>> del(const Request& request, const std::string& boot_id);
Result<> check(const Request& request, const std::string& boot_id);
Result<> status(const Request& request, const std::string& boot_id);
Result<> gc(const Request& request, const std::string& boot_id);

}  // namespace podshim::cni::ipam
