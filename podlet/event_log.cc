#include "podlet/event_log.h"

#include <cstdio>

#include "common/log.h"
#include "common/sys/file.h"

namespace podshim::podlet {
namespace {
constexpr std::size_t kKept = 1000;
constexpr std::size_t kFileLimit = 4 << 20;
constexpr std::size_t kLookBack = 100;  // among these a like event is searched
}  // namespace

void EventLog::add(Time now, const ObjectKey& object, bool warning, std::string reason, std::string message) {
  std::size_t looked = 0;
  for (auto e = events_.rbegin(); e != events_.rend() && looked < kLookBack; ++e, ++looked) {
    if (e->object != object || e->reason != reason || e->message != message) continue;
    Event again = *e;
    events_.erase(std::next(e).base());
    again.last = now;
    again.count++;
    events_.push_back(std::move(again));
    return append(events_.back());
  }
  events_.push_back({.first = now,
                     .last = now,
                     .warning = warning,
                     .reason = std::move(reason),
                     .message = std::move(message),
                     .object = object});
  if (events_.size() > kKept) events_.pop_front();
  append(events_.back());
}

void EventLog::append(const Event& e) {
  log::write(e.warning ? log::Level::warn : log::Level::info, e.message,
             {{"event", e.reason}, {"object", e.object.text()}});
  if (file_.empty()) return;
  json::Value line;
  line.set("time", rfc3339(e.last)).set("type", e.warning ? "Warning" : "Normal").set("reason", e.reason);
  line.set("object", e.object.text()).set("message", e.message).set("count", e.count);
  auto text = json::dump(line) + "\n";
  written_ += text.size();
  if (written_ > kFileLimit) {
    std::rename(file_.c_str(), (file_ + ".1").c_str());
    written_ = text.size();
  }
  auto fd = sys::open(file_, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (fd) (void)sys::write_all(*fd, text, file_);  // events are a convenience: a full disk must not stop Pods
}

}  // namespace podshim::podlet
