// Pod values (Kubernetes core/v1) and their decoder: what podlet acts on, with Kubernetes' defaults filled in and its
// checks made. A field that is not here is collected in Unknowns and reported by the caller; a field whose meaning
// would be lost silently (grpc probes, a volume type that nobody mounts) is an error. Pure; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/kube/object.h"
#include "common/kube/probe.h"
#include "common/kube/quantity.h"
#include "common/kube/service.h"

namespace podshim::kube {

struct ContainerPort {
  std::string name;
  Protocol protocol = Protocol::tcp;
  int container_port = 0;
  int host_port = 0;
  std::string host_ip;
  bool operator==(const ContainerPort&) const = default;
};

// A key of a ConfigMap or Secret.
struct KeyRef {
  std::string name, key;
  bool optional = false;
  bool operator==(const KeyRef&) const = default;
};

struct EnvVar {
  enum class From { value, field, resource, config_map, secret };
  std::string name;
  From from = From::value;
  std::string value;      // value: the text; field: the field path; resource: "limits.cpu"
  std::string container;  // resource: of which container ("" = this one)
  Quantity divisor;       // resource
  KeyRef key;             // config_map, secret
  bool operator==(const EnvVar&) const = default;
};

struct EnvFrom {
  bool secret = false;
  std::string name, prefix;
  bool optional = false;
  bool operator==(const EnvFrom&) const = default;
};

struct VolumeMount {
  enum class Propagation { none, host_to_container, bidirectional };
  std::string name, mount_path, sub_path;
  bool read_only = false;
  Propagation propagation = Propagation::none;
  bool operator==(const VolumeMount&) const = default;
};

struct Resources {
  std::optional<Quantity> cpu_request, cpu_limit, memory_request, memory_limit;
  bool operator==(const Resources&) const = default;
};

struct SeccompProfile {
  enum class Type { unconfined, runtime_default, localhost };
  Type type = Type::unconfined;
  std::string localhost_profile;
  bool operator==(const SeccompProfile&) const = default;
};

// The fields that Pod and container share are merged by merge_security(): the container's win.
struct SecurityContext {
  std::optional<std::int64_t> run_as_user, run_as_group;
  std::optional<bool> run_as_non_root;
  std::optional<SeccompProfile> seccomp;
  // container only
  std::optional<bool> privileged, read_only_root_filesystem, allow_privilege_escalation;
  std::vector<std::string> capabilities_add, capabilities_drop;
  // Pod only
  std::vector<std::int64_t> supplemental_groups;
  std::optional<std::int64_t> fs_group;
  std::map<std::string, std::string> sysctls;
  bool operator==(const SecurityContext&) const = default;
};
SecurityContext merge_security(const SecurityContext& pod, const SecurityContext& container);

enum class PullPolicy { always, if_not_present, never };

struct Container {
  std::string name, image, working_dir;
  PullPolicy pull_policy = PullPolicy::if_not_present;
  std::vector<std::string> command, args;
  std::vector<ContainerPort> ports;
  std::vector<EnvFrom> env_from;
  std::vector<EnvVar> env;
  std::vector<VolumeMount> mounts;
  Resources resources;
  SecurityContext security;
  std::optional<Probe> readiness, liveness, startup;
  std::optional<ProbeHandler> post_start, pre_stop;
  bool restart_always = false;  // an init container with restartPolicy Always: a sidecar
  bool stdin_open = false, stdin_once = false, tty = false;
  bool operator==(const Container&) const = default;
};

struct HostPath {
  enum class Type { unset, directory_or_create, directory, file_or_create, file, socket, char_device, block_device };
  std::string path;
  Type type = Type::unset;
  bool operator==(const HostPath&) const = default;
};
struct EmptyDir {
  bool memory = false;
  std::optional<Quantity> size_limit;
  bool operator==(const EmptyDir&) const = default;
};
// A ConfigMap or Secret as files.
struct KeyFiles {
  bool secret = false;
  std::string name;
  bool optional = false;
  int mode = 0644;
  std::vector<std::pair<std::string, std::string>> items;  // key, path; empty = all keys
  bool operator==(const KeyFiles&) const = default;
};
struct Volume {
  std::string name;
  std::variant<EmptyDir, HostPath, KeyFiles> source;
  bool operator==(const Volume&) const = default;
};

enum class RestartPolicy { always, on_failure, never };
enum class DnsPolicy { cluster_first, cluster_first_with_host_net, default_, none };

struct PodDns {
  std::vector<std::string> servers, searches, options;  // options: "ndots:5"
  bool operator==(const PodDns&) const = default;
};
struct HostAlias {
  std::string ip;
  std::vector<std::string> names;
  bool operator==(const HostAlias&) const = default;
};

struct PodSpec {
  std::vector<Container> init_containers, containers;
  std::vector<Volume> volumes;
  RestartPolicy restart_policy = RestartPolicy::always;
  std::chrono::seconds grace{30};
  std::optional<std::chrono::seconds> active_deadline;
  std::string hostname, subdomain, node_name;
  bool host_network = false, host_pid = false, host_ipc = false, share_process_namespace = false;
  bool service_links = true;
  DnsPolicy dns_policy = DnsPolicy::cluster_first;
  PodDns dns;
  std::vector<HostAlias> host_aliases;
  SecurityContext security;
  bool operator==(const PodSpec&) const = default;

  const Container* find(std::string_view container) const;  // init containers too
};

struct Pod {
  ObjectMeta meta;
  PodSpec spec;
  bool operator==(const Pod&) const = default;
};

Result<Pod> decode_pod(const json::Reader& object, Unknowns& unknowns);
Result<PodSpec> decode_pod_spec(const json::Reader& spec, Unknowns& unknowns);
Result<Container> decode_container(const json::Reader& r, Unknowns& unknowns);
Result<Volume> decode_volume(const json::Reader& r, Unknowns& unknowns);
Result<SecurityContext> decode_security(const json::Reader& r, bool of_pod, Unknowns& unknowns);

// "Always" where the image has the tag latest or none, else "IfNotPresent" (Kubernetes' default).
PullPolicy default_pull_policy(std::string_view image);

}  // namespace podshim::kube
