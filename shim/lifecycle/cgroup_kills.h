// CgroupKills: kills cgroups without waiting for any of them.
//
// One thread goes from one to the next: a look, and, as long as something lives there, a signal. What does not die
// (uninterruptible sleep) is asked again more and more seldom and holds up nobody; it stays listed until it is gone.
// kill() from any thread, never blocks; `ended` is called once, on the thread of the kills, and must not wait; `late`,
// when there is one, once before that, if something lives longer than `patience`.
// stop() goes round once more, so that what came a moment ago has had its signal, and forgets the rest.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "common/result.h"
#include "shim/plan/cgroup.h"

namespace podshim::lifecycle {

class CgroupKills {
 public:
  // A look and a signal, without patience. Success: nothing lives there.
  using Round = std::function<Result<>(const CgroupPaths&)>;

  explicit CgroupKills(Round round, std::chrono::milliseconds patience = std::chrono::milliseconds(10'000));
  ~CgroupKills() { stop(); }
  void kill(CgroupPaths cgroup, std::function<void()> ended, std::function<void()> late = nullptr);
  void stop();
  void wait_idle();  // for tests

 private:
  using Clock = std::chrono::steady_clock;
  struct Entry {
    CgroupPaths cgroup;
    std::function<void()> ended, late;
    Clock::time_point since, next;
    std::chrono::milliseconds pause{};
    bool told = false;
  };
  void work();
  bool has_gone(Entry& entry);

  const Round round_;
  const std::chrono::milliseconds patience_;
  std::mutex mutex_;  // guards all below, not held during a round
  std::condition_variable changed_;
  std::vector<Entry> entries_;
  bool busy_ = false, stopping_ = false;
  std::thread thread_;
};

}  // namespace podshim::lifecycle
