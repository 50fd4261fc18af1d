#include "common/json.h"
#include "shim/cri/encode.h"

namespace podshim::cri {
namespace {

v1::NamespaceMode encode_mode(NamespaceMode mode) {
  switch (mode) {
    case NamespaceMode::pod:
      return v1::POD;
    case NamespaceMode::container:
      return v1::CONTAINER;
    case NamespaceMode::node:
      return v1::NODE;
    case NamespaceMode::target:
      return v1::TARGET;
  }
  return v1::POD;
}

void encode_metadata(const Metadata& m, v1::PodSandboxMetadata* out) {
  out->set_name(m.name);
  out->set_uid(m.uid);
  out->set_namespace_(m.name_space);
  out->set_attempt(m.attempt);
}

json::Value resources_info(const std::optional<Resources>& resources) {
  auto out = json::Value::object();
  if (!resources) return out;
  const auto& r = *resources;
  for (const auto& [name, value] : {std::pair<const char*, std::int64_t>{"cpuPeriod", r.cpu_period_us},
                                    {"cpuQuota", r.cpu_quota_us},
                                    {"cpuShares", r.cpu_shares},
                                    {"memoryLimitInBytes", r.memory_limit_bytes},
                                    {"memorySwapLimitInBytes", r.memory_swap_limit_bytes}})
    if (value != 0) out.set(name, value);
  for (const auto& [name, value] : {std::pair{"cpusetCpus", r.cpuset_cpus}, {"cpusetMems", r.cpuset_mems}})
    if (!value.empty()) out.set(name, value);
  if (!r.unified.empty()) out.set("unified", json::Value::string_map(r.unified));
  return out;
}

}  // namespace

v1::PodSandboxState encode_state(SandboxState state) {
  return state == SandboxState::ready ? v1::SANDBOX_READY : v1::SANDBOX_NOTREADY;
}

void encode_sandbox(const SandboxView& view, v1::PodSandbox* out) {
  out->set_id(view.id.str());
  encode_metadata(view.spec.metadata, out->mutable_metadata());
  out->set_state(encode_state(view.state));
  out->set_created_at(view.created_at_ns);
  out->mutable_labels()->insert(view.spec.labels.begin(), view.spec.labels.end());
  out->mutable_annotations()->insert(view.spec.annotations.begin(), view.spec.annotations.end());
  out->set_runtime_handler(view.spec.runtime_handler);
}

void encode_sandbox_status(const SandboxView& view, v1::PodSandboxStatus* out) {
  out->set_id(view.id.str());
  encode_metadata(view.spec.metadata, out->mutable_metadata());
  out->set_state(encode_state(view.state));
  out->set_created_at(view.created_at_ns);
  auto* network = out->mutable_network();
  for (std::size_t i = 0; i < view.ips.size(); i++) {
    if (i == 0) {
      network->set_ip(view.ips[0].str());
    } else {
      network->add_additional_ips()->set_ip(view.ips[i].str());
    }
  }
  auto* options = out->mutable_linux()->mutable_namespaces()->mutable_options();
  options->set_network(encode_mode(view.spec.namespaces.network));
  options->set_pid(encode_mode(view.spec.namespaces.pid));
  options->set_ipc(encode_mode(view.spec.namespaces.ipc));
  out->mutable_labels()->insert(view.spec.labels.begin(), view.spec.labels.end());
  out->mutable_annotations()->insert(view.spec.annotations.begin(), view.spec.annotations.end());
  out->set_runtime_handler(view.spec.runtime_handler);
}

std::string sandbox_info(const SandboxView& view) {
  auto config = json::Value::object();
  config.set("hostname", view.spec.hostname)
      .set("logDirectory", view.spec.log_directory)
      .set("cgroupParent", view.spec.cgroup_parent)
      .set("privileged", view.spec.privileged)
      .set("sharedVolumes", json::Value::strings(view.spec.shared_volumes))
      .set("sysctls", json::Value::string_map(view.spec.sysctls));
  auto info = json::Value::object();
  info.set("sandboxID", view.id.str())
      .set("pid", view.pause_pid)
      .set("netns", view.netns_path)
      .set("cgroupPath", view.cgroup_path)
      .set("runtimeHandler", view.spec.runtime_handler)
      .set("overhead", resources_info(view.spec.overhead))
      .set("resources", resources_info(view.spec.resources))
      .set("config", std::move(config));
  return json::dump(info);
}

}  // namespace podshim::cri
