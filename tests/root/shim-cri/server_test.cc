// The server over a fake runtime: the socket, the lanes, cancelling clients, unknown methods.
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <thread>

#include "runtime.grpc.pb.h"
#include "shim/cri/client.h"
#include "tests/root/shim-cri/server_fixture.h"

namespace podshim::test {
namespace {

namespace v1 = ::runtime::v1;
using namespace std::chrono_literals;

class Grpc : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    auto channel = grpc::CreateChannel("unix:" + socket, grpc::InsecureChannelCredentials());
    stub = v1::RuntimeService::NewStub(channel);
    images = v1::ImageService::NewStub(channel);
  }
  template <typename Request, typename Response>
  grpc::Status call(grpc::Status (v1::RuntimeService::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response, std::chrono::milliseconds deadline = 10s) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + deadline);
    return (stub.get()->*method)(&context, request, response);
  }
  std::string run_pod(const std::string& name) {
    v1::RunPodSandboxRequest request;
    request.mutable_config()->mutable_metadata()->set_name(name);
    request.mutable_config()->mutable_metadata()->set_uid("u-" + name);
    request.mutable_config()->mutable_metadata()->set_namespace_("default");
    v1::RunPodSandboxResponse response;
    const auto status = call(&v1::RuntimeService::Stub::RunPodSandbox, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.pod_sandbox_id();
  }
  std::string run_container(const std::string& pod, const std::string& name) {
    v1::CreateContainerRequest request;
    request.set_pod_sandbox_id(pod);
    request.mutable_config()->mutable_metadata()->set_name(name);
    request.mutable_config()->mutable_image()->set_image("example.com/app:1");
    v1::CreateContainerResponse response;
    auto status = call(&v1::RuntimeService::Stub::CreateContainer, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    v1::StartContainerRequest start;
    start.set_container_id(response.container_id());
    v1::StartContainerResponse started;
    status = call(&v1::RuntimeService::Stub::StartContainer, start, &started);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.container_id();
  }
  std::unique_ptr<v1::RuntimeService::Stub> stub;
  std::unique_ptr<v1::ImageService::Stub> images;
};

TEST_F(Grpc, SocketIsOursAlone) {
  struct stat st{};
  ASSERT_EQ(::stat(socket.c_str(), &st), 0);
  EXPECT_TRUE(S_ISSOCK(st.st_mode));
  EXPECT_EQ(st.st_mode & 07777, 0600u);
}

TEST_F(Grpc, SecondServerOnTheSocketFailsAtOnce) {
  const auto since = std::chrono::steady_clock::now();
  const auto second = cri::Listener::open(socket);
  EXPECT_LT(std::chrono::steady_clock::now() - since, 10s);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().kind, ErrorKind::unavailable);
  EXPECT_NE(second.error().text().find(std::to_string(::getpid())), std::string::npos) << second.error().text();
  EXPECT_NE(second.error().text().find(socket), std::string::npos);
  v1::VersionResponse version;  // and the first goes on serving
  EXPECT_TRUE(call(&v1::RuntimeService::Stub::Version, v1::VersionRequest(), &version).ok());
}

TEST_F(Grpc, AnsweredFieldsOfVersionStatusAndRuntimeConfig) {
  v1::VersionResponse version;
  ASSERT_TRUE(call(&v1::RuntimeService::Stub::Version, v1::VersionRequest(), &version).ok());
  EXPECT_EQ(version.version(), "0.1.0");
  EXPECT_EQ(version.runtime_name(), "podshim");
  EXPECT_EQ(version.runtime_version(), "0.1.0");
  EXPECT_EQ(version.runtime_api_version(), "v1");
  v1::StatusRequest request;
  request.set_verbose(true);
  v1::StatusResponse status;
  ASSERT_TRUE(call(&v1::RuntimeService::Stub::Status, request, &status).ok());
  ASSERT_EQ(status.status().conditions_size(), 2);
  EXPECT_EQ(status.status().conditions(0).type(), "RuntimeReady");
  EXPECT_TRUE(status.status().conditions(0).status());
  EXPECT_EQ(status.status().conditions(1).type(), "NetworkReady");
  EXPECT_EQ(status.status().conditions(1).reason(), "NoNetworkConfig");
  ASSERT_EQ(status.runtime_handlers_size(), 1);
  EXPECT_EQ(status.runtime_handlers(0).name(), "");
  EXPECT_NE(status.info().at("config").find("\"stateDir\":\"/run/podshim\""), std::string::npos);
  v1::RuntimeConfigResponse rc;
  ASSERT_TRUE(call(&v1::RuntimeService::Stub::RuntimeConfig, v1::RuntimeConfigRequest(), &rc).ok());
  EXPECT_EQ(rc.linux().cgroup_driver(), v1::CGROUPFS);
  v1::UpdateRuntimeConfigRequest update;
  update.mutable_runtime_config()->mutable_network_config()->set_pod_cidr("10.42.7.0/24");
  v1::UpdateRuntimeConfigResponse updated;
  ASSERT_TRUE(call(&v1::RuntimeService::Stub::UpdateRuntimeConfig, update, &updated).ok());
  EXPECT_EQ(runtime.pod_cidr(), "10.42.7.0/24");
}

TEST_F(Grpc, WhatIsNotServedSaysSoByName) {
  v1::CheckpointContainerResponse checkpoint;
  auto status = call(&v1::RuntimeService::Stub::CheckpointContainer, v1::CheckpointContainerRequest(), &checkpoint);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_NE(status.error_message().find("/runtime.v1.RuntimeService/CheckpointContainer"), std::string::npos)
      << status.error_message();
}

TEST_F(Grpc, ErrorsCarryCodeFieldAndValue) {
  v1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id("0c4d5f6e-0000-4000-8000-000000000000");
  v1::PodSandboxStatusResponse response;
  auto status = call(&v1::RuntimeService::Stub::PodSandboxStatus, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND) << status.error_message();
  v1::RunPodSandboxResponse run;
  status = call(&v1::RuntimeService::Stub::RunPodSandbox, v1::RunPodSandboxRequest(), &run);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  v1::StopPodSandboxRequest stop;  // unknown ids of stop and remove are fine
  stop.set_pod_sandbox_id("nothing");
  v1::StopPodSandboxResponse stopped;
  EXPECT_TRUE(call(&v1::RuntimeService::Stub::StopPodSandbox, stop, &stopped).ok());
}

TEST_F(Grpc, ABrokenRequestIsAnError) {
  const auto unary = [&](const std::string& bytes) {
    grpc::ClientContext context;
    auto channel = grpc::CreateChannel("unix:" + socket, grpc::InsecureChannelCredentials());
    grpc::internal::RpcMethod method("/runtime.v1.RuntimeService/RunPodSandbox", grpc::internal::RpcMethod::NORMAL_RPC);
    grpc::Slice slice(bytes);
    grpc::ByteBuffer request(&slice, 1), response;
    return grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(channel.get(), method, &context,
                                                                                 request, &response);
  };
  EXPECT_EQ(unary("\x0a\xff\xff").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(unary("").error_code(), grpc::StatusCode::INVALID_ARGUMENT);  // parses, has no config
}

TEST_F(Grpc, SixtyFourHangingStopsDelayNothingElse) {
  const auto pod = run_pod("web");
  std::vector<std::string> ids;
  for (int i = 0; i < 64; i++) ids.push_back(run_container(pod, "c" + std::to_string(i)));
  runtime.hang_stops();
  std::vector<std::thread> stops;
  std::atomic<int> stopped = 0;
  for (const auto& id : ids) {
    stops.emplace_back([&, id] {
      v1::StopContainerRequest request;
      request.set_container_id(id);
      request.set_timeout(600);
      v1::StopContainerResponse response;
      stopped += call(&v1::RuntimeService::Stub::StopContainer, request, &response, 120s).ok();
    });
  }
  for (int i = 0; i < 6000 && runtime.hanging_stops() < 64; i++) std::this_thread::sleep_for(5ms);
  ASSERT_EQ(runtime.hanging_stops(), 64);

  const auto timed = [](auto&& work) {
    const auto since = std::chrono::steady_clock::now();
    work();
    return std::chrono::steady_clock::now() - since;
  };
  v1::ListContainersResponse list;
  v1::StatusResponse status;
  EXPECT_LT(timed([&] {
              EXPECT_TRUE(call(&v1::RuntimeService::Stub::ListContainers, v1::ListContainersRequest(), &list).ok());
            }),
            10s);
  EXPECT_EQ(list.containers_size(), 64);
  EXPECT_LT(timed([&] { EXPECT_TRUE(call(&v1::RuntimeService::Stub::Status, v1::StatusRequest(), &status).ok()); }),
            10s);
  EXPECT_LT(timed([&] { run_container(run_pod("other"), "new"); }), 10s);
  cri::AdminClient admin(socket);
  const auto now = admin.status();
  ASSERT_TRUE(now.has_value()) << now.error().text();
  EXPECT_GE(now->running.size(), 64u);
  EXPECT_NE(now->running[0].name.find("StopContainer"), std::string::npos);
  EXPECT_EQ(stopped, 0);

  runtime.release_stops();
  for (auto& thread : stops) thread.join();
  EXPECT_EQ(stopped, 64);
}

TEST_F(Grpc, ACancellingClientDoesNotCancelTheOperation) {
  const auto id = run_container(run_pod("web"), "app");
  runtime.hang_stops();
  v1::StopContainerRequest request;
  request.set_container_id(id);
  v1::StopContainerResponse response;
  for (auto deadline = 200ms; runtime.hanging_stops() == 0 && deadline < 30s; deadline *= 4)  // until one came so far
    EXPECT_EQ(call(&v1::RuntimeService::Stub::StopContainer, request, &response, deadline).error_code(),
              grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(runtime.hanging_stops(), 1);
  runtime.release_stops();
  for (int i = 0; i < 1000 && (*runtime.container(id))->state != ContainerState::exited; i++)
    std::this_thread::sleep_for(5ms);
  EXPECT_EQ((*runtime.container(id))->state, ContainerState::exited);
}

TEST_F(Grpc, StopDoesNotWaitForWhatWaitsByRequest) {
  const auto id = run_container(run_pod("web"), "app");
  runtime.hang_stops();
  std::thread client([&] {
    v1::StopContainerRequest request;
    request.set_container_id(id);
    v1::StopContainerResponse response;
    call(&v1::RuntimeService::Stub::StopContainer, request, &response);
  });
  for (int i = 0; i < 1000 && runtime.hanging_stops() == 0; i++) std::this_thread::sleep_for(5ms);
  const auto since = std::chrono::steady_clock::now();
  EXPECT_FALSE(server->stop(30s));
  EXPECT_LT(std::chrono::steady_clock::now() - since, 20s);
  runtime.release_stops();
  EXPECT_TRUE(server->stop(10s));
  client.join();
}

// CRI: 0 for what was read for the answer, else when it was, in nanoseconds.
TEST_F(Grpc, MetricsTellWhenTheyWereReadIfNotNow) {
  run_container(run_pod("web"), "app");
  v1::ListPodSandboxMetricsResponse response;
  ASSERT_TRUE(
      call(&v1::RuntimeService::Stub::ListPodSandboxMetrics, v1::ListPodSandboxMetricsRequest(), &response).ok());
  ASSERT_EQ(response.pod_metrics_size(), 1);
  ASSERT_EQ(response.pod_metrics(0).container_metrics_size(), 1);
  EXPECT_GT(response.pod_metrics(0).metrics_size(), 0);
  for (const auto& metric : response.pod_metrics(0).metrics()) EXPECT_EQ(metric.timestamp(), 0) << metric.name();
  int layers = 0;
  for (const auto& metric : response.pod_metrics(0).container_metrics(0).metrics()) {
    const bool layer = metric.name() == "container_fs_usage_bytes";
    layers += layer ? 1 : 0;
    if (layer) {
      EXPECT_GT(metric.timestamp(), 1'600'000'000'000'000'000);
    } else {
      EXPECT_EQ(metric.timestamp(), 0) << metric.name();
    }
  }
  EXPECT_EQ(layers, 1);
}

TEST_F(Grpc, AttachAsksForNoTerminalThatIsNotThere) {
  const auto pod = run_pod("web");
  const auto plain = run_container(pod, "plain");
  const auto terminal = runtime.create_container(
      pod, {.metadata = {.name = "terminal"}, .image = "example.com/app:1", .stdin_open = true, .tty = true});
  ASSERT_TRUE(terminal && runtime.start_container(terminal->str()));
  const auto attach = [&](const std::string& id, bool tty) {
    v1::AttachRequest request;
    request.set_container_id(id);
    request.set_stdin(true);  // which `plain` has not: its output is there to see
    request.set_stdout(true);
    request.set_stderr(!tty);
    request.set_tty(tty);
    v1::AttachResponse response;
    const auto status = call(&v1::RuntimeService::Stub::Attach, request, &response);
    EXPECT_EQ(status.ok(), response.url().starts_with("http")) << response.url();
    return status;
  };
  const auto refused = attach(plain, true);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(refused.error_message().find("invalid tty: is set, but the container has no terminal"), std::string::npos)
      << refused.error_message();
  EXPECT_NE(refused.error_message().find(plain), std::string::npos) << refused.error_message();
  EXPECT_TRUE(attach(plain, false).ok());
  for (const bool tty : {true, false}) EXPECT_TRUE(attach(terminal->str(), tty).ok()) << tty;
}

TEST_F(Grpc, PullAnswersForImagesThatAreHere) {
  v1::PullImageRequest request;
  request.mutable_image()->set_image("example.com/app:1");
  v1::PullImageResponse response;
  grpc::ClientContext present, absent;
  ASSERT_TRUE(images->PullImage(&present, request, &response).ok());
  EXPECT_EQ(response.image_ref(), "sha256:" + std::string(64, '1'));
  request.mutable_image()->set_image("example.com/none:1");
  const auto status = images->PullImage(&absent, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_NE(status.error_message().find("podshim image import"), std::string::npos) << status.error_message();
}

TEST_F(Grpc, AdminAnswers) {
  cri::AdminClient admin(socket);
  const auto findings = admin.doctor();
  ASSERT_TRUE(findings.has_value());
  EXPECT_EQ((*findings)[0].check, "x");
  EXPECT_EQ((*findings)[0].level, Finding::Level::problem);
  EXPECT_EQ(admin.list_images()->size(), 1u);
  const auto imported = admin.import_images({"/no/such/archive.tar"});
  ASSERT_FALSE(imported.has_value());
  EXPECT_NE(imported.error().text().find("/no/such/archive.tar: ENOENT"), std::string::npos) << imported.error().text();
  EXPECT_EQ(admin.import_images({"archive.tar"}).error().kind, ErrorKind::invalid_argument);
  EXPECT_TRUE(admin.remove_image("example.com/app:1").has_value());
  EXPECT_EQ(admin.status()->images, 0u);
}

TEST_F(Grpc, TimelinesAreFoundByIdPrefixAndName) {
  const auto pod = run_pod("web"), other = run_pod("other");
  const auto id = run_container(pod, "app");
  cri::AdminClient admin(socket);
  std::string unique = pod;
  while (unique.size() > 1 && !other.starts_with(unique.substr(0, unique.size() - 1))) unique.pop_back();
  for (const auto& name : {pod, unique, std::string("default/web")}) {
    const auto found = admin.timeline(name);
    ASSERT_TRUE(found.has_value()) << found.error().text();
    EXPECT_EQ(found->sandbox, pod);
    ASSERT_EQ(found->operations.size(), 2u);
    EXPECT_EQ(found->operations[0].operation, "RunPodSandbox");
    ASSERT_EQ(found->operations[0].stages.size(), 3u);
    EXPECT_EQ(found->operations[0].stages[2].name, "cni/bridge");
    EXPECT_EQ(found->operations[0].stages[2].took, std::chrono::microseconds(300));
    EXPECT_EQ(found->operations[1].name, "app");
    EXPECT_EQ(found->operations[1].container, id);
  }
  EXPECT_EQ(admin.timeline("default/none").error().kind, ErrorKind::not_found);
  EXPECT_EQ(admin.timeline("none").error().kind, ErrorKind::not_found);
  v1::ContainerStatusRequest request;
  request.set_container_id(id);
  request.set_verbose(true);
  v1::ContainerStatusResponse response;
  ASSERT_TRUE(call(&v1::RuntimeService::Stub::ContainerStatus, request, &response).ok());
  EXPECT_NE(response.info().at("timeline").find("\"operation\":\"StartContainer\""), std::string::npos);
  EXPECT_EQ(response.info().at("timeline").find("RunPodSandbox"), std::string::npos);
  v1::PodSandboxStatusRequest of_pod;
  of_pod.set_pod_sandbox_id(pod);
  of_pod.set_verbose(true);
  v1::PodSandboxStatusResponse answer;
  ASSERT_TRUE(call(&v1::RuntimeService::Stub::PodSandboxStatus, of_pod, &answer).ok());
  EXPECT_NE(answer.info().at("timeline").find("\"name\":\"cni/bridge\""), std::string::npos);
}

TEST(AdminClient, SaysThatNobodyAnswers) {
  cri::AdminClient admin("/tmp/podshim-no-such.sock");
  const auto status = admin.status();
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().kind, ErrorKind::unavailable);
  EXPECT_NE(status.error().text().find("/tmp/podshim-no-such.sock"), std::string::npos) << status.error().text();
}

TEST_F(Grpc, GarbageOnTheSocketHurtsNobody) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s", socket.c_str());
  for (int i = 0; i < 20; i++) {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const std::string garbage(100 + i, static_cast<char>(i));
    ASSERT_EQ(::send(fd.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL), static_cast<ssize_t>(garbage.size()));
  }
  v1::VersionResponse version;
  EXPECT_TRUE(call(&v1::RuntimeService::Stub::Version, v1::VersionRequest(), &version).ok());
}

}  // namespace
}  // namespace podshim::test
