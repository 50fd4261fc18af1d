// podlet's clock: monotonic, anchored to the wall clock when it was made, so that it never jumps, compares with the
// runtime's timestamps and prints as a date. Injected everywhere. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace podshim::podlet {

using Time = std::chrono::sys_time<std::chrono::nanoseconds>;
using Duration = std::chrono::nanoseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time now() const = 0;
};

class SystemClock : public Clock {
 public:
  SystemClock();
  Time now() const override;

 private:
  Time wall_;
  std::chrono::steady_clock::time_point steady_;
};

inline Time from_nanos(std::int64_t n) { return Time(std::chrono::nanoseconds(n)); }
inline std::int64_t to_nanos(Time t) { return t.time_since_epoch().count(); }
std::string rfc3339(Time t);         // 2026-01-02T03:04:05Z
std::string rfc3339_millis(Time t);  // 2026-01-02T03:04:05.678Z
std::string age_text(Duration d);    // as kubectl prints ages: 5s, 3m20s, 2h5m, 4d

}  // namespace podshim::podlet
