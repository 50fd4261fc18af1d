// A Pod's resolv.conf by its dnsPolicy and dnsConfig, as the kubelet makes it: ClusterFirst asks the cluster DNS
// address with the search path of the Pod's namespace, then the host's; Default is the host's; None only dnsConfig.
// dnsConfig is added to either. Pure but for read_host_dns(); any thread.
#pragma once

#include <string>
#include <string_view>

#include "podlet/pod_config.h"

namespace podshim::podlet {

// nameserver, search and options lines; of the last two the last line counts, as in the resolver.
CriDns parse_resolv_conf(std::string_view text);
// What cannot be read is empty.
CriDns read_host_dns(const std::string& path);

struct PodResolver {
  std::optional<CriDns> dns;  // nullopt = the host's file as it is, which the runtime gives by itself
  std::string cut;            // what did not fit (3 servers, 32 search domains, 2048 characters); "" = nothing
};
PodResolver pod_resolver(const kube::PodSpec& spec, const std::string& name_space, const NodeFacts& node);

}  // namespace podshim::podlet
