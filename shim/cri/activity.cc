#include "shim/cri/activity.h"

namespace podshim::cri {

std::uint64_t Activity::begin(std::string_view name, Clock::time_point now) {
  std::lock_guard lock(mutex_);
  entries_.emplace(next_, Entry{name, now});
  return next_++;
}

void Activity::end(std::uint64_t token) {
  std::lock_guard lock(mutex_);
  served_ += entries_.erase(token);
}

std::vector<RunningCall> Activity::running(Clock::time_point now) const {
  std::vector<RunningCall> out;
  std::lock_guard lock(mutex_);
  out.reserve(entries_.size());
  for (const auto& [token, entry] : entries_)
    out.push_back({entry.name, std::chrono::duration_cast<std::chrono::milliseconds>(now - entry.since)});
  return out;
}

bool Activity::any() const {
  std::lock_guard lock(mutex_);
  return !entries_.empty();
}

std::uint64_t Activity::served() const {
  std::lock_guard lock(mutex_);
  return served_;
}

}  // namespace podshim::cri
