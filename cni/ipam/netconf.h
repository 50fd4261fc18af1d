// The configuration of host-local: the "ipam" section and what a runtime may add to it (runtimeConfig.ips and
// .ipRanges, args.cni.ips, CNI_ARGS IP=). decode() is pure; every error names the field.
#pragma once

#include "cni/ipam/range.h"
#include "cni/skel/request.h"

namespace podshim::cni::ipam {

inline constexpr const char* kDefaultDataDir = "/var/lib/cni/networks";

struct NetConf {
  std::string network;
  std::string data_dir = kDefaultDataDir;
  std::string resolv_conf;  // path of a file in resolv.conf(5) form, "" = none
  std::vector<RangeSet> ranges;
  std::vector<RouteConfig> routes;
  std::vector<IpAddress> requested;
  bool operator==(const NetConf&) const = default;
};

Result<NetConf> decode(const Request& request);
// For DEL and GC, which must work with a configuration that has changed or broken meanwhile: only this one field
// counts.
std::string data_dir_of(const Request& request);

// Text in resolv.conf(5) form. Pure.
Dns parse_resolv_conf(std::string_view text);

}  // namespace podshim::cni::ipam
