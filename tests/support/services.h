// Builders with defaults for Services, slices and models in tests. Addresses: tests/addresses.md.
#pragma once

#include <string>
#include <vector>

#include "netproxy/diff.h"

namespace podshim::test {

inline IpAddress ip(const std::string& text) { return *IpAddress::parse(text); }

inline netproxy::Backend backend(const std::string& address, int port = 8080, bool local = true) {
  return {.address = ip(address), .port = port, .local = local};
}

struct ModelOf {
  std::string key = "default/web";
  std::string vip = "10.43.0.1";
  std::string name = "http";
  kube::Protocol protocol = kube::Protocol::tcp;
  int port = 80;
  int node_port = 0;
  std::vector<netproxy::Backend> backends = {};

  netproxy::ServiceModel model() const {
    netproxy::ServiceModel out{.key = key};
    if (!vip.empty()) out.vips.push_back(ip(vip));
    out.ports.push_back({.family = Family::v4,
                         .name = name,
                         .protocol = protocol,
                         .port = port,
                         .node_port = node_port,
                         .backends = backends});
    return out;
  }
};

inline netproxy::LayoutFacts layout() {
  return {.families = {Family::v4}, .local_pods = {*Cidr::parse("10.42.0.0/16")}};
}

// The world of the golden file and of the packet table: web (two endpoints, node port), dns (UDP, three), none (no
// endpoint, node port).
inline std::vector<netproxy::ServiceModel> small_world() {
  return {
      ModelOf{.node_port = 30080, .backends = {backend("10.42.0.2"), backend("10.42.0.3")}}.model(),
      ModelOf{.key = "kube-system/dns",
              .vip = "10.43.0.10",
              .name = "dns",
              .protocol = kube::Protocol::udp,
              .port = 53,
              .node_port = 30053,
              .backends = {backend("10.42.0.4", 53), backend("10.42.0.5", 53), backend("10.42.9.6", 53, false)}}
          .model(),
      ModelOf{.key = "default/none", .vip = "10.43.0.2", .name = "", .node_port = 30081}.model(),
  };
}

inline netproxy::LayoutFacts wide_layout() {
  return {.families = {Family::v4, Family::v6},
          .local_pods = {*Cidr::parse("10.42.0.0/16"), *Cidr::parse("2001:db8:42::/48")}};
}

// What the small world has not: external addresses, the Local policies, source ranges, affinity, two families.
// Endpoints 10.42.9.x are another node's.
inline std::vector<netproxy::ServiceModel> wide_world() {
  auto near = backend("10.42.0.7"), far = backend("10.42.9.8", 8080, false), near6 = backend("2001:db8:42::7");
  // Local policy outside, behind ranges, in two families.
  auto front = ModelOf{.key = "shop/front", .vip = "10.43.0.20", .node_port = 30090, .backends = {near, far}}.model();
  front.vips.push_back(ip("2001:db8:43::20"));
  front.external = {ip("203.0.113.10"), ip("2001:db8:f::10")};
  front.fenced = front.external;
  front.ranges = {*Cidr::parse("192.0.2.0/24"), *Cidr::parse("10.42.0.0/16"), *Cidr::parse("198.51.100.7/32"),
                  *Cidr::parse("2001:db8::/64")};
  front.external_local = true;
  front.ports.front().local = {near};
  front.ports.push_back({.family = Family::v6, .name = "http", .port = 80, .backends = {near6}, .local = {near6}});
  // Cluster policy, with affinity.
  auto cart = ModelOf{.key = "shop/cart", .vip = "10.43.0.21", .node_port = 30091, .backends = {near, far}}.model();
  cart.external = {ip("203.0.113.11")};
  cart.affinity = 10800;
  // Local policy outside, and nothing local: from outside dropped. With affinity.
  auto away = ModelOf{.key = "shop/away", .vip = "10.43.0.22", .node_port = 30092, .backends = {far}}.model();
  away.external = {ip("203.0.113.12")};
  away.external_local = true;
  away.affinity = 60;
  // Local policy inside, and nothing local: dropped; its external address is served.
  auto inner = ModelOf{.key = "shop/inner", .vip = "10.43.0.23", .backends = {far}}.model();
  inner.external = {ip("203.0.113.13")};
  inner.internal_local = true;
  // No endpoint at all, under the Local policy: refused as under any other.
  auto none = ModelOf{.key = "shop/none", .vip = "10.43.0.24"}.model();
  none.external = {ip("203.0.113.14")};
  none.external_local = true;
  return {front, cart, away, inner, none};
}

}  // namespace podshim::test
