// Pod -> CRI requests, worded as the kubelet words them (labels, annotations, cgroup shares, OOM scores, env
// expansion), so that tools made for the kubelet see what they expect. Pure; any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/kube/config_map.h"
#include "common/kube/pod.h"
#include "podlet/pod_record.h"

namespace podshim::podlet {

// What does not change while podlet runs.
struct NodeFacts {
  std::string node_name = "node", cluster_domain = "cluster.local";
  std::vector<std::string> node_ips;
  std::string cluster_dns;           // "" = nobody serves cluster DNS: ClusterFirst then means the host's resolv.conf
  CriDns host_dns;                   // of the host's resolv.conf, read anew for each sandbox
  std::int64_t memory_capacity = 0;  // bytes, for the OOM score of burstable Pods
  std::string state_dir = "/run/podlet";
  std::string podlet_id;  // of the state directory
  // True where the runtime makes emptyDirs itself (annotation podshim.dev/volumes); else they are directories of ours.
  bool runtime_volumes = true;
  bool operator==(const NodeFacts&) const = default;
};

using ConfigMaps = std::map<std::string, kube::ConfigMap>;  // "ConfigMap/default/name", "Secret/default/name"

std::string log_directory(const PodRecord& record, const NodeFacts& node);
std::string log_path(const std::string& container, std::uint32_t attempt);  // "web/0.log"
std::string volume_directory(const PodRecord& record, const NodeFacts& node, const std::string& volume);
std::string pod_hostname(const PodRecord& record, const NodeFacts& node);
std::vector<std::string> shared_volumes(const kube::PodSpec& spec);  // names of the emptyDirs

CriSandboxConfig sandbox_config(const PodRecord& record, std::uint32_t attempt, const NodeFacts& node);

struct ContainerInput {
  const PodRecord& record;
  const kube::Container& container;
  std::uint32_t attempt = 0;
  const std::vector<std::string>& pod_ips;
  const NodeFacts& node;
  const ConfigMaps& maps;
  const std::vector<std::pair<std::string, std::string>>& service_env;
};
// Without image (set by the caller from ImageStatus). Fails where a ConfigMap or key is missing:
// CreateContainerConfigError.
Result<CriContainerConfig> container_config(const ContainerInput& in);

// env.cc
Result<std::vector<std::pair<std::string, std::string>>> container_env(const ContainerInput& in);
// $(VAR) from `vars`; $$(VAR) stays $(VAR); what is unknown stays as it is.
std::string expand(std::string_view text, const std::map<std::string, std::string>& vars);
// WEB_SERVICE_HOST, WEB_SERVICE_PORT and WEB_SERVICE_PORT_<NAME>, as enableServiceLinks gives them.
std::vector<std::pair<std::string, std::string>> service_env(const std::vector<kube::Service>& services);

// resources.cc
enum class Qos { guaranteed, burstable, best_effort };
std::string_view qos_text(Qos qos);  // "BestEffort"
Qos pod_qos(const kube::PodSpec& spec);
CriResources container_resources(const kube::Container& c, Qos qos, std::int64_t memory_capacity);

// What has to be there on the host before a container starts; made by prepare_volumes() (volumes.h).
struct HostPathNeed {
  std::string volume;
  kube::HostPath path;
};
struct FileNeed {
  std::string directory;
  int mode = 0644;
  std::vector<std::pair<std::string, std::string>> files;  // relative path, bytes
};
struct VolumeNeeds {
  std::vector<HostPathNeed> host_paths;
  std::vector<FileNeed> files;
  std::vector<std::string> directories;  // emptyDirs of our own
};
Result<VolumeNeeds> volume_needs(const ContainerInput& in);

}  // namespace podshim::podlet
