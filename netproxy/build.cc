#include "netproxy/build.h"

#include <algorithm>
#include <set>

namespace podshim::netproxy {
namespace {

// Adds the fronts of one port, each with its class and its endpoints' slots.
class Fronts {
 public:
  Fronts(const ServiceModel& model, const PortModel& port, ModelElements& out)
      : model_(model), port_(port), out_(out), family_(port.family) {
    comment_ = port.name.empty() ? model.key : model.key + ":" + port.name;
  }

  void cluster(const IpAddress& ip) {
    auto [set, key] = front_place(port_, ip);
    front(set.kind, SetKind::ep, key, model_.internal(port_), {});
    sticky(SetKind::sticky, key);
  }
  void external(const IpAddress& ip) {
    auto [set, key] = front_place(port_, ip);
    front(set.kind, SetKind::ep, key, port_.backends, {});
    if (model_.external_local) {
      front(SetKind::svc_local, SetKind::ep_local, key, port_.local, {.local = true});
      plain(SetKind::local_ext, key);
    } else {
      plain(SetKind::masq_ext, key);
    }
    sticky(SetKind::sticky, key);
    if (std::ranges::find(model_.fenced, ip) != model_.fenced.end()) fence(key);
  }
  void node_port() {
    auto [set, key] = node_port_place(port_);
    front(set.kind, SetKind::ep_np, key, port_.backends, {.kind = FrontKind::node_port});
    if (model_.external_local) {
      front(SetKind::np_local, SetKind::ep_np_local, key, port_.local, {.kind = FrontKind::node_port, .local = true});
      plain(SetKind::local_np, key);
    } else {
      plain(SetKind::masq_np, key);
    }
    sticky(SetKind::sticky_np, key);
  }

 private:
  void add(SetKind kind, const Bytes& key, const Bytes& data = {}, std::uint32_t seconds = 0) {
    out_.owned.push_back({.set = {kind, family_, seconds}, .key = key, .data = data, .comment = comment_});
  }
  void plain(SetKind kind, const Bytes& key) { add(kind, key); }

  void front(SetKind fronts, SetKind slots, const Bytes& key, const std::vector<Backend>& backends, Class klass) {
    klass.family = family_;
    klass.n = static_cast<std::uint32_t>(backends.size());
    klass.sticky = model_.affinity != 0;
    auto id = klass.id();
    if (backends.empty()) id = port_.backends.empty() ? kRefuse : kNoLocal;
    out_.classes.push_back(id);
    add(fronts, key, Bytes().number(id));
    for (std::uint32_t i = 0; i < klass.n; i++) {
      auto slot_key = key;
      add(slots, slot_key.number(i), Bytes().address(backends[i].address).port(backends[i].port));
    }
  }
  void sticky(SetKind kind, const Bytes& key) {
    if (model_.affinity != 0) add(kind, key, {}, model_.affinity);
  }
  void fence(const Bytes& key) {
    plain(SetKind::fenced, key);
    for (const auto& range : model_.ranges) {
      if (range.address.family() != family_) continue;
      auto first = key, last = key;
      add(SetKind::ranges, first.address(range.network()), last.address(range.last()));
    }
  }

  const ServiceModel& model_;
  const PortModel& port_;
  ModelElements& out_;
  Family family_;
  std::string comment_;
};

void add_port(const ServiceModel& model, const PortModel& port, ModelElements& out) {
  Fronts fronts(model, port, out);
  for (const auto& ip : model.vips)
    if (ip.family() == port.family) fronts.cluster(ip);
  for (const auto& ip : model.external)
    if (ip.family() == port.family && !port.withholds(ip)) fronts.external(ip);
  if (port.node_port != 0) fronts.node_port();
  auto hairpin = [&](const Backend& b) {
    auto key = Bytes().address(b.address).address(b.address);
    if (b.local) out.shared.push_back({.set = {SetKind::hairpin, port.family}, .key = key});
  };
  for (const auto& b : port.backends) hairpin(b);
  for (const auto& b : port.local) hairpin(b);  // not all of these are among the others
}

}  // namespace

Place front_place(const PortModel& port, const IpAddress& address) {
  return {{SetKind::svc, port.family}, Bytes().address(address).proto(port.protocol).port(port.port)};
}

Place node_port_place(const PortModel& port) {
  return {{SetKind::np, port.family}, Bytes().proto(port.protocol).port(port.node_port)};
}

std::vector<Place> front_places(const ServiceModel& model) {
  std::vector<Place> out;
  for (const auto& port : model.ports) {
    for (const auto* list : {&model.vips, &model.external})
      for (const auto& ip : *list)
        if (ip.family() == port.family && !port.withholds(ip)) out.push_back(front_place(port, ip));
    if (port.node_port != 0) out.push_back(node_port_place(port));
  }
  return out;
}

bool is_shared(SetKind kind) { return kind == SetKind::vip || kind == SetKind::hairpin; }
bool is_front(SetKind kind) { return kind == SetKind::svc || kind == SetKind::np; }

ModelElements elements_of(const ServiceModel& model) {
  ModelElements out;
  for (const auto& vip : model.vips)
    out.shared.push_back({.set = {SetKind::vip, vip.family()}, .key = Bytes().address(vip)});
  for (const auto& port : model.ports) add_port(model, port, out);
  std::ranges::sort(out.owned, before);
  return out;
}

Ruleset build_ruleset(const LayoutFacts& facts, const std::vector<ServiceModel>& models) {
  Ruleset out{.sets = layout_sets(facts), .chains = layout_chains(facts)};
  std::set<std::uint32_t> classes;
  std::set<Timeout> timeouts;
  for (const auto& model : models) {
    auto parts = elements_of(model);
    out.elements.insert(out.elements.end(), parts.owned.begin(), parts.owned.end());
    out.elements.insert(out.elements.end(), parts.shared.begin(), parts.shared.end());
    classes.insert(parts.classes.begin(), parts.classes.end());
    for (const auto& timeout : timeouts_of(model)) timeouts.insert(timeout);
  }
  std::ranges::sort(out.elements, before);
  auto same = [](const Element& a, const Element& b) { return a.same_place(b); };
  out.elements.erase(std::unique(out.elements.begin(), out.elements.end(), same), out.elements.end());
  for (const auto& timeout : timeouts) add_timeout(timeout, out);
  for (auto id : classes)
    if (auto klass = class_of(id); klass && !is_usual(*klass)) out.chains.push_back(balance_chain(*klass));
  return out;
}

std::vector<Timeout> timeouts_of(const ServiceModel& model) {
  std::vector<Timeout> out;
  if (model.affinity == 0) return out;
  for (const auto& port : model.ports)
    if (std::ranges::find(out, port.family, &Timeout::family) == out.end())
      out.push_back({port.family, model.affinity});
  return out;
}

void add_timeout(const Timeout& timeout, Ruleset& out) {
  auto parts = timeout_parts(timeout);
  out.sets.insert(out.sets.end(), parts.sets.begin(), parts.sets.end());
  for (auto& [chain, rule] : parts.rules)
    std::ranges::find(out.chains, chain, &Chain::name)->rules.push_back(std::move(rule));
}

}  // namespace podshim::netproxy
