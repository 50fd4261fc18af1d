#include "podlet/clock.h"

#include <cstdio>
#include <ctime>

namespace podshim::podlet {

SystemClock::SystemClock()
    : wall_(std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now())),
      steady_(std::chrono::steady_clock::now()) {}

Time SystemClock::now() const {
  return wall_ + std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - steady_);
}

std::string rfc3339(Time t) {
  std::time_t seconds = std::chrono::floor<std::chrono::seconds>(t).time_since_epoch().count();
  tm utc{};
  gmtime_r(&seconds, &utc);
  char out[32];
  std::strftime(out, sizeof out, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return out;
}

std::string rfc3339_millis(Time t) {
  auto millis = std::chrono::floor<std::chrono::milliseconds>(t).time_since_epoch().count() % 1000;
  auto digits = std::to_string(1000 + millis);
  auto out = rfc3339(t);
  return out.insert(out.size() - 1, "." + digits.substr(1));
}

std::string age_text(Duration d) {
  auto s = std::chrono::duration_cast<std::chrono::seconds>(d).count();
  if (s < 0) s = 0;
  auto two = [](long long a, const char* ua, long long b, const char* ub) {
    std::string out = std::to_string(a) + ua;
    return b == 0 ? out : out + std::to_string(b) + ub;
  };
  if (s < 120) return std::to_string(s) + "s";
  if (s < 600) return two(s / 60, "m", s % 60, "s");
  if (s < 3 * 3600) return std::to_string(s / 60) + "m";
  if (s < 8 * 3600) return two(s / 3600, "h", s % 3600 / 60, "m");
  if (s < 48 * 3600) return std::to_string(s / 3600) + "h";
  return std::to_string(s / 86400) + "d";
}

}  // namespace podshim::podlet
