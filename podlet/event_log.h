// Events as kubectl shows them: like ones are counted, not repeated; the last 1,000 are kept in memory, all go to a
// file (one JSON line each, begun anew at 4 MiB with one former file kept). One thread.
#pragma once

#include <deque>
#include <string>

#include "podlet/manifest.h"
#include "podlet/runtime_client.h"

namespace podshim::podlet {

struct Event {
  Time first, last;
  int count = 1;
  bool warning = false;
  std::string reason, message;
  ObjectKey object;
};

class EventLog {
 public:
  explicit EventLog(std::string file) : file_(std::move(file)) {}  // "" = memory only
  void add(Time now, const ObjectKey& object, bool warning, std::string reason, std::string message);
  const std::deque<Event>& all() const { return events_; }  // oldest last seen first

 private:
  void append(const Event& e);
  std::string file_;
  std::deque<Event> events_;
  std::size_t written_ = 0;
};

}  // namespace podshim::podlet
