#include "common/sys/lock.h"

#include <sys/file.h>

#include <thread>

#include "common/sys/retry.h"

namespace podshim::sys {

Result<bool> lock_file(const Fd& file, const std::string& subject) {
  constexpr std::chrono::milliseconds kPause{5};
  const auto deadline = std::chrono::steady_clock::now() + kLockPatience;
  while (retry([&] { return ::flock(file.get(), LOCK_EX | LOCK_NB); }) != 0) {
    if (errno != EWOULDBLOCK) return fail(Error::sys("flock", subject));
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

}  // namespace podshim::sys
