#include <grpcpp/grpcpp.h>

#include "common/status_code.h"
#include "podlet/runtime_client.h"
#include "runtime.grpc.pb.h"

namespace podshim::podlet {
namespace {

namespace cri = runtime::v1;
using std::chrono::seconds;

// The kubelet's limits: two minutes a call, RunPodSandbox four. PullImage has none there; ten minutes here.
constexpr seconds kCall{120}, kRunSandbox{240}, kPull{600}, kList{30};

void set_map(const StringMap& from, google::protobuf::Map<std::string, std::string>* to) {
  for (const auto& [key, value] : from) (*to)[key] = value;
}
StringMap get_map(const google::protobuf::Map<std::string, std::string>& from) { return {from.begin(), from.end()}; }

void set_namespaces(const CriNamespaces& from, cri::NamespaceOption* to) {
  to->set_network(static_cast<cri::NamespaceMode>(from.network));
  to->set_pid(static_cast<cri::NamespaceMode>(from.pid));
  to->set_ipc(static_cast<cri::NamespaceMode>(from.ipc));
}
void set_seccomp(const CriSeccomp& from, cri::SecurityProfile* to) {
  to->set_profile_type(static_cast<cri::SecurityProfile::ProfileType>(from.type));
  to->set_localhost_ref(from.localhost_ref);
}

cri::PodSandboxConfig encode(const CriSandboxConfig& c) {
  cri::PodSandboxConfig out;
  auto* meta = out.mutable_metadata();
  meta->set_name(c.name);
  meta->set_uid(c.uid);
  meta->set_namespace_(c.name_space);
  meta->set_attempt(c.attempt);
  out.set_hostname(c.hostname);
  out.set_log_directory(c.log_directory);
  if (c.dns) {
    auto* dns = out.mutable_dns_config();
    for (const auto& s : c.dns->servers) dns->add_servers(s);
    for (const auto& s : c.dns->searches) dns->add_searches(s);
    for (const auto& s : c.dns->options) dns->add_options(s);
  }
  for (const auto& p : c.ports) {
    auto* port = out.add_port_mappings();
    port->set_protocol(static_cast<cri::Protocol>(p.protocol));
    port->set_container_port(p.container_port);
    port->set_host_port(p.host_port);
    port->set_host_ip(p.host_ip);
  }
  set_map(c.labels, out.mutable_labels());
  set_map(c.annotations, out.mutable_annotations());
  auto* linux_part = out.mutable_linux();
  set_map(c.sysctls, linux_part->mutable_sysctls());
  auto* security = linux_part->mutable_security_context();
  set_namespaces(c.namespaces, security->mutable_namespace_options());
  set_seccomp(c.seccomp, security->mutable_seccomp());
  security->set_privileged(c.privileged);
  if (c.run_as_user) security->mutable_run_as_user()->set_value(*c.run_as_user);
  if (c.run_as_group) security->mutable_run_as_group()->set_value(*c.run_as_group);
  for (auto g : c.supplemental_groups) security->add_supplemental_groups(g);
  return out;
}

void encode_security(const CriContainerConfig& c, cri::LinuxContainerSecurityContext* out) {
  set_namespaces(c.namespaces, out->mutable_namespace_options());
  set_seccomp(c.seccomp, out->mutable_seccomp());
  out->set_privileged(c.privileged);
  out->set_readonly_rootfs(c.readonly_rootfs);
  out->set_no_new_privs(c.no_new_privs);
  if (c.run_as_user) out->mutable_run_as_user()->set_value(*c.run_as_user);
  if (c.run_as_group) out->mutable_run_as_group()->set_value(*c.run_as_group);
  if (!c.run_as_username.empty()) out->set_run_as_username(c.run_as_username);
  for (auto g : c.supplemental_groups) out->add_supplemental_groups(g);
  for (const auto& s : c.capabilities_add) out->mutable_capabilities()->add_add_capabilities(s);
  for (const auto& s : c.capabilities_drop) out->mutable_capabilities()->add_drop_capabilities(s);
  for (const auto& s : c.masked_paths) out->add_masked_paths(s);
  for (const auto& s : c.readonly_paths) out->add_readonly_paths(s);
}

cri::ContainerConfig encode(const CriContainerConfig& c) {
  cri::ContainerConfig out;
  out.mutable_metadata()->set_name(c.name);
  out.mutable_metadata()->set_attempt(c.attempt);
  out.mutable_image()->set_image(c.image);
  out.mutable_image()->set_user_specified_image(c.user_specified_image);
  for (const auto& s : c.command) out.add_command(s);
  for (const auto& s : c.args) out.add_args(s);
  out.set_working_dir(c.working_dir);
  for (const auto& [key, value] : c.envs) {
    auto* env = out.add_envs();
    env->set_key(key);
    env->set_value(value);
  }
  for (const auto& m : c.mounts) {
    auto* mount = out.add_mounts();
    mount->set_container_path(m.container_path);
    mount->set_host_path(m.host_path);
    mount->set_readonly(m.readonly);
    mount->set_propagation(static_cast<cri::MountPropagation>(m.propagation));
  }
  set_map(c.labels, out.mutable_labels());
  set_map(c.annotations, out.mutable_annotations());
  out.set_log_path(c.log_path);
  out.set_stdin(c.stdin_open);
  out.set_stdin_once(c.stdin_once);
  out.set_tty(c.tty);
  auto* resources = out.mutable_linux()->mutable_resources();
  resources->set_cpu_period(c.resources.cpu_period);
  resources->set_cpu_quota(c.resources.cpu_quota);
  resources->set_cpu_shares(c.resources.cpu_shares);
  resources->set_memory_limit_in_bytes(c.resources.memory_limit);
  resources->set_oom_score_adj(c.resources.oom_score_adj);
  encode_security(c, out.mutable_linux()->mutable_security_context());
  return out;
}

// PodSandbox and PodSandboxStatus share these fields.
template <typename Message>
CriSandbox decode_sandbox(const Message& m) {
  CriSandbox out{
      .id = m.id(), .name = m.metadata().name(), .uid = m.metadata().uid(), .name_space = m.metadata().namespace_()};
  out.attempt = m.metadata().attempt();
  out.ready = m.state() == cri::SANDBOX_READY;
  out.created = from_nanos(m.created_at());
  out.labels = get_map(m.labels());
  out.annotations = get_map(m.annotations());
  return out;
}

template <typename Message>
CriContainer decode_container(const Message& m) {
  CriContainer out{.id = m.id(), .name = m.metadata().name(), .attempt = m.metadata().attempt()};
  out.state = static_cast<CriState>(m.state());
  out.image = m.image().image();
  out.image_ref = m.image_ref();
  out.created = from_nanos(m.created_at());
  out.labels = get_map(m.labels());
  out.annotations = get_map(m.annotations());
  return out;
}

class GrpcRuntime : public RuntimeClient {
 public:
  explicit GrpcRuntime(const std::string& socket) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    // A runtime that comes back is found again soon: it is on this machine.
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
    auto channel = grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments);
    runtime_ = cri::RuntimeService::NewStub(channel);
    images_ = cri::ImageService::NewStub(channel);
  }

  Result<CriVersion> version() override {
    cri::VersionRequest request;
    cri::VersionResponse response;
    TRY(call(runtime_, &cri::RuntimeService::Stub::Version, request, &response, kList, "Version", ""));
    return CriVersion{.runtime_name = response.runtime_name(), .runtime_version = response.runtime_version()};
  }

  Result<CriStatus> status() override {
    cri::StatusRequest request;
    cri::StatusResponse response;
    TRY(call(runtime_, &cri::RuntimeService::Stub::Status, request, &response, kList, "Status", ""));
    CriStatus out;
    for (const auto& c : response.status().conditions()) {
      if (c.type() == "RuntimeReady") out.runtime_ready = c.status();
      if (c.type() == "NetworkReady") out.network_ready = c.status();
      if (!c.status())
        out.reason += (out.reason.empty() ? "" : "; ") + c.type() + ": " + c.reason() + " " + c.message();
    }
    return out;
  }

  Result<std::vector<CriSandbox>> list_sandboxes(const std::string& uid) override {
    cri::ListPodSandboxRequest request;
    cri::ListPodSandboxResponse response;
    if (!uid.empty()) (*request.mutable_filter()->mutable_label_selector())["io.kubernetes.pod.uid"] = uid;
    TRY(call(runtime_, &cri::RuntimeService::Stub::ListPodSandbox, request, &response, kList, "ListPodSandbox", uid));
    std::vector<CriSandbox> out;
    for (const auto& s : response.items()) out.push_back(decode_sandbox(s));
    return out;
  }

  Result<std::vector<CriContainer>> list_containers(const std::string& uid) override {
    cri::ListContainersRequest request;
    cri::ListContainersResponse response;
    if (!uid.empty()) (*request.mutable_filter()->mutable_label_selector())["io.kubernetes.pod.uid"] = uid;
    TRY(call(runtime_, &cri::RuntimeService::Stub::ListContainers, request, &response, kList, "ListContainers", uid));
    std::vector<CriContainer> out;
    for (const auto& c : response.containers()) {
      out.push_back(decode_container(c));
      out.back().sandbox_id = c.pod_sandbox_id();
    }
    return out;
  }

  Result<CriSandbox> sandbox_status(const std::string& id) override {
    cri::PodSandboxStatusRequest request;
    cri::PodSandboxStatusResponse response;
    request.set_pod_sandbox_id(id);
    TRY(call(runtime_, &cri::RuntimeService::Stub::PodSandboxStatus, request, &response, kList, "PodSandboxStatus",
             id));
    auto out = decode_sandbox(response.status());
    const auto& network = response.status().network();
    if (!network.ip().empty()) out.ips.push_back(network.ip());
    for (const auto& ip : network.additional_ips()) out.ips.push_back(ip.ip());
    return out;
  }

  Result<CriContainer> container_status(const std::string& id) override {
    cri::ContainerStatusRequest request;
    cri::ContainerStatusResponse response;
    request.set_container_id(id);
    TRY(call(runtime_, &cri::RuntimeService::Stub::ContainerStatus, request, &response, kList, "ContainerStatus", id));
    const auto& s = response.status();
    auto out = decode_container(s);
    out.started = from_nanos(s.started_at());
    out.finished = from_nanos(s.finished_at());
    out.exit_code = s.exit_code();
    out.reason = s.reason();
    out.message = s.message();
    out.log_path = s.log_path();
    return out;
  }

  Result<std::string> run_sandbox(const CriSandboxConfig& config) override {
    cri::RunPodSandboxRequest request;
    cri::RunPodSandboxResponse response;
    *request.mutable_config() = encode(config);
    TRY(call(runtime_, &cri::RuntimeService::Stub::RunPodSandbox, request, &response, kRunSandbox, "RunPodSandbox",
             config.name));
    return response.pod_sandbox_id();
  }

  Result<> stop_sandbox(const std::string& id) override {
    cri::StopPodSandboxRequest request;
    cri::StopPodSandboxResponse response;
    request.set_pod_sandbox_id(id);
    return call(runtime_, &cri::RuntimeService::Stub::StopPodSandbox, request, &response, kCall, "StopPodSandbox", id);
  }

  Result<> remove_sandbox(const std::string& id) override {
    cri::RemovePodSandboxRequest request;
    cri::RemovePodSandboxResponse response;
    request.set_pod_sandbox_id(id);
    return call(runtime_, &cri::RuntimeService::Stub::RemovePodSandbox, request, &response, kCall, "RemovePodSandbox",
                id);
  }

  Result<std::string> create_container(const std::string& sandbox, const CriContainerConfig& config,
                                       const CriSandboxConfig& sandbox_config) override {
    cri::CreateContainerRequest request;
    cri::CreateContainerResponse response;
    request.set_pod_sandbox_id(sandbox);
    *request.mutable_config() = encode(config);
    *request.mutable_sandbox_config() = encode(sandbox_config);
    TRY(call(runtime_, &cri::RuntimeService::Stub::CreateContainer, request, &response, kCall, "CreateContainer",
             config.name));
    return response.container_id();
  }

  Result<> start_container(const std::string& id) override {
    cri::StartContainerRequest request;
    cri::StartContainerResponse response;
    request.set_container_id(id);
    return call(runtime_, &cri::RuntimeService::Stub::StartContainer, request, &response, kCall, "StartContainer", id);
  }

  Result<> stop_container(const std::string& id, seconds grace) override {
    cri::StopContainerRequest request;
    cri::StopContainerResponse response;
    request.set_container_id(id);
    request.set_timeout(grace.count());
    return call(runtime_, &cri::RuntimeService::Stub::StopContainer, request, &response, kCall + grace, "StopContainer",
                id);
  }

  Result<> remove_container(const std::string& id) override {
    cri::RemoveContainerRequest request;
    cri::RemoveContainerResponse response;
    request.set_container_id(id);
    return call(runtime_, &cri::RuntimeService::Stub::RemoveContainer, request, &response, kCall, "RemoveContainer",
                id);
  }

  Result<CriExec> exec_sync(const std::string& id, const std::vector<std::string>& command, seconds timeout) override {
    cri::ExecSyncRequest request;
    cri::ExecSyncResponse response;
    request.set_container_id(id);
    for (const auto& word : command) request.add_cmd(word);
    request.set_timeout(timeout.count());
    // 0 = as long as the command takes; the runtime's own limit comes first otherwise.
    auto limit = timeout.count() == 0 ? std::chrono::hours(24) : timeout + seconds(10);
    TRY(call(runtime_, &cri::RuntimeService::Stub::ExecSync, request, &response, limit, "ExecSync", id));
    return CriExec{.out = response.stdout(), .err = response.stderr(), .exit_code = response.exit_code()};
  }

  Result<std::optional<CriImage>> image_status(const std::string& reference) override {
    cri::ImageStatusRequest request;
    cri::ImageStatusResponse response;
    request.mutable_image()->set_image(reference);
    TRY(call(images_, &cri::ImageService::Stub::ImageStatus, request, &response, kCall, "ImageStatus", reference));
    if (!response.has_image()) return std::nullopt;
    CriImage out{.id = response.image().id(), .username = response.image().username()};
    if (response.image().has_uid()) out.uid = response.image().uid().value();
    return out;
  }

  Result<std::string> pull_image(const std::string& reference, std::stop_token given_up) override {
    cri::PullImageRequest request;
    cri::PullImageResponse response;
    request.mutable_image()->set_image(reference);
    TRY(call(images_, &cri::ImageService::Stub::PullImage, request, &response, kPull, "PullImage", reference,
             std::move(given_up)));
    return response.image_ref();
  }

 private:
  template <typename Stub, typename Request, typename Response>
  Result<> call(const std::unique_ptr<Stub>& stub,
                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*), const Request& request,
                Response* response, seconds limit, const char* op, const std::string& subject,
                std::stop_token given_up = {}) {
    grpc::ClientContext context;
    std::stop_callback cancel(given_up, [&context] { context.TryCancel(); });  // also before the call has begun
    context.set_deadline(std::chrono::system_clock::now() + limit);
    auto status = ((*stub).*method)(&context, request, response);
    if (status.ok()) return {};
    return fail(Error::of(kind_of(static_cast<Code>(status.error_code())), op, subject, status.error_message()));
  }

  std::unique_ptr<cri::RuntimeService::Stub> runtime_;
  std::unique_ptr<cri::ImageService::Stub> images_;
};

}  // namespace

std::unique_ptr<RuntimeClient> connect_runtime(const std::string& socket) {
  return std::make_unique<GrpcRuntime>(socket);
}

}  // namespace podshim::podlet
