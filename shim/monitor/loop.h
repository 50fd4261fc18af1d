// Loop: the monitor's only thread waits here. Watches are told that their fd is ready (level-triggered) and may remove
// themselves or each other at any time: an event of a removed watch is dropped, even one fetched already.
#pragma once

#include <sys/epoll.h>

#include <cstdint>

#include "common/fd.h"
#include "common/result.h"

namespace podshim {

class Watch {
 public:
  virtual void ready(std::uint32_t events) = 0;

 protected:
  ~Watch() = default;
};

class Loop {
 public:
  Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  Result<> open();
  Result<> add(const Fd& fd, Watch* watch, std::uint32_t events = EPOLLIN);
  void change(const Fd& fd, Watch* watch, std::uint32_t events);
  void remove(const Fd& fd, Watch* watch);
  void run();  // until stop()
  void stop() { stopped_ = true; }

 private:
  static constexpr int kBatch = 16;
  Fd epoll_;
  epoll_event batch_[kBatch] = {};
  int batch_size_ = 0;
  bool stopped_ = false;
};

}  // namespace podshim
