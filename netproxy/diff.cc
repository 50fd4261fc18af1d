#include "netproxy/diff.h"

#include <algorithm>
#include <string_view>

namespace podshim::netproxy {
namespace {

std::string front_text(const Place& front, const PortModel& port) {
  auto protocol = std::string(kube::protocol_name(port.protocol));
  if (front.first.kind == SetKind::np) return "node port " + protocol + " " + std::to_string(port.node_port);
  std::size_t length = front.first.family == Family::v4 ? 4 : 16;
  auto ip = IpAddress::from_bytes(front.first.family, front.second.view().first(length));
  return ip.str() + " " + protocol + " " + std::to_string(port.port);
}

}  // namespace

std::vector<Change> diff(const std::vector<Element>& applied, const std::vector<Element>& desired) {
  std::vector<Change> gone, added;
  auto a = applied.begin();
  auto d = desired.begin();
  while (a != applied.end() || d != desired.end()) {
    if (d == desired.end() || (a != applied.end() && before(*a, *d))) {
      gone.push_back({false, *a++});
    } else if (a == applied.end() || before(*d, *a)) {
      added.push_back({true, *d++});
    } else {
      if (*a != *d) {
        gone.push_back({false, *a});
        added.push_back({true, *d});
      }
      a++;
      d++;
    }
  }
  gone.insert(gone.end(), std::make_move_iterator(added.begin()), std::make_move_iterator(added.end()));
  return gone;
}

std::vector<Backend> arrange(const std::vector<Backend>& applied, const std::vector<Backend>& wanted) {
  std::set<Backend> fresh(wanted.begin(), wanted.end());
  std::vector<Backend> out(wanted.size());
  std::vector<bool> taken(wanted.size(), false);
  std::vector<Backend> moved;  // stays, but its slot is beyond the new end
  for (std::size_t i = 0; i < applied.size(); i++) {
    if (fresh.erase(applied[i]) == 0) continue;
    if (i < out.size()) {
      out[i] = applied[i];
      taken[i] = true;
    } else {
      moved.push_back(applied[i]);
    }
  }
  moved.insert(moved.end(), fresh.begin(), fresh.end());
  auto next = moved.begin();
  for (std::size_t i = 0; i < out.size(); i++)
    if (!taken[i]) out[i] = *next++;
  return out;
}

bool Plan::empty() const {
  return chains.empty() && timeouts.empty() && shared_changes.empty() && forgotten.empty() && carried.empty() &&
         std::ranges::all_of(services, [](const ServicePlan& s) { return s.changes.empty(); });
}

std::size_t Plan::size() const {
  std::size_t n = shared_changes.size() + chains.size() + timeouts.size() + forgotten.size() + carried.size();
  for (const auto& s : services) n += s.changes.size();
  return n;
}

std::size_t Applied::PlaceHash::operator()(const Place& p) const {
  auto view = p.second.view();
  auto h = std::hash<std::string_view>{}({reinterpret_cast<const char*>(view.data()), view.size()});
  return h ^ (p.first.seconds << 16) ^ (static_cast<std::size_t>(p.first.kind) << 8) ^
         static_cast<std::size_t>(p.first.family);
}

std::size_t Applied::SharedHash::operator()(const Shared& s) const {
  auto view = s.second.bytes();
  auto h = std::hash<std::string_view>{}({reinterpret_cast<const char*>(view.data()), view.size()});
  return h ^ static_cast<std::size_t>(s.first);
}

Applied::Shared Applied::shared_of(const Element& e) {
  std::size_t length = e.set.family == Family::v4 ? 4 : 16;
  return {e.set.kind, IpAddress::from_bytes(e.set.family, e.key.view().first(length))};
}

Applied::Applied(LayoutFacts layout) : layout_(std::move(layout)) {
  for (const auto& chain : layout_chains(layout_))
    if (chain.class_id && class_of(*chain.class_id)) classes_.insert(*chain.class_id);
}

const ServiceModel* Applied::find(const std::string& key) const {
  auto it = services_.find(key);
  return it == services_.end() ? nullptr : &it->second;
}

ServiceModel Applied::without_conflicts(ServiceModel model, const Claimed& claimed, const std::set<Place>& released,
                                        std::vector<Conflict>& conflicts) const {
  auto owner_of = [&](const Place& place) -> const std::string* {
    if (auto it = claimed.find(place); it != claimed.end()) return &it->second;
    if (released.contains(place)) return nullptr;
    auto it = owners_.find(place);
    return it == owners_.end() ? nullptr : &it->second;
  };
  auto taken = [&](const PortModel& port, const Place& front) {
    const auto* owner = owner_of(front);
    if (owner == nullptr || *owner == model.key) return false;
    conflicts.push_back({front_text(front, port), *owner});
    return true;
  };
  std::erase_if(model.ports, [&](const PortModel& port) {
    bool any = false;
    for (const auto& ip : model.vips)
      if (ip.family() == port.family) any = taken(port, front_place(port, ip)) || any;
    if (port.node_port != 0) any = taken(port, node_port_place(port)) || any;
    return any;
  });
  // An external address is somebody's word only: losing one costs the Service no more than that.
  for (auto& port : model.ports)
    for (const auto& ip : model.external)
      if (ip.family() == port.family && taken(port, front_place(port, ip))) port.withheld.push_back(ip);
  if (model.ports.empty()) {
    model.vips.clear();
    model.external.clear();
  }
  return model;
}

ServicePlan Applied::plan_service(ServiceModel model, Claimed& claimed, const std::set<Place>& released,
                                  SharedDeltas& shared, std::set<std::uint32_t>& classes) const {
  ServicePlan out;
  out.desired = without_conflicts(std::move(model), claimed, released, out.conflicts);
  static const ServiceModel kNone;
  const auto* applied = find(out.desired.key);
  if (applied == nullptr) applied = &kNone;
  for (auto& port : out.desired.ports) {
    auto old = std::ranges::find_if(applied->ports, [&](const PortModel& p) { return p.same_port(port); });
    if (old == applied->ports.end()) continue;
    port.backends = arrange(old->backends, port.backends);
    port.local = arrange(old->local, port.local);
  }
  auto before_parts = elements_of(*applied);
  auto after = elements_of(out.desired);
  out.changes = diff(before_parts.owned, after.owned);
  for (auto& place : front_places(out.desired)) claimed.emplace(std::move(place), out.desired.key);
  auto count = [&](const std::vector<Element>& list, int delta) {
    for (const auto& e : list) {
      auto& entry = shared[{e.set, e.key}];
      entry.element = e;
      entry.delta += delta;
    }
  };
  count(before_parts.shared, -1);
  count(after.shared, 1);
  classes.insert(after.classes.begin(), after.classes.end());
  return out;
}

Plan Applied::plan(std::vector<ServiceModel> desired) const {
  Plan plan;
  std::pmr::monotonic_buffer_resource pool;
  Claimed claimed(&pool);
  std::set<Place> released;
  SharedDeltas shared(&pool);
  std::set<std::uint32_t> classes;
  // Who has a front and wants it still keeps it, wherever it stands in the list.
  for (const auto& model : desired) {
    const auto* applied = find(model.key);
    if (applied == nullptr) continue;
    auto wanted = front_places(model);
    for (auto& place : front_places(*applied))
      if (std::ranges::find(wanted, place) == wanted.end()) released.insert(std::move(place));
  }
  for (auto& model : desired)
    plan.services.push_back(plan_service(std::move(model), claimed, released, shared, classes));
  find_new(classes, plan);
  for (auto& [place, entry] : shared) {
    if (entry.delta == 0) continue;
    auto it = shared_.find(shared_of(entry.element));
    int had = it == shared_.end() ? 0 : it->second;
    if (had == 0 || had + entry.delta == 0) plan.shared_changes.push_back({had == 0, entry.element});
    plan.shared.push_back(std::move(entry));
  }
  return plan;
}

void Applied::find_new(const std::set<std::uint32_t>& classes, Plan& plan) const {
  std::set<Timeout> timeouts;
  for (const auto& service : plan.services)
    for (const auto& timeout : timeouts_of(service.desired))
      if (!timeouts_.contains(timeout)) timeouts.insert(timeout);
  plan.timeouts.assign(timeouts.begin(), timeouts.end());
  auto wanted = classes;
  if (services_.empty())  // the maps are empty: a walk of nothing
    for (auto id : without_chain_near(classes)) wanted.insert(id);
  for (auto id : wanted)
    if (auto klass = class_of(id); klass && !classes_.contains(id)) plan.chains.push_back(balance_chain(*klass));
}

std::vector<std::uint32_t> Applied::without_chain_near(const std::set<std::uint32_t>& classes) const {
  std::vector<std::uint32_t> out;
  auto add = [&](Class klass, std::uint32_t n) {
    klass.n = n;
    if (n >= 1 && n <= kMaxEndpoints && !classes_.contains(klass.id())) out.push_back(klass.id());
  };
  for (std::uint32_t distance = 1; distance <= kEndpointsAhead; distance++) {
    for (auto id : classes) {
      auto klass = class_of(id);
      if (!klass || !in_large_map(*klass)) continue;
      add(*klass, klass->n + distance);
      if (klass->n > distance) add(*klass, klass->n - distance);
    }
  }
  return out;
}

std::optional<Chain> Applied::ahead() const {
  auto missing = without_chain_near(met_);
  if (missing.empty()) return std::nullopt;
  return balance_chain(*class_of(missing.front()));
}

void Applied::accept(Plan plan) {
  for (auto& service : plan.services) {
    for (const auto& change : service.changes) {
      if (!is_front(change.element.set.kind)) continue;
      if (change.add && change.element.set.kind == SetKind::svc) met_.insert(change.element.data.as_number());
      Place place(change.element.set, change.element.key);
      if (change.add) {
        owners_[place] = service.desired.key;
      } else if (auto it = owners_.find(place); it != owners_.end() && it->second == service.desired.key) {
        owners_.erase(it);
      }
    }
    if (service.desired.empty()) {
      services_.erase(service.desired.key);
    } else {
      services_[service.desired.key] = std::move(service.desired);
    }
  }
  for (const auto& entry : plan.shared) {
    auto shared = shared_of(entry.element);
    auto& n = shared_[shared];
    n += entry.delta;
    if (n == 0) shared_.erase(shared);
  }
  for (const auto& chain : plan.chains) classes_.insert(*chain.class_id);
  timeouts_.insert(plan.timeouts.begin(), plan.timeouts.end());
}

Ruleset Applied::ruleset() const {
  std::vector<ServiceModel> models;
  for (const auto& [key, model] : services_) models.push_back(model);
  auto out = build_ruleset(layout_, models);
  for (const auto& timeout : timeouts_) {
    SetId id{SetKind::aff, timeout.family, timeout.seconds};
    if (std::ranges::find(out.sets, id, &SetDecl::id) == out.sets.end()) add_timeout(timeout, out);
  }
  for (auto id : classes_) {
    auto chain = balance_chain(*class_of(id));
    if (std::ranges::find(out.chains, chain.name, &Chain::name) == out.chains.end())
      out.chains.push_back(std::move(chain));
  }
  return out;
}

}  // namespace podshim::netproxy
