// EventBus: what happened to sandboxes and containers, told to any number of subscribers.
//
// Announcements go into one log that all subscribers read, each at its own pace from where it subscribed: a subscriber
// is a place in the log, so one that sleeps costs nothing and holds up nobody. The log is by state: of one id it keeps
// the newest event of a type, and `deleted` takes the place of all before it; so whoever reads late gets fewer events
// and the same end. It holds what some subscriber has not read yet, of at most `log` entries; who is further behind is
// told so (resource_exhausted) and has to subscribe and list again: nothing goes missing silently. Nobody subscribed =
// an empty log. Any thread; the mutex is held for a look or a change, and over the callbacks, which must not block.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/result.h"

namespace podshim {

struct SandboxView;

enum class PodEventType { created, started, stopped, deleted };
inline constexpr std::size_t kPodEventTypes = 4;

struct PodEvent {
  std::string id;  // of a container, or of the sandbox itself
  PodEventType type = PodEventType::created;
  std::int64_t at_ns = 0;                      // grows with every event of a bus: the sequence
  std::shared_ptr<const SandboxView> sandbox;  // as it was then
};

class EventSubscription {
 public:
  virtual ~EventSubscription() = default;
  // nullopt: none now; `wake` is called when there is one.
  virtual Result<std::optional<PodEvent>> next() = 0;
};

class EventBus {
 public:
  struct Limits {
    std::size_t subscribers = 256;
    std::size_t log = 65'536;  // some 200 bytes each
  };
  using Clock = std::function<std::int64_t()>;  // nanoseconds since 1970

  EventBus() : EventBus(Limits{}, nullptr) {}
  EventBus(Limits limits, Clock clock) : limits_(limits), clock_(std::move(clock)) {}

  // resource_exhausted: there are as many as may be. `wake` may be called until the subscription's destructor has
  // returned; it must not call back. The bus outlives its subscriptions.
  Result<std::unique_ptr<EventSubscription>> subscribe(std::function<void()> wake);
  void announce(const std::string& id, PodEventType type, std::shared_ptr<const SandboxView> sandbox);

  std::size_t subscribers() const;
  std::size_t pending() const;  // entries of the log

 private:
  struct Place {
    std::int64_t read = 0;  // the newest event that it had
    bool waits = false;
    std::function<void()> wake;
  };
  class Subscription;
  using Newest = std::array<std::int64_t, kPodEventTypes>;  // times of an id's entries; 0: none

  void drop(std::map<std::int64_t, PodEvent>::iterator entry);  // these three with mutex_ held
  void join_older(const std::string& id, PodEventType type);
  void trim();

  const Limits limits_;
  const Clock clock_;
  mutable std::mutex mutex_;  // guards all below
  std::map<std::int64_t, PodEvent> log_;
  std::unordered_map<std::string, Newest> newest_;
  std::vector<std::shared_ptr<Place>> places_;
  std::int64_t last_ = 0, lost_ = 0;  // the newest event, and the newest that was dropped unread
  std::size_t trim_at_ = 0;
};

}  // namespace podshim
