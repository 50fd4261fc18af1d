// Reads of an image through its root (a detached overlay mount): every path resolves inside it. Any thread.
#pragma once

#include "common/fd.h"
#include "common/result.h"
#include "shim/plan/user.h"

namespace podshim {

// /etc/passwd and /etc/group; missing ones are "". EFBIG above 1 MiB; EINVAL for what is no regular file.
Result<UserFiles> read_user_files(const Fd& root);

}  // namespace podshim
