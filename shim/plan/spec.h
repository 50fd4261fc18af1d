// What a request asks for, as values: decoded once from CRI in shim/cri/decode, read by plan and lifecycle, kept in the
// records. No protobuf type is seen behind shim/cri. Units are in the names or beside the field.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/ip.h"

namespace podshim {

enum class NamespaceMode { pod, container, node, target };

struct NamespaceOptions {
  NamespaceMode network = NamespaceMode::pod;
  NamespaceMode pid = NamespaceMode::pod;
  NamespaceMode ipc = NamespaceMode::pod;
  std::string target_id;  // container id, with pid = target
  bool operator==(const NamespaceOptions&) const = default;
};

struct SeccompChoice {
  enum class Type { runtime_default, unconfined, localhost };
  Type type = Type::unconfined;
  std::string localhost_ref;  // absolute path of a JSON profile
  bool operator==(const SeccompChoice&) const = default;
};

struct Metadata {
  std::string name;
  std::string uid;         // sandboxes only
  std::string name_space;  // sandboxes only
  std::uint32_t attempt = 0;
  bool operator==(const Metadata&) const = default;
};

struct PortMapping {
  enum class Protocol { tcp, udp, sctp };
  Protocol protocol = Protocol::tcp;
  std::int32_t container_port = 0;
  std::int32_t host_port = 0;  // 0 = not mapped
  std::string host_ip;
  bool operator==(const PortMapping&) const = default;
};

struct DnsConfig {
  std::vector<std::string> servers, searches, options;
  bool operator==(const DnsConfig&) const = default;
};

// cpu and memory, as CRI's LinuxContainerResources; 0 = not set.
struct Resources {
  std::int64_t cpu_period_us = 0;
  std::int64_t cpu_quota_us = 0;  // -1 = no limit
  std::int64_t cpu_shares = 0;
  std::int64_t memory_limit_bytes = 0;
  std::int64_t memory_swap_limit_bytes = 0;
  std::int64_t oom_score_adj = 0;
  std::string cpuset_cpus, cpuset_mems;
  std::map<std::string, std::string> unified;  // cgroup v2 file -> value
  bool operator==(const Resources&) const = default;
};

struct SandboxSpec {
  Metadata metadata;
  std::string hostname;
  std::string log_directory;
  std::optional<DnsConfig> dns;
  std::vector<PortMapping> ports;
  std::map<std::string, std::string> labels, annotations;
  std::string runtime_handler;
  // linux
  std::string cgroup_parent;
  NamespaceOptions namespaces;
  bool privileged = false;
  std::map<std::string, std::string> sysctls;
  SeccompChoice seccomp;
  std::optional<Resources> resources, overhead;
  std::vector<std::string> shared_volumes;  // from the annotation podshim.dev/volumes
  bool operator==(const SandboxSpec&) const = default;
};

struct Mount {
  enum class Propagation { private_, host_to_container, bidirectional };
  std::string container_path;
  std::string host_path;                    // or volume:<name> for a shared volume of the sandbox; unused with an image
  std::string image, user_specified_image;  // what is mounted is this image, "" = a host path
  std::string image_sub_path;               // of the image; "" = all of it
  bool readonly = false;
  bool recursive_readonly = false;
  bool selinux_relabel = false;
  Propagation propagation = Propagation::private_;
  bool operator==(const Mount&) const = default;
};

struct Device {
  std::string container_path, host_path, permissions;  // permissions: of r, w, m
  bool operator==(const Device&) const = default;
};

struct Capabilities {
  std::vector<std::string> add, drop;  // with or without CAP_, any case, ALL
  bool operator==(const Capabilities&) const = default;
};

struct SecurityContext {
  Capabilities capabilities;
  bool privileged = false;
  NamespaceOptions namespaces;
  std::optional<std::int64_t> run_as_user, run_as_group;
  std::string run_as_username;
  std::vector<std::int64_t> supplemental_groups;
  bool strict_groups = false;  // SupplementalGroupsPolicy
  bool readonly_rootfs = false;
  bool no_new_privs = false;
  std::vector<std::string> masked_paths, readonly_paths;
  SeccompChoice seccomp;
  bool operator==(const SecurityContext&) const = default;
};

struct ContainerSpec {
  Metadata metadata;
  std::string image;  // as the request names it: id or reference
  std::string user_specified_image;
  std::vector<std::string> command, args;
  std::string working_dir;
  std::vector<std::pair<std::string, std::string>> envs;
  std::vector<Mount> mounts;
  std::vector<Device> devices;
  std::map<std::string, std::string> labels, annotations;
  std::string log_path;  // relative to the sandbox's log_directory
  bool stdin_open = false, stdin_once = false, tty = false;
  std::string stop_signal;  // "SIGUSR1", "SIGRTMIN+3"; "" = the image's, else SIGTERM
  std::optional<Resources> resources;
  SecurityContext security;
  bool operator==(const ContainerSpec&) const = default;
};

// What an image config says of a process (OCI image-spec config.md).
struct ImageProcess {
  std::string user;
  std::vector<std::string> entrypoint, cmd, env;
  std::string working_dir;
  std::string stop_signal;
  std::vector<std::string> volumes;
  bool operator==(const ImageProcess&) const = default;
};

// The user of a process after look-up in the image's passwd and group files.
struct ProcessUser {
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::uint32_t> groups;  // supplemental, sorted, with gid
  std::string home;
  bool operator==(const ProcessUser&) const = default;
};

}  // namespace podshim
