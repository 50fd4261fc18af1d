// Pool: bounded threads for calls that block.
//
// A thread is made when work waits and none is idle, up to `max_threads`; an idle one ends after `linger`, so that a
// quiet daemon keeps none. What finds all threads busy waits in a queue of at most `max_queue`. submit() never blocks
// and may be called from any thread; false means full or stopping, and the work was not taken. Threads have small
// stacks (512 KiB). drain() refuses new work and waits for what runs; the destructor drains without a deadline.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>

namespace podshim::cri {

struct PoolLimits {
  std::string name;  // of the threads, at most 15 bytes
  std::size_t max_threads = 4;
  std::size_t max_queue = 4096;
  std::chrono::milliseconds linger{5000};
};

class Pool {
 public:
  using Work = std::function<void()>;

  explicit Pool(PoolLimits limits) : limits_(std::move(limits)) {}
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  bool submit(Work work);
  bool drain(std::chrono::milliseconds deadline);  // true: nothing runs any more
  std::size_t threads() const;

 private:
  static void* enter(void* pool);
  bool start_thread();  // with mutex_ held
  void run();

  const PoolLimits limits_;
  mutable std::mutex mutex_;  // guards all below; never held while work runs
  std::condition_variable wake_, ended_;
  std::deque<Work> queue_;
  std::size_t threads_ = 0;
  std::size_t idle_ = 0;
  bool stopping_ = false;
};

}  // namespace podshim::cri
