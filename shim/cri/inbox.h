// Inbox: what other threads have for the I/O thread. put() never blocks on more than a short lock and may be called
// from any thread; take() and fd() are the I/O thread's. The descriptor is readable while something waits.
#pragma once

#include <sys/eventfd.h>

#include <mutex>
#include <utility>
#include <vector>

#include "common/fd.h"
#include "common/result.h"

namespace podshim::cri {

template <typename Item>
class Inbox {
 public:
  Result<> open() {
    fd_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd_) return fail(Error::sys("eventfd", "inbox of calls"));
    return {};
  }
  int fd() const { return fd_.get(); }

  void put(Item item) {
    bool first = false;
    {
      std::lock_guard lock(mutex_);
      first = items_.empty();
      items_.push_back(std::move(item));
    }
    if (first) ring();
  }
  void ring() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto n = ::write(fd_.get(), &one, sizeof one);
  }
  std::vector<Item> take() {
    std::uint64_t rings = 0;
    [[maybe_unused]] const auto n = ::read(fd_.get(), &rings, sizeof rings);
    std::lock_guard lock(mutex_);
    return std::exchange(items_, {});
  }

 private:
  Fd fd_;
  std::mutex mutex_;  // guards items_
  std::vector<Item> items_;
};

}  // namespace podshim::cri
