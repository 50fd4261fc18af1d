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
    std::int64_t soft = 0;
    std::int64_t hard = 0;
    bool operator==(const Rlimit&) const = default;
  };
  std::map<std::string, Rlimit> rlimits;  // "nofile": {soft, hard}; lower-case names of setrlimit(2)
  std::chrono::seconds cni_timeout{60};
  std::int64_t log_max_bytes = 0;  // of one container log, rotated by the monitor; 0 = a kubelet does it
  std::int64_t log_max_files = 5;
};

struct NetproxyConfig {
  std::string source;  // "" = <podshim.state>/services
  std::string log_level = "info";
};

struct PodletConfig {
  std::string runtime_endpoint;  // "" = unix://<podshim.socket>
  std::string state = "/run/podlet";
  std::string services_dir;  // "" = <podshim.state>/services
  std::string log_level = "info";
};

struct Config {
  Cidr cluster_cidr;      // 10.42.0.0/16
  Cidr service_cidr;      // 10.43.0.0/16
  IpAddress cluster_dns;  // 10.43.0.10
  std::string cluster_domain = "cluster.local";
  std::string node_name;            // "" = hostname
  std::vector<IpAddress> node_ips;  // empty = source address of the default route, else the bridge's gateway
  PortRange node_port_range;
  PodshimConfig podshim;
  NetproxyConfig netproxy;
  PodletConfig podlet;

  Config();
};

// Checks the whole document. `file` is for messages.
Result<Config> decode_config(const json::Value& document, const std::string& file);
// A missing file is the defaults, unless `must_exist` (it was named on the command line).
Result<Config> load_config(const std::string& path, bool must_exist);

}  // namespace podshim
