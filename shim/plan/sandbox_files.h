// Texts of /etc/hosts, /etc/hostname, /etc/resolv.conf of a Pod. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/ip.h"
#include "common/result.h"
#include "shim/plan/spec.h"

namespace podshim {

struct SandboxFiles {
  std::string hosts, hostname, resolv_conf;
  bool operator==(const SandboxFiles&) const = default;
};

// ips: of the Pod, empty with network NODE (then `host_hosts` is taken as it is). dns absent or empty:
// `host_resolv_conf`.
SandboxFiles plan_sandbox_files(const std::string& hostname, const std::vector<IpAddress>& ips,
                                const std::optional<DnsConfig>& dns, bool host_network, const std::string& host_hosts,
                                const std::string& host_resolv_conf);
std::string render_resolv_conf(const DnsConfig& dns);
// Values with spaces or line breaks would forge lines; more than 6 searches or 2048 bytes are left to libc.
Result<> check_dns(const DnsConfig& dns);

}  // namespace podshim
