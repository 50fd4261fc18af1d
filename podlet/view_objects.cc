#include <algorithm>

#include "podlet/view.h"

namespace podshim::podlet {
namespace {

// The member of an object, made when it is not there.
json::Value& child(json::Value& object, const char* name) {
  if (object.find(name) == nullptr) object.set(name, json::Value::object());
  for (auto& [key, value] : object.as_object())
    if (key == name) return value;
  return object;  // not reached: set() above
}

// allocate() keeps the order of the objects: by namespace, then name.
const kube::Service* find_served(const Node& node, const kube::Service& declared) {
  const auto& all = node.allocation().services;
  auto key = [](const kube::Service& s) { return std::tie(s.meta.name_space, s.meta.name); };
  auto found = std::ranges::lower_bound(all, key(declared), {}, key);
  return found != all.end() && key(*found) == key(declared) ? &*found : nullptr;
}

}  // namespace

json::Value pod_object(const Node& node, const PodEntry& e) {
  json::Value out = e.record.source;
  auto& meta = child(out, "metadata");
  meta.set("namespace", e.record.pod.meta.name_space)
      .set("uid", e.record.uid)
      .set("creationTimestamp", rfc3339(e.record.created));
  if (e.record.deleted) meta.set("deletionTimestamp", rfc3339(*e.record.deleted));
  if (!e.record.owner.empty()) {
    auto slash = e.record.owner.find('/');
    json::Value owner;
    owner.set("kind", e.record.owner.substr(0, slash))
        .set("name", e.record.owner.substr(e.record.owner.rfind('/') + 1))
        .set("controller", true);
    meta.set("ownerReferences", json::Value::array().push(std::move(owner)));
  }
  child(out, "spec").set("nodeName", node.options().facts.node_name);
  const auto& ips = node.options().facts.node_ips;
  auto status = encode_status(e.status, e.record, ips.empty() ? "" : ips.front(), e.ready_since);
  status.set("qosClass", qos_text(pod_qos(e.record.pod.spec)));
  out.set("status", std::move(status));
  return out;
}

json::Value workload_object(const Node& node, const ManifestObject& object) {
  const auto& w = std::get<kube::Workload>(object.value);
  auto s = workload_status(w, node.owned(object.key.text()), node.now());
  json::Value out = object.source;
  child(out, "metadata").set("namespace", object.key.name_space);
  json::Value status;
  status.set("replicas", s.replicas)
      .set("updatedReplicas", s.updated)
      .set("readyReplicas", s.ready)
      .set("availableReplicas", s.available);
  status.set("unavailableReplicas", std::max(0, w.replicas - s.available));
  json::Value available, progressing;
  int minimum = w.replicas - w.max_unavailable.of(w.replicas, false);
  available.set("type", "Available").set("status", s.available >= minimum ? "True" : "False");
  progressing.set("type", "Progressing")
      .set("status", "True")
      .set("reason", s.complete ? "NewReplicaSetAvailable" : "ReplicaSetUpdated");
  status.set("conditions", json::Value::array().push(std::move(available)).push(std::move(progressing)));
  out.set("status", std::move(status));
  return out;
}

json::Value service_object(const Node& node, const ManifestObject& object) {
  return kube::encode_service(as_served(node, std::get<kube::Service>(object.value)));
}

const kube::Service& as_served(const Node& node, const kube::Service& declared) {
  const auto* served = find_served(node, declared);
  return served == nullptr ? declared : *served;
}

bool is_refused(const Node& node, const kube::Service& declared) {
  return find_served(node, declared) == nullptr && node.allocation().refused.contains(declared.meta.key());
}

std::string cluster_ip_text(const Node& node, const kube::Service& declared) {
  if (is_refused(node, declared)) return "<refused>";  // whatever it wished for
  const auto& s = as_served(node, declared);
  if (s.headless) return "None";
  return s.cluster_ips.empty() ? "<none>" : s.cluster_ips.front().str();
}

const char* service_type_text(const kube::Service& s) {
  static constexpr const char* kNames[] = {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"};
  return kNames[static_cast<int>(s.type)];
}

std::string joined_addresses(const std::vector<IpAddress>& list) {
  std::string out;
  for (const auto& ip : list) out += (out.empty() ? "" : ",") + ip.str();
  return out;
}

std::vector<kube::EndpointSlice> slices_of(const Node& node, const std::string& name_space,
                                           const std::string& service) {
  std::vector<kube::EndpointSlice> out;
  for (const auto& s : node.slices())
    if (s.meta.name_space == name_space && s.service_name == service) out.push_back(s);
  return out;
}

// core/v1 Endpoints, made from the slices: terminating endpoints are in neither list, as in Kubernetes.
json::Value endpoints_object(const Node& node, const std::string& name_space, const std::string& name) {
  auto subsets = json::Value::array();
  for (const auto& slice : slices_of(node, name_space, name)) {
    auto ready = json::Value::array(), not_ready = json::Value::array(), ports = json::Value::array();
    for (const auto& e : slice.endpoints) {
      json::Value one;
      one.set("ip", e.addresses.front().str());
      if (!e.hostname.empty()) one.set("hostname", e.hostname);
      if (!e.node_name.empty()) one.set("nodeName", e.node_name);
      if (!e.target_name.empty())
        one.set("targetRef",
                json::Value::object().set("kind", "Pod").set("name", e.target_name).set("namespace", name_space));
      if (e.ready) {
        ready.push(std::move(one));
      } else if (!e.terminating) {
        not_ready.push(std::move(one));
      }
    }
    for (const auto& p : slice.ports) {
      json::Value port;
      if (!p.name.empty()) port.set("name", p.name);
      ports.push(port.set("port", p.port).set("protocol", kube::protocol_name(p.protocol)));
    }
    json::Value subset;
    if (!ready.as_array().empty()) subset.set("addresses", std::move(ready));
    if (!not_ready.as_array().empty()) subset.set("notReadyAddresses", std::move(not_ready));
    if (subset.is_null()) continue;
    subsets.push(subset.set("ports", std::move(ports)));
  }
  json::Value out, meta;
  meta.set("name", name).set("namespace", name_space);
  return out.set("apiVersion", "v1")
      .set("kind", "Endpoints")
      .set("metadata", std::move(meta))
      .set("subsets", std::move(subsets));
}

Result<kube::Selector> parse_selector(std::string_view text) {
  kube::Selector out;
  while (!text.empty()) {
    auto comma = text.find(',');
    std::string part(text.substr(0, comma));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    if (part.empty()) continue;
    auto not_equal = part.find("!=");
    auto equal = part.find('=');
    kube::Requirement r;
    if (not_equal != std::string::npos) {
      r = {.key = part.substr(0, not_equal),
           .op = kube::Requirement::Op::not_in,
           .values = {part.substr(not_equal + 2)}};
    } else if (equal != std::string::npos) {
      auto value = equal + (part[equal + 1] == '=' ? 2 : 1);
      r = {.key = part.substr(0, equal), .op = kube::Requirement::Op::in, .values = {part.substr(value)}};
    } else if (part.front() == '!') {
      r = {.key = part.substr(1), .op = kube::Requirement::Op::does_not_exist};
    } else {
      r = {.key = part, .op = kube::Requirement::Op::exists};
    }
    if (!kube::is_qualified_name(r.key))
      return fail(Error::invalid("--selector", "\"" + part + "\" is not key, !key, key=value or key!=value"));
    out.expressions.push_back(std::move(r));
  }
  return out;
}

}  // namespace podshim::podlet
