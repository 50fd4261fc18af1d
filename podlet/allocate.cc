#include "podlet/allocate.h"

#include <algorithm>
#include <set>

namespace podshim::podlet {
namespace {

std::uint64_t hash(std::string_view text) {
  std::uint64_t h = 0xcbf29ce484222325;
  for (unsigned char c : text) h = (h ^ c) * 0x100000001b3;
  return h ^ (h >> 32);
}

std::string port_key(const kube::ServicePort& p) { return p.name + "/" + std::string(kube::protocol_name(p.protocol)); }
bool wants_node_ports(const kube::Service& s) {
  return s.type == kube::ServiceType::node_port || s.type == kube::ServiceType::load_balancer;
}
bool wants_ip(const kube::Service& s) { return !s.headless && s.type != kube::ServiceType::external_name; }

class Allocator {
 public:
  Allocator(const Cidr& cidr, const IpAddress& dns, PortRange ports, const Allocations& before)
      : cidr_(cidr), dns_(dns), ports_(ports), before_(before) {}

  AllocationResult run(const std::vector<kube::Service>& wanted) {
    std::vector<const kube::Service*> order;
    for (const auto& s : wanted) order.push_back(&s);
    // Who holds an address keeps it; then explicit wishes; then those who take what is left. Names decide the rest.
    std::ranges::sort(order, [&](const auto* a, const auto* b) {
      auto ra = rank(*a), rb = rank(*b);
      return ra != rb ? ra < rb : a->meta.key() < b->meta.key();
    });
    std::map<std::string, kube::Service> done;
    for (const auto* s : order) {
      auto service = *s;
      Allocation mine;
      auto why = give(service, mine);
      if (!why.empty()) {
        out_.refused[s->meta.key()] = why;
        continue;
      }
      out_.allocations[s->meta.key()] = std::move(mine);
      done[s->meta.key()] = std::move(service);
    }
    for (const auto& s : wanted)
      if (auto found = done.find(s.meta.key()); found != done.end()) out_.services.push_back(found->second);
    return std::move(out_);
  }

 private:
  const Allocation* held(const kube::Service& s) const {
    auto found = before_.find(s.meta.key());
    return found == before_.end() ? nullptr : &found->second;
  }

  int rank(const kube::Service& s) const {
    if (held(s) != nullptr) return 0;
    bool wishes =
        !s.cluster_ips.empty() || std::ranges::any_of(s.ports, [](const auto& p) { return p.node_port != 0; });
    return wishes ? 1 : 2;
  }

  bool in_range(const IpAddress& ip) const {
    return cidr_.contains(ip) && ip != cidr_.network() && (ip != cidr_.last() || ip.bits() - cidr_.prefix < 2);
  }
  bool reserved(const IpAddress& ip) const { return ip == dns_ || ip == cidr_.network().plus(1); }

  // "" = given. Nothing is claimed when a part cannot be given.
  std::string give(kube::Service& s, Allocation& mine) {
    std::set<IpAddress> ips;
    std::set<std::pair<kube::Protocol, int>> node_ports;
    if (wants_ip(s)) {
      if (auto why = give_ip(s, ips); !why.empty()) return why;
    }
    if (wants_node_ports(s)) {
      for (auto& p : s.ports)
        if (auto why = give_port(s, p, node_ports); !why.empty()) return why;
    }
    for (const auto& ip : s.cluster_ips) mine.cluster_ips.push_back(ip.str());
    for (const auto& p : s.ports)
      if (p.node_port != 0) mine.node_ports[port_key(p)] = p.node_port;
    for (const auto& ip : ips) ips_[ip] = s.meta.key();
    for (const auto& p : node_ports) node_ports_[p] = s.meta.key();
    return "";
  }

  std::string give_ip(kube::Service& s, std::set<IpAddress>& claimed) {
    for (const auto& ip : s.cluster_ips) {
      if (!in_range(ip)) return "clusterIP " + ip.str() + " is not in the service-cidr " + cidr_.str();
      if (auto owner = ips_.find(ip); owner != ips_.end())
        return "clusterIP " + ip.str() + " belongs to Service " + owner->second;
      claimed.insert(ip);
    }
    if (!s.cluster_ips.empty()) return "";
    if (const auto* h = held(s); h != nullptr && !h->cluster_ips.empty()) {
      auto ip = IpAddress::parse(h->cluster_ips.front());
      if (ip && in_range(*ip) && !ips_.contains(*ip)) {
        s.cluster_ips = {*ip};
        claimed.insert(*ip);
        return "";
      }
    }
    auto ip = free_ip(s.meta.key());
    if (!ip) return "no free address is left in " + cidr_.str();
    s.cluster_ips = {*ip};
    claimed.insert(*ip);
    return "";
  }

  std::optional<IpAddress> free_ip(const std::string& key) const {
    int host_bits = std::min(cidr_.address.bits() - cidr_.prefix, 20);  // of a wider range the first million serve
    std::uint64_t size = 1ULL << host_bits;
    std::uint64_t start = hash(key) % size;
    for (std::uint64_t i = 0; i < size; i++) {
      auto ip = cidr_.network().plus((start + i) % size);
      if (in_range(ip) && !reserved(ip) && !ips_.contains(ip)) return ip;
    }
    return std::nullopt;
  }

  std::string give_port(const kube::Service& s, kube::ServicePort& p,
                        std::set<std::pair<kube::Protocol, int>>& claimed) {
    auto taken = [&](int port) {
      return node_ports_.contains({p.protocol, port}) || claimed.contains({p.protocol, port});
    };
    auto text = std::string(kube::protocol_name(p.protocol)) + " " + std::to_string(p.node_port);
    if (p.node_port != 0) {
      if (p.node_port < ports_.first || p.node_port > ports_.last)
        return "nodePort " + text + " is not in the range " + std::to_string(ports_.first) + "-" +
               std::to_string(ports_.last);
      if (auto owner = node_ports_.find({p.protocol, p.node_port}); owner != node_ports_.end())
        return "nodePort " + text + " belongs to Service " + owner->second;
    } else {
      const auto* h = held(s);
      if (h != nullptr) {
        auto found = h->node_ports.find(port_key(p));
        if (found != h->node_ports.end() && found->second >= ports_.first && found->second <= ports_.last &&
            !taken(found->second))
          p.node_port = found->second;
      }
      int size = ports_.last - ports_.first + 1;
      auto start = static_cast<int>(hash(s.meta.key() + "/" + port_key(p)) % static_cast<std::uint64_t>(size));
      for (int i = 0; i < size && p.node_port == 0; i++) {
        int port = ports_.first + (start + i) % size;
        if (!taken(port)) p.node_port = port;
      }
      if (p.node_port == 0) return "no nodePort is left";
    }
    claimed.emplace(p.protocol, p.node_port);
    return "";
  }

  const Cidr& cidr_;
  const IpAddress& dns_;
  PortRange ports_;
  const Allocations& before_;
  AllocationResult out_;
  std::map<IpAddress, std::string> ips_;
  std::map<std::pair<kube::Protocol, int>, std::string> node_ports_;
};

}  // namespace

AllocationResult allocate(const std::vector<kube::Service>& wanted, const Allocations& before, const Cidr& cidr,
                          const IpAddress& cluster_dns, PortRange ports) {
  return Allocator(cidr, cluster_dns, ports, before).run(wanted);
}

json::Value encode_allocations(const Allocations& allocations) {
  auto out = json::Value::object();
  for (const auto& [key, a] : allocations) {
    auto node_ports = json::Value::object();
    for (const auto& [port, number] : a.node_ports) node_ports.set(port, number);
    out.set(key, json::Value::object()
                     .set("clusterIPs", json::Value::strings(a.cluster_ips))
                     .set("nodePorts", std::move(node_ports)));
  }
  return out;
}

Result<Allocations> decode_allocations(const json::Value& value, const std::string& file) {
  Allocations out;
  auto r = TRY(json::Reader::of(value, "", file));
  for (const auto& [key, entry] : value.as_object()) {
    auto one = TRY(r.object(key));
    auto& a = out[key];
    a.cluster_ips = TRY(one.strings("clusterIPs"));
    auto ports = TRY(one.object("nodePorts"));
    for (const auto& [name, number] : ports.value().as_object())
      a.node_ports[name] = static_cast<int>(TRY(ports.integer(name, 1, 65535)));
  }
  return out;
}

}  // namespace podshim::podlet
