#include "podlet/backoff.h"

#include <algorithm>

namespace podshim::podlet {

Time Backoff::ready_at(const std::string& key, Time event) const {
  auto found = entries_.find(key);
  if (found == entries_.end() || expired(found->second, event)) return event;
  return event + found->second.delay;
}

void Backoff::acted(const std::string& key, Time event, Time now) {
  auto& entry = entries_[key];
  bool fresh = entry.delay == Duration{} || expired(entry, event);
  entry.delay = fresh ? initial_ : std::min(entry.delay * 2, maximum_);
  entry.last = now;
}

Duration Backoff::current(const std::string& key) const {
  auto found = entries_.find(key);
  return found == entries_.end() ? Duration{} : found->second.delay;
}

}  // namespace podshim::podlet
