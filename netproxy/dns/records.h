// records: what DNS says about one Service, taken from its Service and EndpointSlices (Kubernetes DNS specification
// 1.1.0). Names are lower case, without the cluster domain. Values; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/kube/endpoint_slice.h"

namespace podshim::netproxy::dns {

struct Port {
  std::string name;  // never empty: an unnamed port has no SRV record
  kube::Protocol protocol = kube::Protocol::tcp;
  std::uint16_t port = 0;
  bool operator==(const Port&) const = default;
};

// One name under a headless Service. Two slices (families, or a Pod on its way from one to another) are merged.
struct Endpoint {
  std::string name;  // the hostname, else the address with dashes
  std::vector<IpAddress> addresses;
  std::vector<Port> ports;
  bool operator==(const Endpoint&) const = default;
};

struct ServiceRecords {
  std::vector<IpAddress> addresses;  // cluster IPs
  std::vector<Port> ports;           // of a Service with cluster IPs
  bool headless = false;
  std::vector<Endpoint> endpoints;  // of a headless one, sorted by name
  std::string external_name;        // as wire format, lower case; "" = none
  bool operator==(const ServiceRecords&) const = default;

  // A headless Service without an endpoint has no name (specification 2.4.1).
  bool exists() const { return !headless || !endpoints.empty(); }
  const Endpoint* endpoint(std::string_view name) const;
  bool has_protocol(kube::Protocol protocol) const;  // of any named port
  bool has_port(kube::Protocol protocol, std::string_view name) const;
};

ServiceRecords records_of(const kube::Service& service, const std::vector<const kube::EndpointSlice*>& slices);

// 10.42.0.7 -> 10-42-0-7, fd00::7 -> fd00--7; and back.
std::string dashed(const IpAddress& address);
std::optional<IpAddress> undashed(std::string_view label);

// A name in wire format, lower case; nothing when it is none (labels of 1-63, 255 in all).
std::optional<std::string> wire_name(const std::string& text);

}  // namespace podshim::netproxy::dns
