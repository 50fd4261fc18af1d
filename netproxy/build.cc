#include "netproxy/build.h"

#include <algorithm>
#include <set>

namespace podshim::netproxy {
namespace {

std::string port_comment(const ServiceModel& model, const PortModel& port) {
  return port.name.empty() ? model.key : model.key + ":" + port.name;
}

Bytes backend_bytes(const Backend& b) { return Bytes().address(b.address).port(b.port); }

// One front: the class under `key` in `front`, an endpoint under `key . slot` in `slots`.
void add_front(SetId front, SetId slots, FrontKind kind, const Bytes& key, const PortModel& port,
               const std::string& comment, ModelElements& out) {
  auto n = static_cast<std::uint32_t>(port.backends.size());
  auto klass = class_id(kind, port.family, n);
  out.classes.push_back(klass);
  out.owned.push_back({.set = front, .key = key, .data = Bytes().number(klass), .comment = comment});
  for (std::uint32_t i = 0; i < n; i++) {
    auto slot_key = key;
    slot_key.number(i);
    out.owned.push_back({.set = slots, .key = slot_key, .data = backend_bytes(port.backends[i]), .comment = comment});
  }
}

void add_port(const ServiceModel& model, const PortModel& port, ModelElements& out) {
  auto f = port.family;
  auto comment = port_comment(model, port);
  for (const auto& vip : model.vips) {
    if (vip.family() != f) continue;
    auto key = Bytes().address(vip).proto(port.protocol).port(port.port);
    add_front({SetKind::svc, f}, {SetKind::ep, f}, FrontKind::address, key, port, comment, out);
  }
  if (port.node_port != 0) {
    auto key = Bytes().proto(port.protocol).port(port.node_port);
    add_front({SetKind::np, f}, {SetKind::ep_np, f}, FrontKind::node_port, key, port, comment, out);
    out.owned.push_back({.set = {SetKind::masq_np, f}, .key = key, .comment = comment});
  }
  for (const auto& b : port.backends) {
    if (!b.local) continue;
    out.shared.push_back({.set = {SetKind::hairpin, f}, .key = Bytes().address(b.address).address(b.address)});
  }
}

}  // namespace

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
  for (const auto& model : models) {
    auto parts = elements_of(model);
    out.elements.insert(out.elements.end(), parts.owned.begin(), parts.owned.end());
    out.elements.insert(out.elements.end(), parts.shared.begin(), parts.shared.end());
    classes.insert(parts.classes.begin(), parts.classes.end());
  }
  std::ranges::sort(out.elements, before);
  auto same = [](const Element& a, const Element& b) { return a.same_place(b); };
  out.elements.erase(std::unique(out.elements.begin(), out.elements.end(), same), out.elements.end());
  for (auto klass : classes)
    if ((klass & 0xffff) != 0) out.chains.push_back(chain_of_class(klass));
  return out;
}

}  // namespace podshim::netproxy
