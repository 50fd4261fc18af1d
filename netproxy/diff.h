// diff: what to change in the table so that it says what is desired. Applied is the one memory of what the kernel
// holds: it moves on by accept(), after the kernel has acknowledged a Plan, and never else; so a failed batch needs no
// clean-up here, and equal input gives an empty Plan. Costs follow the Services planned, not those applied. Pure; one
// thread.
#pragma once

#include <map>
#include <set>
#include <unordered_map>

#include "netproxy/build.h"

namespace podshim::netproxy {

struct Change {
  bool add = false;  // else delete
  Element element;
  bool operator==(const Change&) const = default;
};
// Both sorted by (set, key). An element whose data or comment differ is deleted and added.
std::vector<Change> diff(const std::vector<Element>& applied, const std::vector<Element>& desired);

// `wanted` in slot order: who stays keeps its slot, a departed one's slot goes to a newcomer, else to the last.
std::vector<Backend> arrange(const std::vector<Backend>& applied, const std::vector<Backend>& wanted);

// A front of a Service that another one has already; the first keeps it.
struct Conflict {
  std::string front;  // "10.43.0.1 TCP 80", "node port TCP 30080"
  std::string owner;
};

struct ServicePlan {
  ServiceModel desired;  // backends in slot order, conflicting ports left out
  std::vector<Change> changes;
  std::vector<Conflict> conflicts;
};

struct SharedDelta {
  Element element;
  int delta = 0;
};

struct Plan {
  std::vector<ServicePlan> services;
  std::vector<Chain> chains;  // of classes met for the first time
  std::vector<SharedDelta> shared;
  std::vector<Change> shared_changes;
  bool empty() const;        // nothing for the kernel
  std::size_t size() const;  // elements changed
};

class Applied {
 public:
  explicit Applied(LayoutFacts layout) : layout_(std::move(layout)) {}

  // A model with neither vips nor ports takes the Service away.
  Plan plan(std::vector<ServiceModel> desired) const;
  void accept(Plan plan);

  const ServiceModel* find(const std::string& key) const;
  const std::map<std::string, ServiceModel>& services() const { return services_; }
  const LayoutFacts& layout() const { return layout_; }
  // The whole table as it stands.
  Ruleset ruleset() const;

 private:
  using Place = std::pair<SetId, Bytes>;
  struct PlaceHash {
    std::size_t operator()(const Place& p) const;
  };

  ServiceModel without_conflicts(ServiceModel model, const std::map<Place, std::string>& claimed,
                                 const std::set<Place>& released, std::vector<Conflict>& conflicts) const;
  ServicePlan plan_service(ServiceModel model, std::map<Place, std::string>& claimed, const std::set<Place>& released,
                           std::map<Place, SharedDelta>& shared, std::set<std::uint32_t>& classes) const;

  LayoutFacts layout_;
  std::map<std::string, ServiceModel> services_;
  std::unordered_map<Place, int, PlaceHash> shared_;
  std::unordered_map<Place, std::string, PlaceHash> owners_;
  std::set<std::uint32_t> classes_;  // chains are never taken away: a packet may be on its way to one
};

}  // namespace podshim::netproxy
