#include "common/sys/descriptors.h"

#include <linux/close_range.h>
#include <sys/resource.h>
#include <unistd.h>

namespace podshim::sys {

std::size_t raise_descriptor_limit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return 0;
  const auto had = files.rlim_cur;
  files.rlim_cur = files.rlim_max;
  return ::setrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : had;
}

void leave_descriptors() { (void)::close_range(0, ~0U, CLOSE_RANGE_UNSHARE); }

}  // namespace podshim::sys
