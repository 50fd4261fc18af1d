// EndpointSlice values (discovery.k8s.io/v1) and their decoder. An address of the wrong family, or one that no endpoint
// may have (loopback, link-local, multicast), is an error; a port without a number is left out. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "common/kube/service.h"

namespace podshim::kube {

struct Endpoint {
  std::vector<IpAddress> addresses;
  bool ready = true, serving = true, terminating = false;
  std::string node_name, hostname;
  std::string target_name;  // targetRef of kind Pod
  bool operator==(const Endpoint&) const = default;
};

struct EndpointPort {
  std::string name;
  Protocol protocol = Protocol::tcp;
  int port = 0;
  bool operator==(const EndpointPort&) const = default;
};

struct EndpointSlice {
  ObjectMeta meta;
  std::string service_name;  // label kubernetes.io/service-name
  Family family = Family::v4;
  std::vector<Endpoint> endpoints;
  std::vector<EndpointPort> ports;
  bool operator==(const EndpointSlice&) const = default;
};

Result<EndpointSlice> decode_endpoint_slice(const json::Reader& object, Unknowns& unknowns);
json::Value encode_endpoint_slice(const EndpointSlice& slice);

}  // namespace podshim::kube
