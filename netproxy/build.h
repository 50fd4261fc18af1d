// build: from what a Service should be to its elements, and from all Services to a whole Ruleset. Pure; any thread.
#pragma once

#include "netproxy/layout.h"
#include "netproxy/topology.h"

namespace podshim::netproxy {

// vip and hairpin elements belong to every Service that has the address: they are counted, not owned.
bool is_shared(SetKind kind);
// svc and np: the fronts. One Service owns each.
bool is_front(SetKind kind);

using Place = std::pair<SetId, Bytes>;  // of an element
Place front_place(const PortModel& port, const IpAddress& address);
Place node_port_place(const PortModel& port);
// All fronts of a Service.
std::vector<Place> front_places(const ServiceModel& model);

struct ModelElements {
  std::vector<Element> owned;          // sorted by (set, key)
  std::vector<Element> shared;         // may hold doubles; each counts
  std::vector<std::uint32_t> classes;  // met; may hold doubles
};
ModelElements elements_of(const ServiceModel& model);
std::vector<Timeout> timeouts_of(const ServiceModel& model);

// The whole table, as a restart loads it. Models must not share a front.
Ruleset build_ruleset(const LayoutFacts& facts, const std::vector<ServiceModel>& models);
// A timeout of session affinity that `out` has not yet.
void add_timeout(const Timeout& timeout, Ruleset& out);

}  // namespace podshim::netproxy
