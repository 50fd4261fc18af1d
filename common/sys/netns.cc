#include "common/sys/netns.h"

#include <linux/magic.h>
#include <sched.h>
#include <sys/vfs.h>

#include <cstdlib>
#include <thread>

#include "common/sys/file.h"

namespace podshim::sys {

Result<> in_netns(const Fd& netns, const std::function<Result<>()>& fn) {
  Result<> result;
  std::thread([&] {
    if (::setns(netns.get(), CLONE_NEWNET) != 0) {
      result = fail(Error::sys("setns", "netns"));
      return;
    }
    try {
      result = fn();
    } catch (const std::exception& e) {
      result = fail(Error::of(ErrorKind::internal, "in_netns", "exception", e.what()));
    }
  }).join();
  return result;
}

Result<> in_netns_here(const Fd& netns, const std::function<Result<>()>& fn) {
  Fd own = TRY(open("/proc/thread-self/ns/net", O_RDONLY));
  if (::setns(netns.get(), CLONE_NEWNET) != 0) return fail(Error::sys("setns", "netns"));
  Result<> result;
  try {
    result = fn();
  } catch (const std::exception& e) {
    result = fail(Error::of(ErrorKind::internal, "in_netns", "exception", e.what()));
  }
  if (::setns(own.get(), CLONE_NEWNET) != 0) ::abort();
  return result;
}

Result<Fd> open_netns(const std::string& path) {
  Fd fd = TRY(open(path, O_RDONLY));
  struct statfs fs{};
  if (::fstatfs(fd.get(), &fs) != 0) return fail(Error::sys("statfs", path));
  if (fs.f_type != NSFS_MAGIC) return fail(Error::sys("open netns", path, {}, EINVAL));
  return fd;
}

}  // namespace podshim::sys
