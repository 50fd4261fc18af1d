// Back-off per key, as the kubelet's: the first restart is at once, the next waits 10 s, doubling to 5 minutes; an
// event more than twice the maximum (10 minutes) after the last start begins anew. Pure: time comes in. One thread.
#pragma once

#include <map>
#include <string>

#include "podlet/clock.h"

namespace podshim::podlet {

class Backoff {
 public:
  Backoff() = default;
  Backoff(Duration initial, Duration maximum) : initial_(initial), maximum_(maximum) {}

  // When the key may act again after `event` (a container's end, a failed call); `event` itself = at once.
  Time ready_at(const std::string& key, Time event) const;
  // The key acts now, because of `event`.
  void acted(const std::string& key, Time event, Time now);
  Duration current(const std::string& key) const;  // 0 = none
  void forget(const std::string& key) { entries_.erase(key); }

 private:
  struct Entry {
    Duration delay{};
    Time last;
  };
  bool expired(const Entry& e, Time event) const { return event - e.last > 2 * maximum_; }
  Duration initial_ = std::chrono::seconds(10), maximum_ = std::chrono::seconds(300);
  std::map<std::string, Entry> entries_;
};

}  // namespace podshim::podlet
