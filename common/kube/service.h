// Service values (Kubernetes core/v1), what netproxy and podlet need of them, and their decoder.
// Errors name the field and the value in the API server's words; unknown fields are collected, not refused. Pure; any
// thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/ip.h"
#include "common/json.h"
#include "common/kube/object.h"

namespace podshim::kube {

enum class Protocol : std::uint8_t { tcp, udp, sctp };
std::string_view protocol_name(Protocol p);  // "TCP"

// A port given by number or by name (intstr).
struct PortRef {
  int number = 0;
  std::string name;
  bool operator==(const PortRef&) const = default;
};

struct ServicePort {
  std::string name;
  Protocol protocol = Protocol::tcp;
  int port = 0;
  PortRef target_port;  // number = port when absent
  int node_port = 0;
  bool operator==(const ServicePort&) const = default;
};

enum class ServiceType : std::uint8_t { cluster_ip, node_port, load_balancer, external_name };
enum class TrafficPolicy : std::uint8_t { cluster, local };

struct Service {
  ObjectMeta meta;
  ServiceType type = ServiceType::cluster_ip;
  std::vector<IpAddress> cluster_ips;  // empty = not allocated yet, or headless
  bool headless = false;               // clusterIP: None
  std::map<std::string, std::string> selector;
  std::vector<ServicePort> ports;
  std::vector<IpAddress> external_ips, load_balancer_ips;  // the second from status
  std::vector<Cidr> source_ranges;
  std::optional<IpAddress> load_balancer_ip;  // spec.loadBalancerIP: which one is wished for
  std::string load_balancer_class;            // set: another implementation gives the address
  bool allocate_node_ports = true;            // spec.allocateLoadBalancerNodePorts
  TrafficPolicy external_policy = TrafficPolicy::cluster, internal_policy = TrafficPolicy::cluster;
  std::optional<int> affinity_seconds;  // sessionAffinity: ClientIP
  int health_check_node_port = 0;
  std::string external_name;
  bool publish_not_ready = false;
  bool operator==(const Service&) const = default;
};

// `protocol` of a port; absent is TCP.
Result<Protocol> decode_protocol(const json::Reader& port);
// A number 1..65535 or a port name.
Result<PortRef> decode_port_ref(const json::Reader& reader, std::string_view name, PortRef fallback);
json::Value encode_port_ref(const PortRef& port);

Result<Service> decode_service(const json::Reader& object, Unknowns& unknowns);
json::Value encode_service(const Service& service);

}  // namespace podshim::kube
