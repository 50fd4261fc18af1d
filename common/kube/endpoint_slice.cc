#include "common/kube/endpoint_slice.h"

namespace podshim::kube {
namespace {

constexpr const char* kServiceLabel = "kubernetes.io/service-name";

// As the API server: these would make the node talk to itself, or to everybody.
bool can_be_endpoint(const IpAddress& ip) {
  auto b = ip.bytes();
  if (ip.is_unspecified() || ip.is_loopback()) return false;
  if (ip.is_v4()) return !(b[0] == 169 && b[1] == 254) && b[0] < 224;
  return !(b[0] == 0xfe && (b[1] & 0xc0) == 0x80) && b[0] != 0xff;
}

Result<Family> decode_family(const json::Reader& object) {
  auto text = TRY(object.string("addressType"));
  if (text == "IPv4") return Family::v4;
  if (text == "IPv6") return Family::v6;
  return fail(object.error("addressType", "\"" + text + "\" is none of IPv4, IPv6"));
}

Result<> decode_conditions(const json::Reader& r, Endpoint& e, Unknowns& unknowns) {
  auto conditions = TRY(r.opt_object("conditions"));
  if (!conditions) return {};
  e.ready = TRY(conditions->boolean_or("ready", true));  // unknown counts as ready (API documentation)
  e.serving = TRY(conditions->boolean_or("serving", e.ready));
  e.terminating = TRY(conditions->boolean_or("terminating", false));
  note_unknown(*conditions, unknowns);
  return {};
}

Result<Endpoint> decode_endpoint(const json::Reader& r, Family family, Unknowns& unknowns) {
  Endpoint e;
  for (const auto& text : TRY(r.strings("addresses"))) {
    auto name = "addresses[" + std::to_string(e.addresses.size()) + "]";
    auto ip = IpAddress::parse(text);
    if (!ip) return fail(r.error(name, ip.error().detail));
    if (ip->family() != family) return fail(r.error(name, text + " is not of the slice's addressType"));
    if (!can_be_endpoint(*ip)) return fail(r.error(name, text + " cannot be an endpoint"));
    e.addresses.push_back(*ip);
  }
  if (e.addresses.empty()) return fail(r.error("addresses", "is empty"));
  TRY(decode_conditions(r, e, unknowns));
  e.node_name = TRY(r.string_or("nodeName", ""));
  e.hostname = TRY(r.string_or("hostname", ""));
  if (auto target = TRY(r.opt_object("targetRef"))) {
    if (TRY(target->string_or("kind", "")) == "Pod") e.target_name = TRY(target->string_or("name", ""));
  }
  for (const char* name : {"zone", "hints", "deprecatedTopology"}) r.ignore(name);
  note_unknown(r, unknowns);
  return e;
}

json::Value encode_endpoint(const Endpoint& e) {
  auto out = json::Value::object();
  auto addresses = json::Value::array();
  for (const auto& ip : e.addresses) addresses.push(ip.str());
  out.set("addresses", std::move(addresses));
  auto conditions = json::Value::object();
  conditions.set("ready", e.ready).set("serving", e.serving).set("terminating", e.terminating);
  out.set("conditions", std::move(conditions));
  if (!e.hostname.empty()) out.set("hostname", e.hostname);
  if (!e.node_name.empty()) out.set("nodeName", e.node_name);
  if (!e.target_name.empty()) out.set("targetRef", json::Value::object().set("kind", "Pod").set("name", e.target_name));
  return out;
}

}  // namespace

Result<EndpointSlice> decode_endpoint_slice(const json::Reader& object, Unknowns& unknowns) {
  TRY(expect_type(object, "discovery.k8s.io/v1", "EndpointSlice"));
  EndpointSlice s;
  s.meta = TRY(decode_meta(object, unknowns));
  if (auto label = s.meta.labels.find(kServiceLabel); label != s.meta.labels.end()) s.service_name = label->second;
  s.family = TRY(decode_family(object));
  auto endpoints = TRY(object.objects("endpoints"));
  s.endpoints.reserve(endpoints.size());
  for (const auto& endpoint : endpoints) s.endpoints.push_back(TRY(decode_endpoint(endpoint, s.family, unknowns)));
  for (const auto& r : TRY(object.objects("ports"))) {
    EndpointPort port;
    port.name = TRY(r.string_or("name", ""));
    port.protocol = TRY(decode_protocol(r));
    auto number = TRY(r.opt_integer("port", 1, 65535));
    r.ignore("appProtocol");
    note_unknown(r, unknowns);
    if (!number) continue;  // "all ports": written for headless Services without ports, nothing to proxy
    port.port = static_cast<int>(*number);
    s.ports.push_back(std::move(port));
  }
  note_unknown(object, unknowns);
  return s;
}

json::Value encode_endpoint_slice(const EndpointSlice& s) {
  auto meta = s.meta;
  if (!s.service_name.empty()) meta.labels[kServiceLabel] = s.service_name;
  auto out = json::Value::object();
  out.set("apiVersion", "discovery.k8s.io/v1").set("kind", "EndpointSlice").set("metadata", encode_meta(meta));
  out.set("addressType", s.family == Family::v4 ? "IPv4" : "IPv6");
  auto endpoints = json::Value::array();
  for (const auto& e : s.endpoints) endpoints.push(encode_endpoint(e));
  out.set("endpoints", std::move(endpoints));
  auto ports = json::Value::array();
  for (const auto& p : s.ports) {
    ports.push(
        json::Value::object().set("name", p.name).set("protocol", protocol_name(p.protocol)).set("port", p.port));
  }
  out.set("ports", std::move(ports));
  return out;
}

}  // namespace podshim::kube
