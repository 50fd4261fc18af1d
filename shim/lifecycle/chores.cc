#include "shim/lifecycle/chores.h"

#include <exception>

#include "common/log.h"

namespace podshim::lifecycle {

Chores::Chores(int threads) {
  for (int i = 0; i < threads; i++) threads_.emplace_back([this] { work(); });
}

void Chores::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    queue_.clear();
  }
  changed_.notify_all();
  for (auto& t : threads_) t.join();
  threads_.clear();
}

void Chores::post(std::function<void()> chore) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    queue_.push_back(std::move(chore));
  }
  changed_.notify_all();
}

void Chores::wait_idle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return queue_.empty() && running_ == 0; });
}

void Chores::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    auto chore = std::move(queue_.front());
    queue_.pop_front();
    running_++;
    lock.unlock();
    try {
      chore();
    } catch (const std::exception& e) {
      log::error("a chore threw", {{"what", e.what()}});
    }
    chore = nullptr;
    lock.lock();
    running_--;
    if (queue_.empty() && running_ == 0) changed_.notify_all();
  }
}

}  // namespace podshim::lifecycle
