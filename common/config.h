// The one config file of podshim, netproxy and podlet (design: kebab-case, shared keys on top, then a section each).
// Every program reads and checks all of it and uses its own part; flag > file > default. An unknown key, a value of the
// wrong type or out of range is an error that names file, line, key and value. Pure but for load(); any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/ip.h"
#include "common/json.h"
#include "common/result.h"

namespace podshim {

struct PortRange {
  int first = 30000;
  int last = 32767;
  bool operator==(const PortRange&) const = default;
};

struct PodshimConfig {
  std::string socket = "/run/podshim/podshim.sock";
  std::string root = "/var/lib/podshim";
  std::string state = "/run/podshim";
  std::string cni_conf_dir = "/etc/cni/net.d";
  std::vector<std::string> cni_bin_dirs = {"/opt/cni/bin"};
  std::string registries = "/etc/podshim/registries.yaml";
  std::string log_level = "info";
  std::string cgroup_driver = "cgroupfs";
  std::string cgroup_parent = "/podshim";  // for Pods whose request names none
  std::int64_t pids_limit = 0;             // per container; 0 = none
  struct Rlimit {
    int resource = 0;       // RLIMIT_*
    std::int64_t soft = 0;  // -1 = none
    std::int64_t hard = 0;
    bool operator==(const Rlimit&) const = default;
  };
  std::map<std::string, Rlimit> rlimits;  // "nofile": {soft, hard}; lower-case names of setrlimit(2)
  std::chrono::seconds cni_timeout{60};
  std::chrono::seconds pull_stall{30};  // a registry that sends next to nothing for so long is given up
  std::int64_t log_max_bytes = 0;       // of one container log, rotated by the monitor; 0 = a kubelet does it
  std::int64_t log_max_files = 5;
  IpAddress metrics_address = IpAddress::v4(0x7f000001);
  int metrics_port = 0;  // 0 = no metrics are served
  struct Streaming {
    std::string address = "127.0.0.1";  // where exec, attach and port-forward are served
    int port = 0;                       // 0 = any free one
    std::string tls_cert, tls_key;      // PEM files; both or none
    std::chrono::seconds idle{4 * 3600};
  } streaming;
};

struct DnsUpstream {
  IpAddress address;
  int port = 53;
  auto operator<=>(const DnsUpstream&) const = default;
};

struct NetproxyConfig {
  std::string source;  // "" = <podshim.state>/services
  std::string log_level = "info";
  std::vector<Cidr> node_port_addresses;        // where node ports are served; empty = every local address
  std::vector<DnsUpstream> dns_upstream;        // empty = the node's /etc/resolv.conf
  std::chrono::milliseconds dns_timeout{4000};  // of one question, over all tries; a resolver gives up after 5 s
};

struct PodletConfig {
  std::string runtime_endpoint;  // "" = unix://<podshim.socket>
  std::string state = "/run/podlet";
  std::string services_dir;  // "" = <podshim.state>/services
  std::string log_level = "info";
  std::optional<Cidr> load_balancer_pool;  // addresses for Services of type LoadBalancer; none = they stay pending
};

struct Config {
  Cidr cluster_cidr;             // 10.42.0.0/16
  Cidr service_cidr;             // 10.43.0.0/16
  IpAddress cluster_dns;         // 10.43.0.10; 0.0.0.0 ("none" in the file) = nobody serves cluster DNS
  bool cluster_dns_set = false;  // the file says it; unsaid, the address is only kept free
  std::string cluster_domain = "cluster.local";
  std::string node_name;            // "" = hostname
  std::vector<IpAddress> node_ips;  // empty = source address of the default route, else the bridge's gateway
  PortRange node_port_range;
  PodshimConfig podshim;
  NetproxyConfig netproxy;
  PodletConfig podlet;

  Config();
  // netproxy answers at cluster_dns and Pods are sent there: only where the file says so.
  bool serves_dns() const { return cluster_dns_set && !cluster_dns.is_unspecified(); }
};

// Checks the whole document. `file` is for messages.
Result<Config> decode_config(const json::Value& document, const std::string& file);
// A missing file is the defaults, unless `must_exist` (it was named on the command line).
Result<Config> load_config(const std::string& path, bool must_exist);

}  // namespace podshim
