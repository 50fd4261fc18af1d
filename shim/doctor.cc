#include "shim/doctor.h"

#include <algorithm>

namespace podshim {
namespace {

using Level = Finding::Level;

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

Finding cgroups(const HostFacts& host) {
  std::vector<std::string> missing;
  for (const char* controller : {"cpu", "memory", "pids"}) {
    const auto& v2 = host.cgroup_v2_controllers;
    const bool there = host.cgroup == CgroupVersion::v2 ? std::find(v2.begin(), v2.end(), controller) != v2.end()
                                                        : host.cgroup_v1_mounts.contains(controller);
    if (!there) missing.push_back(controller);
  }
  const std::string version = host.cgroup == CgroupVersion::v2 ? "cgroup v2" : "cgroup v1";
  if (missing.empty()) return {.check = "cgroups", .found = version + " with cpu, memory and pids"};
  return {.level = Level::problem,
          .check = "cgroups",
          .found = version + " without " + join(missing),
          .fix = host.cgroup == CgroupVersion::v2
                     ? "enable them: echo +cpu +memory +pids > /sys/fs/cgroup/cgroup.subtree_control"
                     : "mount the missing controllers below /sys/fs/cgroup, or boot with cgroup_enable=memory"};
}

Finding forwarding(const DoctorFacts& f) {
  const char* const name = "net.ipv4.ip_forward";
  if (!f.ip_forward)
    return {.level = Level::problem,
            .check = "ip-forward",
            .found = std::string(name) + " cannot be read",
            .fix = "mount /proc"};
  if (*f.ip_forward == "0")
    return {
        .level = Level::warning,
        .check = "ip-forward",
        .found = std::string(name) +
                 " = 0: no packet leaves a Pod's network; the bridge plugin of podshim turns it on with the first Pod",
        .fix = std::string("sysctl -w ") + name + "=1 when another plugin is used"};
  if (!f.deaf_uplinks.empty())
    return {.level = Level::warning,
            .check = "ip-forward",
            .found = "on, but off for " + join(f.deaf_uplinks) + ": nothing from outside reaches a Pod through it",
            .fix = "sysctl -w net.ipv4.conf." + f.deaf_uplinks.front() + ".forwarding=1"};
  return {.check = "ip-forward", .found = std::string(name) + " = " + *f.ip_forward};
}

// A matter of other bridges: ours routes between its ports, so that every packet passes conntrack anyway.
Finding bridge_netfilter(const DoctorFacts& f) {
  if (f.bridge_nf_call && *f.bridge_nf_call != "0") return {.check = "bridge-netfilter", .found = "on"};
  return {.check = "bridge-netfilter",
          .found =
              "off: fine with podshim's bridge plugin; with another one a Service fails between Pods of one bridge "
              "(modprobe br_netfilter; sysctl -w net.bridge.bridge-nf-call-iptables=1)"};
}

Finding network(const Config& config, const DoctorFacts& f) {
  if (!f.network_error.empty())
    return {.level = Level::problem,
            .check = "cni-config",
            .found = f.network_error,
            .fix = "podshim cni-config > " + config.podshim.cni_conf_dir + "/10-podshim.conflist"};
  return {.check = "cni-config", .found = "network " + f.network_name + " of " + f.network_source};
}

Finding plugins(const Config& config, const DoctorFacts& f) {
  if (!f.missing_plugins.empty())
    return {.level = Level::problem,
            .check = "cni-plugins",
            .found = "not in " + join(config.podshim.cni_bin_dirs) + ": " + join(f.missing_plugins),
            .fix = "install them there, or name their directory: --cni-bin-dir DIR (Debian's: /usr/lib/cni)"};
  return {.check = "cni-plugins",
          .found = f.network_error.empty() ? "all there" : "not looked for: no network configuration"};
}

Finding privileges(const DoctorFacts& f) {
  if (!f.root) return {.level = Level::problem, .check = "root", .found = "not root", .fix = "run podshim as root"};
  std::vector<std::string> missing;
  if (!f.host.can_lower_oom_score) missing.push_back("oom_score_adj cannot be lowered");
  if (!f.host.can_raise_rlimits) missing.push_back("hard rlimits cannot be raised");
  if (missing.empty()) return {.check = "root", .found = "root with CAP_SYS_RESOURCE"};
  return {.level = Level::warning,
          .check = "root",
          .found = "root without CAP_SYS_RESOURCE: " + join(missing),
          .fix = "give the service CAP_SYS_RESOURCE; without it Pods run, with these two requests unfulfilled"};
}

}  // namespace

std::vector<Finding> examine(const Config& config, const DoctorFacts& f) {
  std::vector<Finding> out;
  out.push_back(privileges(f));
  out.push_back(cgroups(f.host));
  out.push_back(f.overlay ? Finding{.check = "overlayfs", .found = "there"}
                          : Finding{.level = Level::problem,
                                    .check = "overlayfs",
                                    .found = "not in /proc/filesystems",
                                    .fix = "modprobe overlay, and a line in /etc/modules-load.d/"});
  out.push_back(f.host.seccomp ? Finding{.check = "seccomp", .found = "there"}
                               : Finding{.level = Level::problem,
                                         .check = "seccomp",
                                         .found = "the kernel has no seccomp filters",
                                         .fix = "use a kernel with CONFIG_SECCOMP_FILTER"});
  out.push_back(f.nf_tables_error.empty()
                    ? Finding{.check = "nftables", .found = "there"}
                    : Finding{.level = Level::problem,
                              .check = "nftables",
                              .found = f.nf_tables_error,
                              .fix = "modprobe nf_tables; host ports, masquerading and Services need it"});
  out.push_back(forwarding(f));
  out.push_back(bridge_netfilter(f));
  out.push_back(network(config, f));
  out.push_back(plugins(config, f));
  out.push_back(f.default_route ? Finding{.check = "default-route", .found = "there"}
                                : Finding{.level = Level::warning,
                                          .check = "default-route",
                                          .found = "none: Pods reach this node alone, and node-ip is the bridge's",
                                          .fix = "ip route add default via GATEWAY, or set node-ip"});
  return out;
}

}  // namespace podshim
