#include "netproxy/explain.h"

#include <algorithm>
#include <charconv>

namespace podshim::netproxy {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

std::string number_of(Protocol p, int port) { return std::to_string(port) + "/" + lower(kube::protocol_name(p)); }

std::string at(const IpAddress& ip, Protocol p, int port) {
  return (ip.is_v4() ? ip.str() : "[" + ip.str() + "]") + ":" + number_of(p, port);
}

std::string plural(std::size_t n, const char* what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); }

// One front of a Service.
struct Front {
  enum class Kind { cluster, external, node_port };
  Kind kind;
  const ServiceModel& service;
  const PortModel& port;
  std::optional<IpAddress> address;  // none: any of this node
  bool external_kind() const { return kind != Kind::cluster; }
};

std::vector<Front> fronts_of(const ServiceModel& model) {
  std::vector<Front> out;
  for (const auto& port : model.ports) {
    for (const auto& ip : model.vips)
      if (ip.family() == port.family) out.push_back({Front::Kind::cluster, model, port, ip});
    for (const auto& ip : model.external)
      if (ip.family() == port.family && !port.withholds(ip)) out.push_back({Front::Kind::external, model, port, ip});
    if (port.node_port != 0) out.push_back({Front::Kind::node_port, model, port, std::nullopt});
  }
  return out;
}

class Writer {
 public:
  explicit Writer(const ExplainFacts& facts) : facts_(facts) {}
  std::string take() { return std::move(out_); }

  void line(const std::string& text) { out_ += text + "\n"; }
  void front(const Front& f);
  void endpoints(const PortModel& port);
  void unused_endpoints(const std::string& key);
  void state(const std::string& key);

 private:
  void from(const char* who, const Front& f, const std::vector<Backend>& list, bool local, const std::string& seen_as);
  std::string served_at(Family f) const {
    std::string out;
    for (const auto& c : facts_.applied.layout().node_port_addresses)
      if (c.address.family() == f) (out += out.empty() ? " at " : ", ") += c.str();
    bool nowhere = out.empty() && !facts_.applied.layout().node_port_addresses.empty();
    return nowhere ? " at no address (--node-ip, node-port-addresses)" : out;
  }
  bool knows_pods(Family f) const {
    return std::ranges::any_of(facts_.applied.layout().local_pods,
                               [&](const Cidr& c) { return c.address.family() == f; });
  }

  const ExplainFacts& facts_;
  std::string out_;
};

void Writer::from(const char* who, const Front& f, const std::vector<Backend>& list, bool local,
                  const std::string& seen_as) {
  std::string text = std::string("  from ") + who + ": ";
  auto all = f.port.backends.size();
  if (!list.empty()) {
    text += "to " + (list.size() == 1 ? list.front().str() : "one of " + plural(list.size(), "endpoint"));
    if (local && list.size() != all) text += " on this node, of " + std::to_string(all);
    line(text + "; " + seen_as);
  } else if (all == 0) {
    line(text + "REFUSED (" + (f.port.protocol == Protocol::tcp ? "TCP reset" : "ICMP port unreachable") +
         "): no endpoint is ready");
  } else {
    line(text + "DROPPED: " + (f.external_kind() ? "externalTrafficPolicy" : "internalTrafficPolicy") +
         " is Local and none of " + plural(all, "endpoint") + " is on node \"" + facts_.node_name + "\"");
  }
}

void Writer::front(const Front& f) {
  static constexpr const char* kKinds[] = {"cluster address", "external address", "node port"};
  auto where = f.address ? at(*f.address, f.port.protocol, f.port.port)
                         : std::string(f.port.family == Family::v4 ? "IPv4" : "IPv6") + " node port " +
                               number_of(f.port.protocol, f.port.node_port);
  if (!f.address) where += served_at(f.port.family);
  line(where + ": " + kKinds[static_cast<int>(f.kind)] + " of Service " + f.service.key +
       (f.port.name.empty() ? "" : ", port \"" + f.port.name + "\""));
  const auto kept = std::string("the endpoint sees the client's own address");
  if (f.kind == Front::Kind::cluster) {
    const auto& list = f.service.internal(f.port);
    if (list.empty() || !knows_pods(f.port.family)) return from("anywhere", f, list, f.service.internal_local, kept);
    from("Pods and this node", f, list, f.service.internal_local, kept);
    from("outside", f, list, f.service.internal_local, "the endpoint sees this node's address");
  } else if (f.service.external_local) {
    from("Pods and this node", f, f.port.backends, false, "all endpoints, whatever the policy");
    from("outside", f, f.port.local, true, kept);
  } else {
    from("Pods", f, f.port.backends, false, kept);
    from("outside and this node", f, f.port.backends, false, "the endpoint sees this node's address");
  }
  if (f.address && std::ranges::find(f.service.fenced, *f.address) != f.service.fenced.end()) {
    std::string ranges;
    for (const auto& r : f.service.ranges)
      if (r.address.family() == f.port.family) ranges += (ranges.empty() ? "" : ", ") + r.str();
    line("  loadBalancerSourceRanges: " + ranges + "; any other source is DROPPED, Pods and this node too");
  }
  if (f.service.affinity != 0)
    line("  sessionAffinity ClientIP: a client keeps its endpoint for " + std::to_string(f.service.affinity) +
         " s after its last new connection");
}

void Writer::endpoints(const PortModel& port) {
  std::string text;
  auto add = [&](const Backend& b) { text += (text.empty() ? "" : ", ") + b.str() + (b.local ? " (this node)" : ""); };
  for (const auto& b : port.backends) add(b);
  for (const auto& b : port.local)
    if (std::ranges::find(port.backends, b) == port.backends.end()) add(b);
  line("  endpoints of " + std::string(port.family == Family::v4 ? "IPv4" : "IPv6") + " port " +
       number_of(port.protocol, port.port) + ": " + (text.empty() ? "none" : text));
}

void Writer::unused_endpoints(const std::string& key) {
  for (const auto* slice : facts_.tracker.slices(key)) {
    for (const auto& e : slice->endpoints) {
      if (e.ready || e.addresses.empty()) continue;
      line("  endpoint " + e.addresses.front().str() + " is not ready" +
           (e.terminating ? e.serving ? " (ending, still serves)" : " (ending)" : ""));
    }
  }
}

void Writer::state(const std::string& key) {
  if (!facts_.status)
    return line(
        "  no running netproxy was found (no status file): the table may say something else, and "
        "where node ports are served is what this command's own options say");
  const auto* services = facts_.status->find("services");
  const auto* entry = services != nullptr ? services->find(key) : nullptr;
  if (entry == nullptr) return line("  the running netproxy has not acknowledged this Service");
  if (const auto* when = entry->find("acknowledged"); when != nullptr && when->is_string())
    line("  acknowledged by the kernel: " + when->as_string());
  for (const char* trouble : {"quarantined", "conflict"})
    if (const auto* why = entry->find(trouble); why != nullptr && why->is_string())
      line(std::string("  ") + trouble + ": " + why->as_string());
}

void all_of(const std::string& key, const ServiceModel& model, Writer& writer) {
  for (const auto& f : fronts_of(model)) writer.front(f);
  for (const auto& port : model.ports) writer.endpoints(port);
  writer.unused_endpoints(key);
  writer.state(key);
}

Explanation of_service(const std::string& key, const ExplainFacts& facts) {
  Writer writer(facts);
  const auto* service = facts.tracker.service(key);
  if (service == nullptr) {
    writer.line("there is no Service " + key);
    if (!facts.tracker.slices(key).empty()) writer.line("  but there are EndpointSlices for it");
    return {.found = false, .text = writer.take()};
  }
  const auto* model = facts.applied.find(key);
  if (model != nullptr) {
    all_of(key, *model, writer);
  } else if (service->headless) {
    writer.line("Service " + key + " is headless: nothing is translated, clients reach the endpoints themselves");
  } else if (service->type == kube::ServiceType::external_name) {
    writer.line("Service " + key + " is the name " + service->external_name + ": nothing is translated");
  } else {
    writer.line("Service " + key + " has no address that is served on this node");
  }
  if (auto it = facts.conflicts.find(key); it != facts.conflicts.end())
    for (const auto& c : it->second) writer.line("  NOT SERVED: " + c.front + " belongs to Service " + c.owner);
  return {.found = true, .text = writer.take()};
}

std::string ports_of(const ServiceModel& model, Family family) {
  std::string out;
  for (const auto& p : model.ports)
    if (p.family == family) out += (out.empty() ? "" : ", ") + number_of(p.protocol, p.port);
  return out.empty() ? "none" : out;
}

// Address fronts come before node ports, as in the table.
Explanation of_address(const Question& q, const ExplainFacts& facts) {
  Writer writer(facts);
  const auto& ip = *q.address;
  bool of_node = ip.is_loopback() || std::ranges::find(facts.node, ip) != facts.node.end();
  bool local = of_node && facts.applied.layout().serves_node_ports_at(ip);
  for (bool by_address : {true, false}) {
    for (const auto& [key, model] : facts.applied.services()) {
      for (const auto& f : fronts_of(model)) {
        bool hit = by_address ? f.address == ip && f.port.port == q.port
                              : !f.address && local && f.port.family == ip.family() && f.port.node_port == q.port;
        if (!hit || f.port.protocol != q.protocol) continue;
        writer.front(f);
        writer.endpoints(f.port);
        writer.unused_endpoints(key);
        writer.state(key);
        return {.found = true, .text = writer.take()};
      }
    }
  }
  auto what = at(ip, q.protocol, q.port);
  for (const auto& [key, model] : facts.applied.services()) {
    if (std::ranges::find(model.vips, ip) == model.vips.end()) continue;
    writer.line(what + ": REFUSED: " + ip.str() + " is an address of Service " + key +
                ", which does not have this port; it has " + ports_of(model, ip.family()));
    return {.found = true, .text = writer.take()};
  }
  const char* why = !of_node ? ""
                    : local  ? " (an address of this node, and no node port)"
                             : " (an address of this node, where node ports are not served)";
  writer.line(what + ": no Service has it; packets are left alone" + why);
  return {.found = false, .text = writer.take()};
}

Result<int> port_number(std::string_view text) {
  int port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port < 1 || port > 65535)
    return fail(Error::invalid("explain", "\"" + std::string(text) + "\" is not a port (1-65535)"));
  return port;
}

}  // namespace

Result<Question> parse_question(const std::string& text) {
  Question q;
  auto colon = text.rfind(':');
  if (colon == std::string::npos) {
    if (text.empty() || IpAddress::parse(text))
      return fail(Error::invalid("explain", "\"" + text + "\" is neither ADDRESS:PORT nor a Service"));
    q.service = text.find('/') == std::string::npos ? "default/" + text : text;
    return q;
  }
  auto host = text.substr(0, colon), rest = text.substr(colon + 1);
  if (auto slash = rest.find('/'); slash != std::string::npos) {
    auto protocol = rest.substr(slash + 1);
    if (protocol != "tcp" && protocol != "udp")
      return fail(Error::invalid("explain", "\"" + protocol + "\" is none of tcp, udp"));
    if (protocol == "udp") q.protocol = Protocol::udp;
    rest.resize(slash);
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  q.address = TRY_IN(IpAddress::parse(host), "read " + text);
  q.port = TRY(port_number(rest));
  return q;
}

Explanation explain(const Question& question, const ExplainFacts& facts) {
  return question.address ? of_address(question, facts) : of_service(question.service, facts);
}

}  // namespace podshim::netproxy
