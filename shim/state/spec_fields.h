// The field lists of the specs (shim/plan/spec.h): how they stand in records, and what "the same config" compares.
// A new member of a spec must be added here; tests/unit/shim-state has a spec with every member set.
#pragma once

#include "shim/plan/spec.h"
#include "shim/state/codec.h"

namespace podshim {

template <>
struct state::EnumNames<NamespaceMode> {
  static constexpr std::array<std::string_view, 4> names = {"pod", "container", "node", "target"};
};
template <>
struct state::EnumNames<SeccompChoice::Type> {
  static constexpr std::array<std::string_view, 3> names = {"runtime-default", "unconfined", "localhost"};
};
template <>
struct state::EnumNames<PortMapping::Protocol> {
  static constexpr std::array<std::string_view, 3> names = {"tcp", "udp", "sctp"};
};
template <>
struct state::EnumNames<Mount::Propagation> {
  static constexpr std::array<std::string_view, 3> names = {"private", "host-to-container", "bidirectional"};
};

// `S` is the struct, const when it is encoded. In namespace podshim, so that the codec finds them by their argument.
template <typename S, typename T>
concept Of = std::same_as<std::remove_const_t<S>, T>;

template <typename A, Of<NamespaceOptions> S>
void fields(A& a, S& v) {
  a("network", v.network);
  a("pid", v.pid);
  a("ipc", v.ipc);
  a("target-id", v.target_id);
}
template <typename A, Of<SeccompChoice> S>
void fields(A& a, S& v) {
  a("type", v.type);
  a("localhost-ref", v.localhost_ref);
}
template <typename A, Of<Metadata> S>
void fields(A& a, S& v) {
  a("name", v.name);
  a("uid", v.uid);
  a("namespace", v.name_space);
  a("attempt", v.attempt);
}
template <typename A, Of<PortMapping> S>
void fields(A& a, S& v) {
  a("protocol", v.protocol);
  a("container-port", v.container_port);
  a("host-port", v.host_port);
  a("host-ip", v.host_ip);
}
template <typename A, Of<DnsConfig> S>
void fields(A& a, S& v) {
  a("servers", v.servers);
  a("searches", v.searches);
  a("options", v.options);
}
template <typename A, Of<Resources> S>
void fields(A& a, S& v) {
  a("cpu-period-us", v.cpu_period_us);
  a("cpu-quota-us", v.cpu_quota_us);
  a("cpu-shares", v.cpu_shares);
  a("memory-limit-bytes", v.memory_limit_bytes);
  a("memory-swap-limit-bytes", v.memory_swap_limit_bytes);
  a("oom-score-adj", v.oom_score_adj);
  a("cpuset-cpus", v.cpuset_cpus);
  a("cpuset-mems", v.cpuset_mems);
  a("unified", v.unified);
}
template <typename A, Of<SandboxSpec> S>
void fields(A& a, S& v) {
  a("metadata", v.metadata);
  a("hostname", v.hostname);
  a("log-directory", v.log_directory);
  a("dns", v.dns);
  a("ports", v.ports);
  a("labels", v.labels);
  a("annotations", v.annotations);
  a("runtime-handler", v.runtime_handler);
  a("cgroup-parent", v.cgroup_parent);
  a("namespaces", v.namespaces);
  a("privileged", v.privileged);
  a("sysctls", v.sysctls);
  a("seccomp", v.seccomp);
  a("resources", v.resources);
  a("overhead", v.overhead);
  a("shared-volumes", v.shared_volumes);
}
template <typename A, Of<Mount> S>
void fields(A& a, S& v) {
  a("container-path", v.container_path);
  a("host-path", v.host_path);
  a("image", v.image);
  a("user-specified-image", v.user_specified_image);
  a("image-sub-path", v.image_sub_path);
  a("readonly", v.readonly);
  a("recursive-readonly", v.recursive_readonly);
  a("selinux-relabel", v.selinux_relabel);
  a("propagation", v.propagation);
}
template <typename A, Of<Device> S>
void fields(A& a, S& v) {
  a("container-path", v.container_path);
  a("host-path", v.host_path);
  a("permissions", v.permissions);
}
template <typename A, Of<Capabilities> S>
void fields(A& a, S& v) {
  a("add", v.add);
  a("drop", v.drop);
}
template <typename A, Of<SecurityContext> S>
void fields(A& a, S& v) {
  a("capabilities", v.capabilities);
  a("privileged", v.privileged);
  a("namespaces", v.namespaces);
  a("run-as-user", v.run_as_user);
  a("run-as-group", v.run_as_group);
  a("run-as-username", v.run_as_username);
  a("supplemental-groups", v.supplemental_groups);
  a("strict-groups", v.strict_groups);
  a("readonly-rootfs", v.readonly_rootfs);
  a("no-new-privs", v.no_new_privs);
  a("masked-paths", v.masked_paths);
  a("readonly-paths", v.readonly_paths);
  a("seccomp", v.seccomp);
}
template <typename A, Of<ContainerSpec> S>
void fields(A& a, S& v) {
  a("metadata", v.metadata);
  a("image", v.image);
  a("user-specified-image", v.user_specified_image);
  a("command", v.command);
  a("args", v.args);
  a("working-dir", v.working_dir);
  a("envs", v.envs);
  a("mounts", v.mounts);
  a("devices", v.devices);
  a("labels", v.labels);
  a("annotations", v.annotations);
  a("log-path", v.log_path);
  a("stdin-open", v.stdin_open);
  a("stdin-once", v.stdin_once);
  a("stop-signal", v.stop_signal);
  a("tty", v.tty);
  a("resources", v.resources);
  a("security", v.security);
}
template <typename A, Of<ProcessUser> S>
void fields(A& a, S& v) {
  a("uid", v.uid);
  a("gid", v.gid);
  a("groups", v.groups);
  a("home", v.home);
}
template <typename A, Of<ImageProcess> S>
void fields(A& a, S& v) {
  a("user", v.user);
  a("entrypoint", v.entrypoint);
  a("cmd", v.cmd);
  a("env", v.env);
  a("working-dir", v.working_dir);
  a("stop-signal", v.stop_signal);
  a("volumes", v.volumes);
}

}  // namespace podshim
