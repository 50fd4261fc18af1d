// Executor: where blocking work goes. WorkerPool keeps one bounded set of threads per lane, made as they are needed, so
// that no lane ever waits for another: stopping waits for grace periods, a postStart may hang for an hour, and looking
// at the runtime must go on through both. submit(): any thread. The destructor waits for the jobs that have begun and
// drops those that have not.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace podshim::podlet {

// slow: starts that pull an image or have a postStart; observe: lists and looks; control: one job a connection of the
// command line.
enum class Lane { work, slow, stop, probe, control, observe };

class Executor {
 public:
  virtual ~Executor() = default;
  virtual void submit(Lane lane, std::function<void()> job) = 0;
};

class WorkerPool : public Executor {
 public:
  WorkerPool() = default;
  ~WorkerPool() override;
  void submit(Lane lane, std::function<void()> job) override;

 private:
  struct Queue {
    std::deque<std::function<void()>> jobs;
    int idle = 0;
    std::vector<std::thread> threads;
  };
  void work(Queue& queue);
  static constexpr std::array kMaxThreads = {8, 32, 32, 8, 16, 4};  // by Lane

  std::mutex mutex_;  // guards all below
  std::condition_variable wake_;
  std::array<Queue, kMaxThreads.size()> queues_;
  bool stop_ = false;
};

}  // namespace podshim::podlet
