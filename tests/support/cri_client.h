// CriClient: a plain synchronous CRI client for tests and the bench, so that what drives the daemon here is not podlet.
// Every call has a deadline. One thread per client.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "runtime.grpc.pb.h"

namespace podshim::test {

namespace cri = ::runtime::v1;

class CriClient {
 public:
  explicit CriClient(const std::string& socket, std::chrono::seconds deadline = std::chrono::seconds(60));

  cri::RuntimeService::Stub& runtime() { return *runtime_; }
  cri::ImageService::Stub& images() { return *images_; }

  // Calls a stub method with the deadline: call(&Stub::Version, request, &response).
  template <typename Stub, typename Request, typename Response>
  grpc::Status call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + deadline_);
    if constexpr (std::is_base_of_v<cri::RuntimeService::StubInterface, Stub>) {
      return (runtime_.get()->*method)(&context, request, response);
    } else {
      return (images_.get()->*method)(&context, request, response);
    }
  }
  bool wait_ready(std::chrono::milliseconds limit);

  // Short forms for the usual life; the status carries the reason.
  struct Id {
    grpc::Status status;
    std::string id;
  };
  Id run_sandbox(const cri::PodSandboxConfig& config);
  Id create_container(const std::string& sandbox, const cri::ContainerConfig& container,
                      const cri::PodSandboxConfig& config);
  grpc::Status start(const std::string& container);
  grpc::Status stop(const std::string& container, int seconds);
  grpc::Status remove(const std::string& container);
  grpc::Status stop_sandbox(const std::string& id);
  grpc::Status remove_sandbox(const std::string& id);
  grpc::Status exec(const std::string& container, const std::vector<std::string>& command, int timeout_seconds,
                    cri::ExecSyncResponse* out);
  cri::PodSandboxStatus sandbox_status(const std::string& id);
  cri::ContainerStatus container_status(const std::string& id);
  // Polls ContainerStatus until `state`; false after `limit`.
  bool wait_state(const std::string& container, cri::ContainerState state, std::chrono::milliseconds limit);

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<cri::RuntimeService::Stub> runtime_;
  std::unique_ptr<cri::ImageService::Stub> images_;
  std::string socket_;
  std::chrono::seconds deadline_;
};

cri::PodSandboxConfig pod_config(const std::string& name, const std::string& cgroup_parent);
cri::ContainerConfig container_config(const std::string& name, const std::string& image,
                                      const std::vector<std::string>& command);

}  // namespace podshim::test
