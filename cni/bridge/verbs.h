// The verbs of bridge. The boot id is given, never read here, so that tests can give another. add() leaves nothing of
// the attachment behind when it fails; del() and gc() go on after an error and give the first one.
#pragma once

#include "cni/skel/request.h"

namespace podshim::cni::bridge {

Result<AddResult> add(const Request& request, const std::string& boot_id);
Result<> del(const Request& request, const std::string& boot_id);
Result<> check(const Request& request, const std::string& boot_id);
Result<> status(const Request& request, const std::string& boot_id);
Result<> gc(const Request& request, const std::string& boot_id);

}  // namespace podshim::cni::bridge
