// Services x Pods -> EndpointSlices, as Kubernetes' endpoint slice controller makes them: at most 1,000 endpoints a
// slice, one set of slices per distinct set of resolved ports and address family, conditions ready/serving/terminating.
// And why a Service has no endpoints, for people. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "common/kube/endpoint_slice.h"
#include "common/kube/pod.h"
#include "common/kube/selector.h"

namespace podshim::podlet {

// What a Service needs to know of a Pod.
struct Backend {
  std::string name, name_space, hostname, subdomain;  // hostname: spec.hostname, for DNS
  const kube::Labels* labels = nullptr;
  const kube::PodSpec* spec = nullptr;
  std::vector<std::string> ips;
  bool ready = false, deleting = false, ended = false;
  std::string why_not_ready;  // "Readiness probe failed: HTTP 503", "container web: ImagePullBackOff"
};

inline constexpr std::size_t kMaxEndpoints = 1000;

std::vector<kube::EndpointSlice> build_slices(const kube::Service& service, const std::vector<Backend>& pods,
                                              const std::string& node_name);

// The number that the port has in this Pod; 0 when no container names it.
int resolve_port(const kube::PortRef& port, kube::Protocol protocol, const kube::PodSpec& spec);

// "10.42.0.5:80,10.42.0.6:80 + 2 more..."; "<none>" when nobody is ready. `limit` addresses at most (0 = all).
std::string endpoints_text(const std::vector<kube::EndpointSlice>& slices, std::size_t limit);

// Lines that say why nobody is ready; empty when somebody is.
std::vector<std::string> explain_none(const kube::Service& service, const std::vector<Backend>& pods,
                                      const std::vector<kube::EndpointSlice>& slices);

}  // namespace podshim::podlet
