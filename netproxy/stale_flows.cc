#include "netproxy/stale_flows.h"

#include <algorithm>

namespace podshim::netproxy {
namespace {

bool allows(const std::vector<Backend>& backends, const IpAddress& address, int port) {
  return std::ranges::any_of(backends, [&](const Backend& b) { return b.address == address && b.port == port; });
}

bool same_front(const UdpFront& a, const UdpFront& b) {
  return a.vip == b.vip && a.family == b.family && a.port == b.port;
}

}  // namespace

std::vector<UdpFront> all_fronts(const ServiceModel& model) {
  std::vector<UdpFront> out;
  for (const auto& port : model.ports) {
    if (port.protocol != Protocol::udp) continue;
    for (const auto& vip : model.vips)
      if (vip.family() == port.family)
        out.push_back({.vip = vip, .family = port.family, .port = port.port, .allowed = model.internal(port)});
    std::optional<std::vector<Backend>> outside;
    if (model.external_local) outside = port.local;
    for (const auto& ip : model.external)
      if (ip.family() == port.family && !port.withholds(ip))
        out.push_back(
            {.vip = ip, .family = port.family, .port = port.port, .allowed = port.backends, .outside = outside});
    if (port.node_port != 0)
      out.push_back({.family = port.family, .port = port.node_port, .allowed = port.backends, .outside = outside});
  }
  return out;
}

std::vector<UdpFront> changed_fronts(const ServiceModel& applied, const ServiceModel& desired, bool* came) {
  auto old = all_fronts(applied);
  std::vector<UdpFront> out;
  for (auto& front : all_fronts(desired)) {
    auto before = std::ranges::find_if(old, [&](const UdpFront& o) { return same_front(o, front); });
    bool is_new = before == old.end();
    // From none to some is a front that comes: what was sent meanwhile was refused, but a flow may be older than that.
    if (is_new) *came = true;
    auto lacks = [](const std::vector<Backend>& now) {
      return [&now](const Backend& b) { return !allows(now, b.address, b.port); };
    };
    auto from_outside = [](const UdpFront& f) { return f.outside.value_or(f.allowed); };
    bool shrank = !is_new && (std::ranges::any_of(before->allowed, lacks(front.allowed)) ||
                              std::ranges::any_of(from_outside(*before), lacks(from_outside(front))));
    if (is_new || shrank) out.push_back(front);
    if (!is_new) old.erase(before);
  }
  for (auto& front : old) {
    front.allowed.clear();
    front.outside.reset();
    front.removed = true;
    out.push_back(std::move(front));
  }
  return out;
}

StaleFlows::StaleFlows(const std::vector<UdpFront>& fronts, Sources sources, std::optional<Cidr> services,
                       LayoutFacts layout)
    : sources_(std::move(sources)), services_(services), layout_(std::move(layout)) {
  // A front that moved to another Service is both removed and there: there wins.
  auto put = [](auto& map, const auto& key, const UdpFront& front) {
    auto [it, is_new] = map.try_emplace(key, &front);
    if (!is_new && it->second->removed) it->second = &front;
  };
  for (const auto& front : fronts) {
    if (front.vip) {
      put(by_vip_, std::pair(*front.vip, front.port), front);
    } else {
      put(by_node_port_, std::pair(front.family, front.port), front);
    }
  }
}

bool StaleFlows::operator()(const netlink::Flow& flow) const {
  const auto& to = flow.original.destination;
  int port = flow.original.destination_port;
  bool translated = flow.reply.source != to || flow.reply.source_port != port;
  auto served_by = [&](const std::vector<Backend>& backends) {
    return allows(backends, flow.reply.source, flow.reply.source_port);
  };
  const UdpFront* front = nullptr;
  if (auto it = by_vip_.find({to, port}); it != by_vip_.end()) front = it->second;
  if (front == nullptr && std::ranges::find(sources_.node, to) != sources_.node.end()) {
    auto it = by_node_port_.find({to.family(), port});
    if (it != by_node_port_.end()) front = it->second;
    if (front != nullptr && !layout_.serves_node_ports_at(to))
      return translated && (served_by(front->allowed) || (front->outside && served_by(*front->outside)));
  }
  if (front == nullptr) return translated && services_ && services_->contains(to);
  if (front->removed && !translated) return false;
  bool narrow = front->outside && sources_.outside(flow.original.source);
  return !served_by(narrow ? *front->outside : front->allowed);
}

}  // namespace podshim::netproxy
