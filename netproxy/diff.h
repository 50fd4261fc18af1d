// diff: what to change in the table so that it says what is desired. Applied is the one memory of what the kernel
// holds: it moves on by accept(), after the kernel has acknowledged a Plan, and never else; so a failed batch needs no
// clean-up here, and equal input gives an empty Plan. Costs follow the Services planned, not those applied. Pure; one
// thread.
#pragma once

#include <map>
#include <memory_resource>
#include <set>
#include <unordered_map>

#include "netproxy/affinity.h"
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
  std::vector<Chain> chains;      // of classes met for the first time
  std::vector<Timeout> timeouts;  // of session affinity, met for the first time
  std::vector<SharedDelta> shared;
  std::vector<Change> shared_changes;
  // What the kernel remembers of clients, put here by who read it: to be deleted, and to be carried into a new table.
  std::vector<Remembered> forgotten, carried;
  bool empty() const;        // nothing for the kernel
  std::size_t size() const;  // elements changed
};

class Applied {
 public:
  explicit Applied(LayoutFacts layout);

  // A model with neither vips nor ports takes the Service away.
  Plan plan(std::vector<ServiceModel> desired) const;
  void accept(Plan plan);
  // The next chain that a Service scaled by a few endpoints would ask for, for a quiet moment: it costs a walk of the
  // map it looks into. Nothing: all are there.
  std::optional<Chain> ahead() const;

  const ServiceModel* find(const std::string& key) const;
  const std::map<std::string, ServiceModel>& services() const { return services_; }
  const LayoutFacts& layout() const { return layout_; }
  // The whole table as it stands.
  Ruleset ruleset() const;

 private:
  struct PlaceHash {
    std::size_t operator()(const Place& p) const;
  };

  // Of one plan() and as large as it: they come from a pool of its own, whose room is given back as a whole. Scattered
  // among what stays, it would keep twice the pages.
  using Claimed = std::pmr::map<Place, std::string>;
  using SharedDeltas = std::pmr::map<Place, SharedDelta>;
  ServiceModel without_conflicts(ServiceModel model, const Claimed& claimed, const std::set<Place>& released,
                                 std::vector<Conflict>& conflicts) const;
  ServicePlan plan_service(ServiceModel model, Claimed& claimed, const std::set<Place>& released, SharedDeltas& shared,
                           std::set<std::uint32_t>& classes) const;
  void find_new(const std::set<std::uint32_t>& classes, Plan& plan) const;
  // Classes a few endpoints away, the nearest first; may hold doubles.
  std::vector<std::uint32_t> without_chain_near(const std::set<std::uint32_t>& classes) const;

  LayoutFacts layout_;
  std::map<std::string, ServiceModel> services_;
  // Both kinds of shared elements are an address, once or twice: tens of thousands of them are counted.
  using Shared = std::pair<SetKind, IpAddress>;
  struct SharedHash {
    std::size_t operator()(const Shared& s) const;
  };
  static Shared shared_of(const Element& e);
  std::unordered_map<Shared, int, SharedHash> shared_;
  std::unordered_map<Place, std::string, PlaceHash> owners_;
  std::set<std::uint32_t> classes_;  // chains are never taken away: a packet may be on its way to one
  std::set<std::uint32_t> met_;      // of these, what cluster and external addresses had or have
  std::set<Timeout> timeouts_;       // nor are sets of a timeout: what they hold ends by itself
};

}  // namespace podshim::netproxy
