// Executor: where blocking work goes. WorkerPool keeps one bounded set of threads per lane, made as they are needed, so
// that stopping containers (which waits for grace periods) never holds up starting others, nor either of them a probe.
// submit(): any thread. The destructor waits for the jobs that have begun and drops those that have not.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace podshim::podlet {

enum class Lane { work, stop, probe, control };  // control: one job a connection of the command line

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
  static constexpr int kMaxThreads[] = {8, 32, 8, 16};

  std::mutex mutex_;  // guards all below
  std::condition_variable wake_;
  std::array<Queue, 4> queues_;
  bool stop_ = false;
};

}  // namespace podshim::podlet
