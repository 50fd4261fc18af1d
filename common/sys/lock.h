// lock_file: an exclusive flock(2) that says whether somebody else has it.
//
// Of a process that was killed a moment ago the lock may live on: a child of its that is between clone and exec still
// has the file, and ends or executes by itself. So "somebody else" is said only when the lock stays taken for
// kLockPatience. Any thread; blocks for so long at most. The lock goes with the last descriptor of the open file.
#pragma once

#include <chrono>
#include <string>

#include "common/fd.h"
#include "common/result.h"

namespace podshim::sys {

inline constexpr std::chrono::milliseconds kLockPatience{500};

Result<bool> lock_file(const Fd& file, const std::string& subject);  // false: another process has it

}  // namespace podshim::sys
