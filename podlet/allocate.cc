#include "podlet/allocate.h"

#include <algorithm>
#include <set>

#include "common/kube/service_check.h"

namespace podshim::podlet {
namespace {

std::uint64_t hash(std::string_view text) {
  std::uint64_t h = 0xcbf29ce484222325;
  for (unsigned char c : text) h = (h ^ c) * 0x100000001b3;
  return h ^ (h >> 32);
}

std::string port_key(const kube::ServicePort& p) { return p.name + "/" + std::string(kube::protocol_name(p.protocol)); }
bool balanced(const kube::Service& s) { return s.type == kube::ServiceType::load_balancer; }
bool wants_node_ports(const kube::Service& s) {
  return s.type == kube::ServiceType::node_port || (balanced(s) && s.allocate_node_ports);
}
bool wants_ip(const kube::Service& s) { return !s.headless && s.type != kube::ServiceType::external_name; }

bool wants_health_port(const kube::Service& s) {
  return balanced(s) && s.external_policy == kube::TrafficPolicy::local;
}
// Among the node ports of a Service; no port can be named so.
constexpr const char* kHealthKey = "healthCheck/TCP";

using NodePort = std::pair<kube::Protocol, int>;

// What a held "http/TCP" -> 30080 occupies.
NodePort occupied(const std::string& key, int port) {
  for (auto p : {kube::Protocol::udp, kube::Protocol::sctp})
    if (key.ends_with("/" + std::string(kube::protocol_name(p)))) return {p, port};
  return {kube::Protocol::tcp, port};
}

class Allocator {
 public:
  Allocator(const Ranges& ranges, const Allocations& before, const std::vector<kube::Service>& accepted)
      : cidr_(ranges.service_cidr), ranges_(ranges), ports_(ranges.node_ports), before_(before) {
    for (const auto& s : accepted) accepted_[s.meta.key()] = &s;
  }

  AllocationResult run(const std::vector<kube::Service>& wanted) {
    std::vector<const kube::Service*> order;
    for (const auto& s : wanted) order.push_back(&s);
    // Who holds an address keeps it; then explicit wishes; then those who take what is left. Names decide the rest.
    std::ranges::sort(order, [&](const auto* a, const auto* b) {
      auto ra = rank(*a), rb = rank(*b);
      return ra != rb ? ra < rb : a->meta.key() < b->meta.key();
    });
    for (const auto& s : wanted) keep(s);
    // Those who are refused ask again when others have had their turn: these may have given something back.
    auto refused = order;
    for (std::size_t before = refused.size() + 1; !refused.empty() && refused.size() < before;) {
      before = refused.size();
      std::vector<const kube::Service*> still;
      for (const auto* s : refused) {
        auto why = settle(*s);
        if (!why.empty()) still.push_back(s);
        out_.refused[s->meta.key()] = std::move(why);
      }
      refused = std::move(still);
    }
    std::erase_if(out_.refused, [](const auto& r) { return r.second.empty(); });
    for (const auto* s : refused) fall_back(*s);
    give_health_ports(order);
    give_balancers(order);
    for (const auto& s : wanted)
      if (auto found = done_.find(s.meta.key()); found != done_.end()) out_.services.push_back(found->second);
    return std::move(out_);
  }

 private:
  template <typename Key>
  struct Owners {
    std::map<Key, std::string> given, kept;  // -> the Service; kept until it is done
  };

  // Who else has it; nullptr = nobody.
  template <typename Key>
  const std::string* other(const Owners<Key>& owners, const Key& what, const kube::Service& me) const {
    if (auto found = owners.given.find(what); found != owners.given.end()) return &found->second;
    auto found = owners.kept.find(what);
    bool free = found == owners.kept.end() || found->second == me.meta.key() || done_.contains(found->second);
    return free ? nullptr : &found->second;
  }

  const Allocation* held(const kube::Service& s) const {
    auto found = before_.find(s.meta.key());
    return found == before_.end() ? nullptr : &found->second;
  }

  // Held by a Service that is still there: nobody else's before its turn, nor after it when it is refused.
  void keep(const kube::Service& s) {
    const auto* h = held(s);
    if (h == nullptr) return;
    for (const auto& text : h->cluster_ips)
      if (auto ip = IpAddress::parse(text)) ips_.kept.emplace(*ip, s.meta.key());
    for (const auto& [key, port] : h->node_ports) node_ports_.kept.emplace(occupied(key, port), s.meta.key());
  }

  std::string settle(kube::Service s) {
    Allocation mine;
    auto why = give(s, mine);
    if (!why.empty()) return why;
    out_.allocations[s.meta.key()] = std::move(mine);
    auto key = s.meta.key();
    done_[key] = std::move(s);
    return "";
  }

  // A refused change of a Service that was accepted changes nothing of it.
  void fall_back(const kube::Service& s) {
    auto key = s.meta.key();
    const auto* h = held(s);
    if (h == nullptr) return;
    auto last = accepted_.find(key);
    if (last != accepted_.end() && settle(*last->second).empty()) {
      out_.refused[key] += "; what was accepted before is still served";
    } else {
      out_.allocations[key] = *h;
    }
  }

  int rank(const kube::Service& s) const {
    if (held(s) != nullptr) return 0;
    bool wishes = !s.cluster_ips.empty() || s.load_balancer_ip || s.health_check_node_port != 0 ||
                  std::ranges::any_of(s.ports, [](const auto& p) { return p.node_port != 0; });
    return wishes ? 1 : 2;
  }

  static bool in_range(const Cidr& cidr, const IpAddress& ip) {
    if (!cidr.contains(ip)) return false;
    return ip.bits() - cidr.prefix < 2 || (ip != cidr.network() && ip != cidr.last());  // two or one: all are used
  }
  bool reserved(const IpAddress& ip) const { return ip == ranges_.cluster_dns || ip == cidr_.network().plus(1); }

  // "None", an address, "" = none is named.
  static std::string primary(const kube::Service& s) {
    if (s.headless) return "None";
    return s.cluster_ips.empty() ? "" : s.cluster_ips.front().str();
  }

  // The first cluster address of a living Service stays, `None` too, also where a change no longer names it. Only from
  // and to ExternalName it may change, or when the range itself has moved.
  std::string keep_primary(kube::Service& s) const {
    if (s.type == kube::ServiceType::external_name) return "";
    std::string was;
    if (auto old = accepted_.find(s.meta.key()); old != accepted_.end()) {
      if (old->second->type != kube::ServiceType::external_name) was = primary(*old->second);
    } else if (const auto* h = held(s); h != nullptr && !h->cluster_ips.empty()) {
      was = h->cluster_ips.front();
    }
    auto address = IpAddress::parse(was);
    if (was.empty() || (address && !in_range(cidr_, *address))) return "";
    auto wish = primary(s);
    if (wish.empty() && was == "None") {
      if (s.type != kube::ServiceType::cluster_ip)
        return "spec.clusterIPs[0]: Invalid value: [\"None\"]: may not be set to 'None' for " +
               std::string(kube::service_type_text(s.type)) + " services";
      s.headless = true;
    }
    if (wish.empty() || wish == was) return "";
    return "spec.clusterIPs[0]: Invalid value: [\"" + wish + "\"]: may not change once set";
  }

  // "" = given. Nothing is claimed when a part cannot be given.
  std::string give(kube::Service& s, Allocation& mine) {
    std::set<IpAddress> ips;
    std::set<NodePort> node_ports;
    if (auto why = keep_primary(s); !why.empty()) return why;
    if (wants_ip(s)) {
      if (auto why = give_ip(s, ips); !why.empty()) return why;
    }
    int health = held_health_port(s);
    if (s.health_check_node_port == 0) s.health_check_node_port = health;  // no port of its own takes it
    if (auto why = give_ports(s, node_ports); !why.empty()) return why;
    if (auto why = claim_health_port(s, health, node_ports); !why.empty()) return why;
    for (const auto& ip : s.cluster_ips) mine.cluster_ips.push_back(ip.str());
    for (const auto& p : s.ports)
      if (p.node_port != 0) mine.node_ports[port_key(p)] = p.node_port;
    if (s.health_check_node_port != 0) mine.node_ports[kHealthKey] = s.health_check_node_port;
    for (const auto& ip : ips) ips_.given[ip] = s.meta.key();
    for (const auto& p : node_ports) node_ports_.given[p] = s.meta.key();
    return "";
  }

  std::string give_ip(kube::Service& s, std::set<IpAddress>& claimed) {
    for (const auto& ip : s.cluster_ips) {
      auto invalid = "spec.clusterIP: Invalid value: \"" + ip.str() + "\": ";
      if (!in_range(cidr_, ip))
        return invalid + "provided IP is not in the valid range. The range of valid IPs is " + cidr_.str();
      if (const auto* owner = other(ips_, ip, s))
        return invalid + "provided IP is already allocated (to Service " + *owner + ")";
      claimed.insert(ip);
    }
    if (!s.cluster_ips.empty()) return "";
    if (const auto* h = held(s); h != nullptr && !h->cluster_ips.empty()) {
      auto ip = IpAddress::parse(h->cluster_ips.front());
      if (ip && in_range(cidr_, *ip) && other(ips_, *ip, s) == nullptr) {
        s.cluster_ips = {*ip};
        claimed.insert(*ip);
        return "";
      }
    }
    auto ip =
        first_free(cidr_, s.meta.key(), [&](const auto& i) { return !reserved(i) && other(ips_, i, s) == nullptr; });
    if (!ip) return "spec.clusterIP: no free address is left in " + cidr_.str();
    s.cluster_ips = {*ip};
    claimed.insert(*ip);
    return "";
  }

  // From where the name's hash says, once around.
  template <typename Free>
  static std::optional<IpAddress> first_free(const Cidr& cidr, const std::string& key, const Free& free) {
    int host_bits = std::min(cidr.address.bits() - cidr.prefix, 20);  // of a wider range the first million serve
    std::uint64_t size = 1ULL << host_bits;
    std::uint64_t start = hash(key) % size;
    for (std::uint64_t i = 0; i < size; i++) {
      auto ip = cidr.network().plus((start + i) % size);
      if (in_range(cidr, ip) && free(ip)) return ip;
    }
    return std::nullopt;
  }

  // What is asked for, then what is held, then what is left: no port of a Service takes that of another.
  std::string give_ports(kube::Service& s, std::set<NodePort>& claimed) {
    auto in = [&](int port) { return port >= ports_.first && port <= ports_.last; };
    auto field = [](std::size_t i) { return "spec.ports[" + std::to_string(i) + "].nodePort: "; };
    for (std::size_t i = 0; i < s.ports.size(); i++) {
      NodePort wish{s.ports[i].protocol, s.ports[i].node_port};
      if (wish.second == 0) continue;
      auto invalid = field(i) + "Invalid value: " + std::to_string(wish.second) + ": ";
      if (!in(wish.second))
        return invalid + "provided port is not in the valid range. The range of valid ports is " +
               std::to_string(ports_.first) + "-" + std::to_string(ports_.last);
      if (const auto* owner = other(node_ports_, wish, s))
        return invalid + "provided port is already allocated (to Service " + *owner + ")";
      claimed.insert(wish);
    }
    if (!wants_node_ports(s)) return "";
    auto take = [&](kube::ServicePort& p, int port) {
      NodePort one{p.protocol, port};
      if (one == NodePort{kube::Protocol::tcp, s.health_check_node_port}) return;
      if (other(node_ports_, one, s) == nullptr && claimed.insert(one).second) p.node_port = port;
    };
    if (const auto* h = held(s))
      for (auto& p : s.ports)
        if (auto found = h->node_ports.find(port_key(p)); p.node_port == 0 && found != h->node_ports.end())
          if (in(found->second)) take(p, found->second);
    for (std::size_t i = 0; i < s.ports.size(); i++) {
      auto& p = s.ports[i];
      int size = ports_.last - ports_.first + 1;
      auto start = static_cast<int>(hash(s.meta.key() + "/" + port_key(p)) % static_cast<std::uint64_t>(size));
      for (int n = 0; n < size && p.node_port == 0; n++) take(p, ports_.first + (start + n) % size);
      if (p.node_port == 0) return field(i) + "no node port is left";
    }
    return "";
  }

  // Where netproxy tells a load balancer whether an endpoint is here. It stays as long as the Service has one.
  int held_health_port(const kube::Service& s) const {
    const auto* h = held(s);
    if (h == nullptr || !wants_health_port(s) || !h->node_ports.contains(kHealthKey)) return 0;
    int port = h->node_ports.at(kHealthKey);
    return port >= ports_.first && port <= ports_.last ? port : 0;
  }
  // That which is asked for or held.
  std::string claim_health_port(const kube::Service& s, int held_port, std::set<NodePort>& claimed) const {
    int port = s.health_check_node_port;
    if (!wants_health_port(s) || port == 0) return "";
    auto invalid = "spec.healthCheckNodePort: Invalid value: " + std::to_string(port) + ": ";
    if (held_port != 0 && port != held_port) return invalid + "field is immutable";
    if (port < ports_.first || port > ports_.last)
      return invalid + "provided port is not in the valid range. The range of valid ports is " +
             std::to_string(ports_.first) + "-" + std::to_string(ports_.last);
    NodePort one{kube::Protocol::tcp, port};
    const auto* owner = other(node_ports_, one, s);
    if (owner != nullptr || !claimed.insert(one).second)
      return invalid + "provided port is already allocated (to Service " + (owner != nullptr ? *owner : s.meta.key()) +
             ")";
    return "";
  }

  // Of what all others left: a full range takes nobody out of service.
  void give_health_ports(const std::vector<const kube::Service*>& order) {
    int size = ports_.last - ports_.first + 1;
    for (const auto* s : order) {
      auto key = s->meta.key();
      auto found = done_.find(key);
      if (found == done_.end() || !wants_health_port(found->second)) continue;
      auto& port = found->second.health_check_node_port;
      if (port != 0) continue;
      auto start = static_cast<int>(hash(key + "/" + kHealthKey) % static_cast<std::uint64_t>(size));
      for (int n = 0; n < size && port == 0; n++) {
        NodePort next{kube::Protocol::tcp, ports_.first + (start + n) % size};
        if (node_ports_.given.contains(next) || other(node_ports_, next, found->second) != nullptr) continue;
        port = next.second;
        node_ports_.given[next] = key;
        out_.allocations[key].node_ports[kHealthKey] = port;
      }
      if (port == 0) out_.health_pending[key] = "spec.healthCheckNodePort: no node port is left";
    }
  }

  // Last of all, when it is known who is served and as what: nothing is taken from the pool for a Service that is
  // refused.
  void give_balancers(const std::vector<const kube::Service*>& order) {
    for (const auto* s : order) {
      auto found = done_.find(s->meta.key());
      const auto* h = held(*s);
      if (h == nullptr || (found != done_.end() && !balanced(found->second))) continue;
      for (const auto& ip : h->load_balancer_ips) kept_balancers_.emplace(ip, s->meta.key());
    }
    for (const auto* s : order) {
      auto found = done_.find(s->meta.key());
      if (found == done_.end() || !balanced(found->second)) continue;
      auto& service = found->second;
      service.load_balancer_ips.clear();
      if (auto why = give_balancer_ip(service); !why.empty()) out_.pending[s->meta.key()] = why;
      auto& mine = out_.allocations[s->meta.key()];
      for (const auto& ip : service.load_balancer_ips) mine.load_balancer_ips.push_back(ip.str());
    }
  }

  std::string give_balancer_ip(kube::Service& s) {
    const auto& pool = ranges_.load_balancer_pool;
    if (!s.load_balancer_class.empty())
      return "loadBalancerClass " + s.load_balancer_class + " is another implementation's";
    if (!pool) return "podlet.load-balancer-pool is not configured";
    auto take = [&](const IpAddress& ip) {
      auto kept = kept_balancers_.find(ip.str());
      if (kept != kept_balancers_.end() && kept->second != s.meta.key()) return false;
      if (!balancers_.emplace(ip, s.meta.key()).second) return false;
      s.load_balancer_ips = {ip};
      return true;
    };
    if (const auto& wish = s.load_balancer_ip) {
      auto text = "loadBalancerIP " + wish->str();
      if (!in_range(*pool, *wish)) return text + " is not in the load-balancer-pool " + pool->str();
      if (take(*wish)) return "";
      auto owner = balancers_.find(*wish);
      return text + " belongs to Service " +
             (owner == balancers_.end() ? kept_balancers_.at(wish->str()) : owner->second);
    }
    if (const auto* h = held(s); h != nullptr && !h->load_balancer_ips.empty()) {
      auto ip = IpAddress::parse(h->load_balancer_ips.front());
      if (ip && in_range(*pool, *ip) && take(*ip)) return "";
    }
    auto ip = first_free(*pool, s.meta.key(),
                         [&](const auto& i) { return !balancers_.contains(i) && !kept_balancers_.contains(i.str()); });
    return ip && take(*ip) ? "" : "no free address is left in the load-balancer-pool " + pool->str();
  }

  const Cidr& cidr_;
  const Ranges& ranges_;
  PortRange ports_;
  const Allocations& before_;
  std::map<std::string, const kube::Service*> accepted_;
  AllocationResult out_;
  std::map<std::string, kube::Service> done_;  // by key: they have what they shall have
  Owners<IpAddress> ips_;
  Owners<NodePort> node_ports_;
  std::map<IpAddress, std::string> balancers_;
  std::map<std::string, std::string> kept_balancers_;  // address -> the Service that held it
};

}  // namespace

AllocationResult allocate(const std::vector<kube::Service>& wanted, const Allocations& before, const Ranges& ranges,
                          const std::vector<kube::Service>& accepted) {
  return Allocator(ranges, before, accepted).run(wanted);
}

json::Value encode_allocations(const Allocations& allocations) {
  auto out = json::Value::object();
  for (const auto& [key, a] : allocations) {
    auto node_ports = json::Value::object();
    for (const auto& [port, number] : a.node_ports) node_ports.set(port, number);
    auto one = json::Value::object();
    one.set("clusterIPs", json::Value::strings(a.cluster_ips)).set("nodePorts", std::move(node_ports));
    if (!a.load_balancer_ips.empty()) one.set("loadBalancerIPs", json::Value::strings(a.load_balancer_ips));
    out.set(key, std::move(one));
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
    a.load_balancer_ips = TRY(one.strings("loadBalancerIPs"));
    auto ports = TRY(one.object("nodePorts"));
    for (const auto& [name, number] : ports.value().as_object())
      a.node_ports[name] = static_cast<int>(TRY(ports.integer(name, 1, 65535)));
  }
  return out;
}

}  // namespace podshim::podlet
