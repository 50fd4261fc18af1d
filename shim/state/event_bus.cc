#include "shim/state/event_bus.h"

#include <algorithm>
#include <chrono>

#include "common/error.h"

namespace podshim {
namespace {

constexpr std::size_t kTrimStep = 256;  // read entries stay until there are this many more

std::int64_t wall_clock() { return std::chrono::system_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

}  // namespace

class EventBus::Subscription final : public EventSubscription {
 public:
  Subscription(EventBus& bus, std::shared_ptr<Place> place) : bus_(bus), place_(std::move(place)) {}
  ~Subscription() override {
    std::lock_guard lock(bus_.mutex_);
    std::erase(bus_.places_, place_);
    bus_.trim();
  }
  Result<std::optional<PodEvent>> next() override {
    std::lock_guard lock(bus_.mutex_);
    if (place_->read < bus_.lost_)
      return fail(Error::of(ErrorKind::resource_exhausted, "read events", "container events",
                            "read too slowly: events were dropped; subscribe and list again"));
    const auto at = bus_.log_.upper_bound(place_->read);
    place_->waits = at == bus_.log_.end();
    if (place_->waits) return std::nullopt;
    place_->read = at->first;
    return at->second;
  }

 private:
  EventBus& bus_;
  const std::shared_ptr<Place> place_;
};

Result<std::unique_ptr<EventSubscription>> EventBus::subscribe(std::function<void()> wake) {
  auto place = std::make_shared<Place>();
  place->wake = std::move(wake);
  std::lock_guard lock(mutex_);
  if (places_.size() >= limits_.subscribers)
    return fail(Error::of(ErrorKind::resource_exhausted, "subscribe", "container events",
                          "there are " + std::to_string(places_.size()) + " subscribers already"));
  place->read = last_;
  places_.push_back(place);
  return std::make_unique<Subscription>(*this, std::move(place));
}

void EventBus::announce(const std::string& id, PodEventType type, std::shared_ptr<const SandboxView> sandbox) {
  std::lock_guard lock(mutex_);
  if (places_.empty()) return;
  last_ = std::max(clock_ ? clock_() : wall_clock(), last_ + 1);
  join_older(id, type);
  log_.emplace(last_, PodEvent{.id = id, .type = type, .at_ns = last_, .sandbox = std::move(sandbox)});
  newest_[id][static_cast<std::size_t>(type)] = last_;
  if (log_.size() > std::min(trim_at_, limits_.log)) trim();
  for (const auto& place : places_) {
    if (!place->waits) continue;
    place->waits = false;
    place->wake();
  }
}

void EventBus::join_older(const std::string& id, PodEventType type) {
  const auto known = newest_.find(id);
  if (known == newest_.end()) return;
  const Newest older = known->second;  // drop() may take it away
  for (std::size_t t = 0; t < kPodEventTypes; t++)
    if (older[t] != 0 && (type == PodEventType::deleted || t == static_cast<std::size_t>(type)))
      drop(log_.find(older[t]));
}

void EventBus::drop(std::map<std::int64_t, PodEvent>::iterator entry) {
  const PodEvent& event = entry->second;
  const auto known = newest_.find(event.id);
  known->second[static_cast<std::size_t>(event.type)] = 0;
  if (known->second == Newest{}) newest_.erase(known);
  log_.erase(entry);
}

// What everybody has read goes; above the limit the oldest, too.
void EventBus::trim() {
  std::int64_t all_read = last_;
  for (const auto& place : places_) all_read = std::min(all_read, std::max(place->read, lost_));
  while (!log_.empty() && log_.begin()->first <= all_read) drop(log_.begin());
  while (log_.size() > limits_.log) {
    lost_ = log_.begin()->first;
    drop(log_.begin());
  }
  trim_at_ = log_.size() * 2 + kTrimStep;
}

std::size_t EventBus::subscribers() const {
  std::lock_guard lock(mutex_);
  return places_.size();
}

std::size_t EventBus::pending() const {
  std::lock_guard lock(mutex_);
  return log_.size();
}

}  // namespace podshim
