#include "podlet/pod_config.h"

#include <algorithm>

#include "podlet/dns.h"

namespace podshim::podlet {
namespace {

constexpr std::size_t kMaxHostname = 63;  // kubelet: hostnames are cut, not refused

CriNamespaces namespaces_of(const kube::PodSpec& spec) {
  CriNamespaces out;
  if (spec.host_network) out.network = CriNamespace::node;
  if (spec.host_ipc) out.ipc = CriNamespace::node;
  out.pid = spec.host_pid                  ? CriNamespace::node
            : spec.share_process_namespace ? CriNamespace::pod
                                           : CriNamespace::container;
  return out;
}

CriSeccomp seccomp_of(const kube::SecurityContext& s) {
  if (!s.seccomp) return {};  // Unconfined: Kubernetes' default without SeccompDefault
  CriSeccomp out;
  switch (s.seccomp->type) {
    case kube::SeccompProfile::Type::unconfined:
      out.type = CriSeccomp::Type::unconfined;
      break;
    case kube::SeccompProfile::Type::runtime_default:
      out.type = CriSeccomp::Type::runtime_default;
      break;
    case kube::SeccompProfile::Type::localhost:
      out.type = CriSeccomp::Type::localhost;
      out.localhost_ref = "/var/lib/kubelet/seccomp/" + s.seccomp->localhost_profile;
      break;
  }
  return out;
}

std::vector<CriPortMapping> port_mappings(const kube::PodSpec& spec) {
  std::vector<CriPortMapping> out;
  if (spec.host_network) return out;  // the ports are the host's already
  for (const auto* list : {&spec.init_containers, &spec.containers})
    for (const auto& c : *list)
      for (const auto& p : c.ports)
        out.push_back({.protocol = static_cast<int>(p.protocol),
                       .container_port = p.container_port,
                       .host_port = p.host_port,
                       .host_ip = p.host_ip});
  return out;
}

const kube::Volume* find_volume(const kube::PodSpec& spec, const std::string& name) {
  auto found = std::ranges::find(spec.volumes, name, &kube::Volume::name);
  return found == spec.volumes.end() ? nullptr : &*found;
}

Result<std::string> mount_source(const ContainerInput& in, const kube::VolumeMount& m) {
  const auto* volume = find_volume(in.record.pod.spec, m.name);
  std::string base;
  if (const auto* host = std::get_if<kube::HostPath>(&volume->source)) {
    base = host->path;
  } else if (std::holds_alternative<kube::EmptyDir>(volume->source) && in.node.runtime_volumes) {
    if (!m.sub_path.empty())
      return fail(Error::of(ErrorKind::unimplemented, "mount", m.name, "subPath of an emptyDir is not supported"));
    return "volume:" + m.name;
  } else {
    base = volume_directory(in.record, in.node, m.name);
  }
  return m.sub_path.empty() ? base : base + "/" + m.sub_path;
}

// The runtime's own /etc/hosts has the Pod's short name alone.
bool has_hosts_file(const kube::PodSpec& spec) {
  return !spec.host_aliases.empty() || (!spec.subdomain.empty() && !spec.host_network);
}

// What a container may not see of /proc and /sys unless it is privileged (the kubelet's default ProcMount).
const std::vector<std::string> kMasked = {"/proc/asound",     "/proc/acpi",        "/proc/interrupts",
                                          "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
                                          "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
                                          "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap"};
const std::vector<std::string> kReadonly = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};

void set_security(const ContainerInput& in, CriContainerConfig& out) {
  const auto& spec = in.record.pod.spec;
  auto s = kube::merge_security(spec.security, in.container.security);
  out.namespaces = namespaces_of(spec);
  out.privileged = s.privileged.value_or(false);
  out.readonly_rootfs = s.read_only_root_filesystem.value_or(false);
  out.no_new_privs = s.allow_privilege_escalation == false;
  out.run_as_user = s.run_as_user;
  out.run_as_group = s.run_as_group;
  out.supplemental_groups = s.supplemental_groups;
  if (s.fs_group) out.supplemental_groups.push_back(*s.fs_group);
  out.capabilities_add = s.capabilities_add;
  out.capabilities_drop = s.capabilities_drop;
  out.seccomp = out.privileged ? CriSeccomp{} : seccomp_of(s);
  if (!out.privileged) {
    out.masked_paths = kMasked;
    out.readonly_paths = kReadonly;
  }
}

void set_labels(const ContainerInput& in, CriContainerConfig& out) {
  const auto& meta = in.record.pod.meta;
  out.labels = {{kPodNameLabel, meta.name},
                {kPodNamespaceLabel, meta.name_space},
                {kPodUidLabel, in.record.uid},
                {kContainerNameLabel, in.container.name}};
  out.annotations = {{"io.kubernetes.container.hash", in.record.template_hash},
                     {"io.kubernetes.container.restartCount", std::to_string(in.attempt)},
                     {"io.kubernetes.pod.terminationGracePeriod", std::to_string(in.record.pod.spec.grace.count())},
                     {kPodletAnnotation, in.node.podlet_id}};
}

}  // namespace

std::string log_directory(const PodRecord& r, const NodeFacts& node) {
  return node.state_dir + "/logs/" + r.pod.meta.name_space + "_" + r.pod.meta.name + "_" + r.uid;
}
std::string log_path(const std::string& container, std::uint32_t attempt) {
  return container + "/" + std::to_string(attempt) + ".log";
}
std::string volume_directory(const PodRecord& r, const NodeFacts& node, const std::string& volume) {
  return node.state_dir + "/volumes/" + r.uid + "/" + volume;
}

std::string pod_hostname(const PodRecord& record, const NodeFacts& node) {
  const auto& spec = record.pod.spec;
  if (spec.host_network) return node.node_name;
  std::string name = spec.hostname.empty() ? record.pod.meta.name : spec.hostname;
  name.resize(std::min(name.size(), kMaxHostname));
  while (!name.empty() && (name.back() == '-' || name.back() == '.')) name.pop_back();
  return name;
}

std::vector<std::string> shared_volumes(const kube::PodSpec& spec) {
  std::vector<std::string> out;
  for (const auto& v : spec.volumes)
    if (std::holds_alternative<kube::EmptyDir>(v.source)) out.push_back(v.name);
  return out;
}

CriSandboxConfig sandbox_config(const PodRecord& record, std::uint32_t attempt, const NodeFacts& node) {
  const auto& spec = record.pod.spec;
  const auto& meta = record.pod.meta;
  CriSandboxConfig out{.name = meta.name, .uid = record.uid, .name_space = meta.name_space, .attempt = attempt};
  out.hostname = pod_hostname(record, node);
  out.log_directory = log_directory(record, node);
  out.dns = pod_resolver(spec, meta.name_space, node).dns;
  out.ports = port_mappings(spec);
  out.labels = meta.labels;
  out.labels[kPodNameLabel] = meta.name;
  out.labels[kPodNamespaceLabel] = meta.name_space;
  out.labels[kPodUidLabel] = record.uid;
  out.annotations = meta.annotations;
  out.annotations["kubernetes.io/config.seen"] = rfc3339(record.created);
  out.annotations["kubernetes.io/config.source"] = "file";
  out.annotations[kPodletAnnotation] = node.podlet_id;
  std::string volumes;
  for (const auto& name : shared_volumes(spec)) volumes += (volumes.empty() ? "" : ",") + name;
  if (!volumes.empty() && node.runtime_volumes) out.annotations["podshim.dev/volumes"] = volumes;
  out.sysctls = spec.security.sysctls;
  out.namespaces = namespaces_of(spec);
  out.seccomp = {.type = CriSeccomp::Type::runtime_default};
  out.run_as_user = spec.security.run_as_user;
  if (out.run_as_user) out.run_as_group = spec.security.run_as_group;  // pause has no image to take a user from
  out.supplemental_groups = spec.security.supplemental_groups;
  auto privileged = [](const auto& c) { return c.security.privileged == true; };
  out.privileged =
      std::ranges::any_of(spec.containers, privileged) || std::ranges::any_of(spec.init_containers, privileged);
  return out;
}

Result<CriContainerConfig> container_config(const ContainerInput& in) {
  const auto& c = in.container;
  CriContainerConfig out{
      .name = c.name, .attempt = in.attempt, .user_specified_image = c.image, .working_dir = c.working_dir};
  out.envs = TRY(container_env(in));
  std::map<std::string, std::string> vars(out.envs.begin(), out.envs.end());
  for (const auto& word : c.command) out.command.push_back(expand(word, vars));
  for (const auto& word : c.args) out.args.push_back(expand(word, vars));
  for (const auto& m : c.mounts) {
    out.mounts.push_back({.container_path = m.mount_path,
                          .host_path = TRY(mount_source(in, m)),
                          .readonly = m.read_only,
                          .propagation = static_cast<CriMount::Propagation>(m.propagation)});
  }
  if (has_hosts_file(in.record.pod.spec))
    out.mounts.push_back(
        {.container_path = "/etc/hosts", .host_path = volume_directory(in.record, in.node, ".hosts") + "/hosts"});
  set_labels(in, out);
  set_security(in, out);
  out.resources = container_resources(c, pod_qos(in.record.pod.spec), in.node.memory_capacity);
  out.log_path = log_path(c.name, in.attempt);
  out.stdin_open = c.stdin_open;
  out.stdin_once = c.stdin_once;
  out.tty = c.tty;
  return out;
}

namespace {

Result<FileNeed> key_files(const ContainerInput& in, const kube::Volume& v, const kube::KeyFiles& k) {
  FileNeed out{.directory = volume_directory(in.record, in.node, v.name), .mode = k.mode};
  auto key = std::string(k.secret ? "Secret/" : "ConfigMap/") + in.record.pod.meta.name_space + "/" + k.name;
  auto map = in.maps.find(key);
  if (map == in.maps.end()) {
    if (k.optional) return out;
    return fail(Error::of(ErrorKind::not_found, "volume", v.name, "there is no " + key));
  }
  if (k.items.empty()) {
    out.files.assign(map->second.data.begin(), map->second.data.end());
    return out;
  }
  for (const auto& [name, path] : k.items) {
    auto found = map->second.data.find(name);
    if (found != map->second.data.end()) {
      out.files.emplace_back(path, found->second);
    } else if (!k.optional) {
      return fail(Error::of(ErrorKind::not_found, "volume", v.name, key + " has no key " + name));
    }
  }
  return out;
}

std::string hosts_file(const ContainerInput& in) {
  std::string out = "# made by podlet\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
  const auto& spec = in.record.pod.spec;
  auto names = pod_hostname(in.record, in.node);
  if (!spec.subdomain.empty() && !spec.host_network) {  // kubelet: the full name first
    auto full = names + "." + spec.subdomain + "." + in.record.pod.meta.name_space + ".svc." + in.node.cluster_domain;
    names = full + "\t" + names;
  }
  for (const auto& ip : in.pod_ips) out += ip + "\t" + names + "\n";
  for (const auto& alias : spec.host_aliases) {
    out += alias.ip;
    for (const auto& name : alias.names) out += "\t" + name;
    out += "\n";
  }
  return out;
}

}  // namespace

Result<VolumeNeeds> volume_needs(const ContainerInput& in) {
  VolumeNeeds out;
  for (const auto& v : in.record.pod.spec.volumes) {
    bool used = std::ranges::any_of(in.container.mounts, [&](const auto& m) { return m.name == v.name; });
    if (!used) continue;
    if (const auto* host = std::get_if<kube::HostPath>(&v.source))
      out.host_paths.push_back({.volume = v.name, .path = *host});
    if (const auto* keys = std::get_if<kube::KeyFiles>(&v.source)) out.files.push_back(TRY(key_files(in, v, *keys)));
    if (std::holds_alternative<kube::EmptyDir>(v.source) && !in.node.runtime_volumes)
      out.directories.push_back(volume_directory(in.record, in.node, v.name));
  }
  if (has_hosts_file(in.record.pod.spec))
    out.files.push_back(
        {.directory = volume_directory(in.record, in.node, ".hosts"), .files = {{"hosts", hosts_file(in)}}});
  return out;
}

}  // namespace podshim::podlet
