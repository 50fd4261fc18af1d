#include "netproxy/affinity.h"

#include <algorithm>
#include <string_view>

namespace podshim::netproxy {
namespace {

std::set<Bytes> endpoints(const std::vector<Backend>& list) {
  std::set<Bytes> out;
  for (const auto& b : list) out.insert(Bytes().address(b.address).port(b.port));
  return out;
}

bool has(const std::vector<Backend>& list, const Backend& wanted) {
  return std::ranges::any_of(list,
                             [&](const Backend& b) { return b.address == wanted.address && b.port == wanted.port; });
}

bool shrank(const std::vector<Backend>& old, const std::vector<Backend>& now) {
  if (old == now) return false;
  return std::ranges::any_of(old, [&](const Backend& b) { return !has(now, b); });
}

SetId in_map(SetId front, std::uint32_t seconds) { return {front.kind, front.family, seconds}; }

}  // namespace

bool Sources::outside(const IpAddress& ip) const {
  if (std::ranges::any_of(pods, [&](const Cidr& c) { return c.contains(ip); })) return false;
  return std::ranges::find(node, ip) == node.end();
}

bool forgets(const ServiceModel& applied, const ServiceModel& desired) {
  if (applied.affinity == 0) return false;
  if (applied.affinity != desired.affinity || applied.vips != desired.vips || applied.external != desired.external ||
      applied.internal_local != desired.internal_local || applied.external_local != desired.external_local)
    return true;
  return std::ranges::any_of(applied.ports, [&](const PortModel& old) {
    auto now = std::ranges::find_if(desired.ports, [&](const PortModel& p) { return p.same_port(old); });
    return now == desired.ports.end() || now->node_port != old.node_port || now->withheld != old.withheld ||
           shrank(old.backends, now->backends) || shrank(old.local, now->local);
  });
}

std::size_t AffinityCheck::PlaceHash::operator()(const Place& p) const {
  auto view = p.second.view();
  auto h = std::hash<std::string_view>{}({reinterpret_cast<const char*>(view.data()), view.size()});
  return h ^ p.first.seconds << 16 ^ static_cast<std::size_t>(p.first.kind) << 8 ^
         static_cast<std::size_t>(p.first.family);
}

void AffinityCheck::collect(const ServiceModel& model, std::unordered_map<Place, Lists, PlaceHash>& out) const {
  if (model.affinity == 0) return;
  auto put = [&](const Place& place, const std::vector<Backend>& all, const std::vector<Backend>& outside) {
    out[{in_map(place.first, model.affinity), place.second}] = {endpoints(all), endpoints(outside)};
  };
  for (const auto& port : model.ports) {
    const auto& outside = model.external_local ? port.local : port.backends;
    for (const auto& ip : model.vips)
      if (ip.family() == port.family) put(front_place(port, ip), model.internal(port), model.internal(port));
    for (const auto& ip : model.external)
      if (ip.family() == port.family && !port.withholds(ip)) put(front_place(port, ip), port.backends, outside);
    if (port.node_port != 0) put(node_port_place(port), port.backends, outside);
  }
}

void AffinityCheck::add(const ServiceModel& applied, const ServiceModel& desired) {
  std::unordered_map<Place, Lists, PlaceHash> old, now;
  collect(applied, old);
  collect(desired, now);
  for (auto& [place, lists] : old) {
    maps_.insert({SetKind::aff, place.first.family, place.first.seconds});
    auto it = now.find(place);
    fronts_[place] = it == now.end() ? Lists{} : std::move(it->second);
  }
}

AffinityCheck::Answer AffinityCheck::operator()(const Remembered& entry, const Sources& sources) const {
  auto family = entry.map.family;
  std::size_t length = family == Family::v4 ? 4 : 16, tail = 8;
  if (entry.key.size != 2 * length + tail) return Answer::of_others;
  auto bytes = entry.key.view();
  auto client = IpAddress::from_bytes(family, bytes.first(length));
  auto address = IpAddress::from_bytes(family, bytes.subspan(length, length));
  auto cut = [&](std::size_t from) {
    Bytes out;
    std::ranges::copy(bytes.subspan(from), out.raw.begin());
    out.size = static_cast<std::uint8_t>(bytes.size() - from);
    return out;
  };
  auto it = fronts_.find({{SetKind::svc, family, entry.map.seconds}, cut(length)});
  if (it == fronts_.end() && std::ranges::find(sources.node, address) != sources.node.end())
    it = fronts_.find({{SetKind::np, family, entry.map.seconds}, cut(2 * length)});
  if (it == fronts_.end()) return Answer::of_others;
  const auto& list = sources.outside(client) ? it->second.outside : it->second.all;
  return list.contains(entry.data) ? Answer::keep : Answer::forget;
}

}  // namespace podshim::netproxy
