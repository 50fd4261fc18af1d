// tracker: the Services and slices as the source last said, and which Services changed since they were taken: many
// events are one pending change. A slice whose Service is not there yet waits for it. Pure but for the clock passed in;
// one thread.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <unordered_map>

#include "netproxy/topology.h"

namespace podshim::netproxy {

using Clock = std::chrono::steady_clock;

struct Pending {
  std::string key;          // namespace/name of the Service
  Clock::time_point since;  // its first event
};

// What nobody here reads is not kept: ten thousand Services are in memory. For whoever decodes them, at once, so that
// the next object takes the room.
void strip(kube::Service& service);
void strip(kube::EndpointSlice& slice);

class Tracker {
 public:
  explicit Tracker(NodeFacts facts) : facts_(std::move(facts)) {}

  // Of stripped objects.
  void set(kube::Service service, Clock::time_point now);
  void set(kube::EndpointSlice slice, Clock::time_point now);
  void remove_service(const std::string& key, Clock::time_point now);
  void remove_slice(const std::string& key, Clock::time_point now);
  // Once more, when nothing was said but what stands in the way may have gone.
  void touch(const std::string& key, Clock::time_point now) {
    pending_.try_emplace(key, now);
    if (listener_) listener_(key);
  }
  // Told of every touch: for one that keeps its own account of what is pending. {} ends that.
  void listen(std::function<void(const std::string& key)> listener) { listener_ = std::move(listener); }

  const NodeFacts& facts() const { return facts_; }
  bool has_pending() const { return !pending_.empty(); }
  std::vector<Pending> take_pending();
  std::vector<std::string> services() const;
  // An empty model when there is no such Service.
  ServiceModel model(const std::string& key) const;
  const kube::Service* service(const std::string& key) const;
  std::vector<const kube::EndpointSlice*> slices(const std::string& service) const;

 private:
  struct Entry {
    std::optional<kube::Service> service;
    std::map<std::string, kube::EndpointSlice> slices;  // by namespace/name
  };
  void drop_if_empty(const std::string& key);

  NodeFacts facts_;
  std::unordered_map<std::string, Entry> entries_;
  std::unordered_map<std::string, std::string> slice_owner_;  // slice -> Service
  std::map<std::string, Clock::time_point> pending_;
  std::function<void(const std::string& key)> listener_;
};

}  // namespace podshim::netproxy
