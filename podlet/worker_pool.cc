#include "podlet/worker_pool.h"

#include "common/log.h"

namespace podshim::podlet {

WorkerPool::~WorkerPool() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (auto& queue : queues_)
    for (auto& thread : queue.threads) thread.join();
}

void WorkerPool::submit(Lane lane, std::function<void()> job) {
  std::lock_guard lock(mutex_);
  if (stop_) return;
  auto& queue = queues_[static_cast<std::size_t>(lane)];
  queue.jobs.push_back(std::move(job));
  bool full = static_cast<int>(queue.threads.size()) >= kMaxThreads[static_cast<std::size_t>(lane)];
  if (queue.idle < static_cast<int>(queue.jobs.size()) && !full)
    queue.threads.emplace_back([this, &queue] { work(queue); });
  wake_.notify_all();  // the lanes share one condition: a few wakes too many are cheap here
}

void WorkerPool::work(Queue& queue) {
  std::unique_lock lock(mutex_);
  for (;;) {
    queue.idle++;
    wake_.wait(lock, [&] { return stop_ || !queue.jobs.empty(); });
    queue.idle--;
    if (stop_) return;
    auto job = std::move(queue.jobs.front());
    queue.jobs.pop_front();
    lock.unlock();
    try {
      job();
    } catch (const std::exception& e) {
      log::error("a job threw", {{"what", e.what()}});
    }
    job = nullptr;
    lock.lock();
  }
}

}  // namespace podshim::podlet
