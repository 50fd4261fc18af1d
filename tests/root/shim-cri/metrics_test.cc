// The metrics of a server that was called, read as the page gives them: by curl and by Prometheus' own Python client,
// which are not ours.
#include <grpcpp/grpcpp.h>

#include <array>
#include <cstdio>

#include "runtime.grpc.pb.h"
#include "shim/cri/gauges.h"
#include "shim/metrics/http.h"
#include "tests/root/shim-cri/server_fixture.h"

namespace podshim::test {
namespace {

namespace v1 = ::runtime::v1;

// What a command prints on stdout; its exit code.
std::pair<std::string, int> output_of(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "re");
  std::array<char, 4096> buffer{};
  while (const auto n = std::fread(buffer.data(), 1, buffer.size(), pipe)) out.append(buffer.data(), n);
  return {out, ::pclose(pipe)};
}

class MetricsPage : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    border.streaming_sessions = [] { return std::size_t{4}; };
    auto stub = v1::RuntimeService::NewStub(grpc::CreateChannel("unix:" + socket, grpc::InsecureChannelCredentials()));
    for (int i = 0; i < 3; i++) {
      grpc::ClientContext context;
      v1::VersionResponse version;
      EXPECT_TRUE(stub->Version(&context, v1::VersionRequest(), &version).ok());
    }
    grpc::ClientContext unknown, listed;
    v1::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id("none");
    v1::PodSandboxStatusResponse status;
    EXPECT_EQ(stub->PodSandboxStatus(&unknown, request, &status).error_code(), grpc::StatusCode::NOT_FOUND);
    auto stream = stub->StreamContainers(&listed, v1::StreamContainersRequest());
    EXPECT_TRUE(stream->Finish().ok());
    const auto pod = runtime.run_sandbox({.metadata = {.name = "web", .uid = "u", .name_space = "d"}})->str();
    const auto id = runtime.create_container(pod, {.metadata = {.name = "a"}, .image = "example.com/app:1"})->str();
    EXPECT_TRUE(runtime.start_container(id).has_value());
    metrics.stage("RunPodSandbox", "cni/bridge", std::chrono::milliseconds(2));
    auto started =
        MetricsServer::start(*IpAddress::parse("127.0.0.1"), 0, [this] { return metrics.text(cri::gauges(border)); });
    ASSERT_TRUE(started.has_value()) << started.error().text();
    page = *std::move(started);
    url = "http://127.0.0.1:" + std::to_string(page->port()) + "/metrics";
  }
  void TearDown() override { page.reset(); }

  std::unique_ptr<MetricsServer> page;
  std::string url;
};

TEST_F(MetricsPage, IsWhatHappened) {
  const auto [text, code] = output_of("curl -sS --noproxy '*' --max-time 20 " + url);
  ASSERT_EQ(code, 0);
  for (const char* line : {
           R"(podshim_cri_request_duration_seconds_count{code="OK",method="Version"} 3)",
           R"(podshim_cri_request_duration_seconds_count{code="NOT_FOUND",method="PodSandboxStatus"} 1)",
           R"(podshim_cri_request_duration_seconds_count{code="OK",method="StreamContainers"} 1)",
           R"(podshim_stage_duration_seconds_count{operation="RunPodSandbox",stage="cni/bridge"} 1)",
           R"(podshim_sandboxes{state="ready"} 1)",
           R"(podshim_sandboxes{state="not_ready"} 0)",
           R"(podshim_containers{state="running"} 1)",
           R"(podshim_containers{state="exited"} 0)",
           "podshim_streaming_sessions 4",
           "podshim_cni_debts 2",
           "podshim_quarantined_records 0",
           "podshim_log_dropped_bytes 0",
           "podshim_event_subscribers 0",
           "podshim_cri_requests_running 0",
       })
    EXPECT_NE(text.find(std::string("\n") + line + "\n"), std::string::npos) << line << "\n" << text;
}

TEST_F(MetricsPage, IsReadByPrometheusOwnClient) {
  if (output_of("/usr/bin/python3 -c 'import prometheus_client' 2>&1").second != 0)
    GTEST_SKIP() << "python3-prometheus-client is not installed: the page was not read by it";
  const auto [text, code] = output_of("curl -sS --noproxy '*' --max-time 20 " + url +
                                      " | /usr/bin/python3 -c 'import sys\n"
                                      "from prometheus_client.parser import text_fd_to_metric_families as read\n"
                                      "for f in read(sys.stdin):\n"
                                      "  assert f.documentation and f.type != \"unknown\", f\n"
                                      "  print(f.name, f.type, len(f.samples))'");
  EXPECT_EQ(code, 0) << text;
  EXPECT_NE(text.find("podshim_cri_request_duration_seconds histogram"), std::string::npos) << text;
  EXPECT_NE(text.find("podshim_containers gauge 3"), std::string::npos) << text;
}

}  // namespace
}  // namespace podshim::test
