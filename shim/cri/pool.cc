#include "shim/cri/pool.h"

#include <pthread.h>

#include <exception>

#include "common/error.h"
#include "common/log.h"

namespace podshim::cri {
namespace {

constexpr std::size_t kStackBytes = 512 << 10;

}  // namespace

Pool::~Pool() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  wake_.notify_all();
  ended_.wait(lock, [this] { return threads_ == 0; });
}

bool Pool::submit(Work work) {
  std::lock_guard lock(mutex_);
  if (stopping_ || queue_.size() >= limits_.max_queue) return false;
  queue_.push_back(std::move(work));
  if (idle_ >= queue_.size()) {
    wake_.notify_one();
  } else if (threads_ < limits_.max_threads && !start_thread() && threads_ == 0) {
    queue_.pop_back();  // no thread could be had and none will come by
    return false;
  }
  return true;
}

bool Pool::drain(std::chrono::milliseconds deadline) {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  wake_.notify_all();
  return ended_.wait_for(lock, deadline, [this] { return threads_ == 0; });
}

std::size_t Pool::threads() const {
  std::lock_guard lock(mutex_);
  return threads_;
}

bool Pool::start_thread() {
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attr, kStackBytes);
  pthread_t thread{};
  const int err = pthread_create(&thread, &attr, &Pool::enter, this);
  pthread_attr_destroy(&attr);
  if (err != 0) {
    log::warn("no thread for a call", {{"pool", limits_.name}, {"error", errno_name(err)}});
    return false;
  }
  threads_++;
  return true;
}

void* Pool::enter(void* pool) {
  auto* self = static_cast<Pool*>(pool);
  pthread_setname_np(pthread_self(), self->limits_.name.c_str());
  self->run();
  return nullptr;
}

void Pool::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (queue_.empty()) {
      if (stopping_) break;
      idle_++;
      const bool woken = wake_.wait_for(lock, limits_.linger, [this] { return stopping_ || !queue_.empty(); });
      idle_--;
      if (!woken) break;
      continue;
    }
    Work work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    try {
      work();
    } catch (const std::exception& e) {  // a library's; ours do not throw
      log::error("exception in a call", {{"pool", limits_.name}, {"what", e.what()}});
    }
    work = nullptr;  // its captures go before the lock is taken
    lock.lock();
  }
  threads_--;
  if (threads_ == 0) ended_.notify_all();  // with the lock held: the pool may be gone right after
}

}  // namespace podshim::cri
