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

}  // namespace podshim::test
