// Paths below the container's root, for the child. Every walk is openat2(2) with RESOLVE_IN_ROOT: a symlink that an
// image or a volume planted ends inside the root. Functions give an fd or 0, or -errno.
#pragma once

#include <limits.h>

#include "common/sys/raw_syscall.h"
#include "shim/monitor/child_plan.h"

namespace podshim::child {

inline int as_errno(long result) noexcept { return result < 0 ? static_cast<int>(-result) : 0; }

inline void close_fd(long fd) noexcept {
  if (fd >= 0) sys::raw(__NR_close, fd);
}

// -EBADF for a slot that holds nothing.
int slot_fd(const ChildPlan& plan, std::int64_t slot) noexcept;
// Puts `fd` into the slot; what was there is closed. Takes a result: a negative one comes back as errno.
int fill_slot(const ChildPlan& plan, std::int64_t slot, long fd) noexcept;

int open_in(int root, const char* path, int flags) noexcept;
int root_fd(const ChildPlan& plan) noexcept;
int open_below(const ChildPlan& plan, const char* path, int flags) noexcept;

// An absolute path cut into its directory and its last name, in memory of its own.
struct SplitPath {
  char directory[PATH_MAX];
  const char* name;
};
int split(const char* path, SplitPath* out) noexcept;

// The directory, made with its parents when missing: an O_PATH fd.
int ensure_dir(const ChildPlan& plan, const char* path, unsigned mode) noexcept;

}  // namespace podshim::child
