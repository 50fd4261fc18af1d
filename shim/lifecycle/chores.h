// Chores: work that an event asks for but that may block (killing a cgroup, writing a record), done by a few threads in
// the order it came. What hangs in one chore holds up one thread. post() from any thread; stop() waits for
// what runs and drops the rest: the next start finds it again in the records.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace podshim::lifecycle {

class Chores {
 public:
  explicit Chores(int threads);
  ~Chores() { stop(); }
  void stop();
  void post(std::function<void()> chore);
  void wait_idle();  // for tests

 private:
  void work();

  std::mutex mutex_;  // guards the three below
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  int running_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace podshim::lifecycle
