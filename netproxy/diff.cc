#include "netproxy/diff.h"

#include <algorithm>
#include <string_view>

namespace podshim::netproxy {
namespace {

std::vector<Element> fronts_of(const ServiceModel& model, const PortModel& port) {
  ServiceModel one{.key = model.key, .vips = model.vips, .ports = {port}};
  auto owned = elements_of(one).owned;
  std::erase_if(owned, [](const Element& e) { return !is_front(e.set.kind); });
  return owned;
}

std::string front_text(const Element& front, const PortModel& port) {
  auto protocol = std::string(kube::protocol_name(port.protocol));
  if (front.set.kind == SetKind::np) return "node port " + protocol + " " + std::to_string(port.node_port);
  std::size_t length = front.set.family == Family::v4 ? 4 : 16;
  auto ip = IpAddress::from_bytes(front.set.family, front.key.view().first(length));
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
  return chains.empty() && shared_changes.empty() &&
         std::ranges::all_of(services, [](const ServicePlan& s) { return s.changes.empty(); });
}

std::size_t Plan::size() const {
  std::size_t n = shared_changes.size() + chains.size();
  for (const auto& s : services) n += s.changes.size();
  return n;
}

std::size_t Applied::PlaceHash::operator()(const Place& p) const {
  auto view = p.second.view();
  auto h = std::hash<std::string_view>{}({reinterpret_cast<const char*>(view.data()), view.size()});
  return h ^ (static_cast<std::size_t>(p.first.kind) << 8) ^ static_cast<std::size_t>(p.first.family);
}

const ServiceModel* Applied::find(const std::string& key) const {
  auto it = services_.find(key);
  return it == services_.end() ? nullptr : &it->second;
}

ServiceModel Applied::without_conflicts(ServiceModel model, const std::map<Place, std::string>& claimed,
                                        const std::set<Place>& released, std::vector<Conflict>& conflicts) const {
  auto owner_of = [&](const Place& place) -> const std::string* {
    if (auto it = claimed.find(place); it != claimed.end()) return &it->second;
    if (released.contains(place)) return nullptr;
    auto it = owners_.find(place);
    return it == owners_.end() ? nullptr : &it->second;
  };
  std::erase_if(model.ports, [&](const PortModel& port) {
    bool taken = false;
    for (const auto& front : fronts_of(model, port)) {
      const auto* owner = owner_of({front.set, front.key});
      if (owner == nullptr || *owner == model.key) continue;
      conflicts.push_back({front_text(front, port), *owner});
      taken = true;
    }
    return taken;
  });
  if (model.ports.empty()) model.vips.clear();
  return model;
}

ServicePlan Applied::plan_service(ServiceModel model, std::map<Place, std::string>& claimed,
                                  const std::set<Place>& released, std::map<Place, SharedDelta>& shared,
                                  std::set<std::uint32_t>& classes) const {
  ServicePlan out;
  out.desired = without_conflicts(std::move(model), claimed, released, out.conflicts);
  static const ServiceModel kNone;
  const auto* applied = find(out.desired.key);
  if (applied == nullptr) applied = &kNone;
  for (auto& port : out.desired.ports) {
    auto old = std::ranges::find_if(applied->ports, [&](const PortModel& p) { return p.same_port(port); });
    if (old != applied->ports.end()) port.backends = arrange(old->backends, port.backends);
  }
  auto before_parts = elements_of(*applied);
  auto after = elements_of(out.desired);
  out.changes = diff(before_parts.owned, after.owned);
  for (const auto& e : after.owned)
    if (is_front(e.set.kind)) claimed.emplace(Place(e.set, e.key), out.desired.key);
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
  std::map<Place, std::string> claimed;
  std::set<Place> released;
  std::map<Place, SharedDelta> shared;
  std::set<std::uint32_t> classes;
  // Who has a front and wants it still keeps it, wherever it stands in the list.
  for (const auto& model : desired) {
    std::set<Place> wanted;
    for (const auto& e : elements_of(model).owned)
      if (is_front(e.set.kind)) wanted.emplace(e.set, e.key);
    const auto* applied = find(model.key);
    if (applied == nullptr) continue;
    for (const auto& e : elements_of(*applied).owned)
      if (is_front(e.set.kind) && !wanted.contains({e.set, e.key})) released.emplace(e.set, e.key);
  }
  for (auto& model : desired)
    plan.services.push_back(plan_service(std::move(model), claimed, released, shared, classes));
  for (auto klass : classes)
    if ((klass & 0xffff) != 0 && !classes_.contains(klass)) plan.chains.push_back(chain_of_class(klass));
  for (auto& [place, entry] : shared) {
    if (entry.delta == 0) continue;
    auto it = shared_.find(place);
    int had = it == shared_.end() ? 0 : it->second;
    if (had == 0 || had + entry.delta == 0) plan.shared_changes.push_back({had == 0, entry.element});
    plan.shared.push_back(std::move(entry));
  }
  return plan;
}

void Applied::accept(Plan plan) {
  for (auto& service : plan.services) {
    for (const auto& change : service.changes) {
      if (!is_front(change.element.set.kind)) continue;
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
    auto& n = shared_[{entry.element.set, entry.element.key}];
    n += entry.delta;
    if (n == 0) shared_.erase({entry.element.set, entry.element.key});
  }
  for (const auto& chain : plan.chains) classes_.insert(*chain.class_id);
}

Ruleset Applied::ruleset() const {
  std::vector<ServiceModel> models;
  for (const auto& [key, model] : services_) models.push_back(model);
  auto out = build_ruleset(layout_, models);
  for (auto klass : classes_) {
    auto chain = chain_of_class(klass);
    if (std::ranges::find(out.chains, chain.name, &Chain::name) == out.chains.end())
      out.chains.push_back(std::move(chain));
  }
  return out;
}

}  // namespace podshim::netproxy
