// Activity: the calls that are under way, for `podshim status` and the log line about slow ones. Any thread; a short
// mutex.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace podshim::cri {

struct RunningCall {
  std::string_view name;  // of the method table: static
  std::chrono::milliseconds age{};
};

class Activity {
 public:
  using Clock = std::chrono::steady_clock;

  std::uint64_t begin(std::string_view name, Clock::time_point now = Clock::now());
  void end(std::uint64_t token);
  std::vector<RunningCall> running(Clock::time_point now = Clock::now()) const;  // longest first
  bool any() const;
  std::uint64_t served() const;  // ended

 private:
  struct Entry {
    std::string_view name;
    Clock::time_point since;
  };
  mutable std::mutex mutex_;                // guards all below
  std::map<std::uint64_t, Entry> entries_;  // tokens grow with time
  std::uint64_t next_ = 1, served_ = 0;
};

}  // namespace podshim::cri
