#include "tests/support/cri_client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <thread>

#include "tests/support/node.h"

namespace podshim::test {

static bool listening(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool ok = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return ok;
}

CriClient::CriClient(const std::string& socket, std::chrono::seconds deadline) : socket_(socket), deadline_(deadline) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  channel_ = grpc::CreateCustomChannel("unix://" + socket, grpc::InsecureChannelCredentials(), arguments);
  runtime_ = cri::RuntimeService::NewStub(channel_);
  images_ = cri::ImageService::NewStub(channel_);
}

bool CriClient::wait_ready(std::chrono::milliseconds limit) {
  auto end = std::chrono::steady_clock::now() + limit;
  // A channel that met no socket backs off for seconds: it is asked only once somebody listens.
  while (!listening(socket_) && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  while (std::chrono::steady_clock::now() < end) {
    cri::VersionResponse version;
    if (call(&cri::RuntimeService::Stub::Version, cri::VersionRequest(), &version).ok()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

CriClient::Id CriClient::run_sandbox(const cri::PodSandboxConfig& config) {
  cri::RunPodSandboxRequest request;
  *request.mutable_config() = config;
  cri::RunPodSandboxResponse response;
  auto status = call(&cri::RuntimeService::Stub::RunPodSandbox, request, &response);
  return {status, response.pod_sandbox_id()};
}

CriClient::Id CriClient::create_container(const std::string& sandbox, const cri::ContainerConfig& container,
                                          const cri::PodSandboxConfig& config) {
  cri::CreateContainerRequest request;
  request.set_pod_sandbox_id(sandbox);
  *request.mutable_config() = container;
  *request.mutable_sandbox_config() = config;
  cri::CreateContainerResponse response;
  auto status = call(&cri::RuntimeService::Stub::CreateContainer, request, &response);
  return {status, response.container_id()};
}

grpc::Status CriClient::start(const std::string& container) {
  cri::StartContainerRequest request;
  request.set_container_id(container);
  cri::StartContainerResponse response;
  return call(&cri::RuntimeService::Stub::StartContainer, request, &response);
}

grpc::Status CriClient::stop(const std::string& container, int seconds) {
  cri::StopContainerRequest request;
  request.set_container_id(container);
  request.set_timeout(seconds);
  cri::StopContainerResponse response;
  return call(&cri::RuntimeService::Stub::StopContainer, request, &response);
}

grpc::Status CriClient::remove(const std::string& container) {
  cri::RemoveContainerRequest request;
  request.set_container_id(container);
  cri::RemoveContainerResponse response;
  return call(&cri::RuntimeService::Stub::RemoveContainer, request, &response);
}

grpc::Status CriClient::stop_sandbox(const std::string& id) {
  cri::StopPodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  cri::StopPodSandboxResponse response;
  return call(&cri::RuntimeService::Stub::StopPodSandbox, request, &response);
}

grpc::Status CriClient::remove_sandbox(const std::string& id) {
  cri::RemovePodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  cri::RemovePodSandboxResponse response;
  return call(&cri::RuntimeService::Stub::RemovePodSandbox, request, &response);
}

grpc::Status CriClient::exec(const std::string& container, const std::vector<std::string>& command, int timeout_seconds,
                             cri::ExecSyncResponse* out) {
  cri::ExecSyncRequest request;
  request.set_container_id(container);
  for (const auto& word : command) request.add_cmd(word);
  request.set_timeout(timeout_seconds);
  return call(&cri::RuntimeService::Stub::ExecSync, request, out);
}

cri::PodSandboxStatus CriClient::sandbox_status(const std::string& id) {
  cri::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(id);
  cri::PodSandboxStatusResponse response;
  call(&cri::RuntimeService::Stub::PodSandboxStatus, request, &response);
  return response.status();
}

cri::ContainerStatus CriClient::container_status(const std::string& id) {
  cri::ContainerStatusRequest request;
  request.set_container_id(id);
  cri::ContainerStatusResponse response;
  call(&cri::RuntimeService::Stub::ContainerStatus, request, &response);
  return response.status();
}

bool CriClient::wait_state(const std::string& container, cri::ContainerState state, std::chrono::milliseconds limit) {
  auto end = std::chrono::steady_clock::now() + limit * slowness();
  do {
    if (container_status(container).state() == state) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

cri::PodSandboxConfig pod_config(const std::string& name, const std::string& cgroup_parent) {
  cri::PodSandboxConfig config;
  auto& metadata = *config.mutable_metadata();
  metadata.set_name(name);
  metadata.set_uid("uid-" + name);
  metadata.set_namespace_("default");
  config.set_hostname(name);
  auto& linux = *config.mutable_linux();
  linux.set_cgroup_parent(cgroup_parent);
  linux.mutable_security_context()->mutable_namespace_options()->set_pid(cri::NamespaceMode::CONTAINER);
  return config;
}

cri::ContainerConfig container_config(const std::string& name, const std::string& image,
                                      const std::vector<std::string>& command) {
  cri::ContainerConfig config;
  config.mutable_metadata()->set_name(name);
  config.mutable_image()->set_image(image);
  for (const auto& word : command) config.add_command(word);
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
      cri::NamespaceMode::CONTAINER);
  return config;
}

}  // namespace podshim::test
