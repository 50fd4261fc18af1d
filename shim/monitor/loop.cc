#include "shim/monitor/loop.h"

#include "common/sys/retry.h"

namespace podshim {

Result<> Loop::open() {
  epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return fail(Error::sys("epoll_create", "loop"));
  return {};
}

Result<> Loop::add(const Fd& fd, Watch* watch, std::uint32_t events) {
  epoll_event event{.events = events, .data = {.ptr = watch}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) return fail(Error::sys("epoll_ctl", "add"));
  return {};
}

void Loop::change(const Fd& fd, Watch* watch, std::uint32_t events) {
  epoll_event event{.events = events, .data = {.ptr = watch}};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd.get(), &event);
}

void Loop::remove(const Fd& fd, Watch* watch) {
  if (fd) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
  for (int i = 0; i < batch_size_; i++)
    if (batch_[i].data.ptr == watch) batch_[i].data.ptr = nullptr;
}

void Loop::run() {
  while (!stopped_) {
    batch_size_ = sys::retry([&] { return ::epoll_wait(epoll_.get(), batch_, kBatch, -1); });
    for (int i = 0; i < batch_size_ && !stopped_; i++)
      if (auto* watch = static_cast<Watch*>(batch_[i].data.ptr); watch != nullptr) watch->ready(batch_[i].events);
    batch_size_ = 0;
  }
}

}  // namespace podshim
