// Streamed lists over a real socket: the same as the unary lists, for clients with gRPC's usual limits and for those
// that go or stop reading.
#include <google/protobuf/util/message_differencer.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "runtime.grpc.pb.h"
#include "tests/root/shim-cri/server_fixture.h"

namespace podshim::test {
namespace {

namespace v1 = ::runtime::v1;
using namespace std::chrono_literals;

int threads() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("Threads:")) return std::stoi(line.substr(8));
  return -1;
}

class Streams : public ServerTest {
 protected:
  // limit -1: none.
  std::unique_ptr<v1::RuntimeService::Stub> client(int limit) {
    grpc::ChannelArguments arguments;
    if (limit != 0) arguments.SetMaxReceiveMessageSize(limit);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return v1::RuntimeService::NewStub(
        grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments));
  }
  // Containers that have ended, as a node collects them.
  void add_dead(int count) {
    const auto pod = runtime.run_sandbox({.metadata = {.name = "web", .uid = "u", .name_space = "d"}});
    ASSERT_TRUE(pod.has_value());
    for (int i = 0; i < count; i++) {
      ContainerSpec spec{.metadata = {.name = "c" + std::to_string(i)}, .image = "example.com/app:1"};
      spec.labels = {{"io.kubernetes.pod.uid", "u"}, {"io.kubernetes.container.name", "c"}};
      spec.annotations = {{"text", std::string(200, 'a')}};
      const auto id = runtime.create_container(pod->str(), spec);
      ASSERT_TRUE(id.has_value());
      ASSERT_TRUE(runtime.start_container(id->str()).has_value());
      ASSERT_TRUE(runtime.stop_container(id->str(), 0s).has_value());
    }
  }
};

TEST_F(Streams, TwentyThousandDeadContainersAreListedBothWays) {
  add_dead(20'000);
  auto usual = client(0), wide = client(-1);
  v1::ListContainersResponse unary;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(wide->ListContainers(&context, v1::ListContainersRequest(), &unary).ok());
  }
  ASSERT_EQ(unary.containers_size(), 20'000);
  EXPECT_GT(unary.ByteSizeLong(), 4UL << 20);
  {
    v1::ListContainersResponse refused;  // what the stream is for
    grpc::ClientContext context;
    EXPECT_EQ(usual->ListContainers(&context, v1::ListContainersRequest(), &refused).error_code(),
              grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
  grpc::ClientContext context;
  auto fresh = client(0);  // a refused answer of this size may keep its connection busy for seconds
  auto stream = fresh->StreamContainers(&context, v1::StreamContainersRequest());
  v1::ListContainersResponse joined;
  v1::StreamContainersResponse part;
  int messages = 0;
  while (stream->Read(&part)) {
    EXPECT_LE(part.ByteSizeLong(), 1UL << 20);
    EXPECT_GT(part.containers_size(), 0);
    for (auto& c : *part.mutable_containers()) *joined.add_containers() = std::move(c);
    messages++;
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_GT(messages, 3);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(joined, unary));  // order included
}

TEST_F(Streams, FiltersErrorsAndEmptyListsAreThoseOfTheUnaryLists) {
  add_dead(3);
  auto stub = client(0);
  const auto count = [&](const v1::StreamContainersRequest& request) {
    grpc::ClientContext context;
    auto stream = stub->StreamContainers(&context, request);
    v1::StreamContainersResponse part;
    int found = 0;
    while (stream->Read(&part)) found += part.containers_size();
    EXPECT_TRUE(stream->Finish().ok());
    return found;
  };
  v1::StreamContainersRequest request;
  EXPECT_EQ(count(request), 3);
  request.mutable_filter()->mutable_state()->set_state(v1::CONTAINER_RUNNING);
  EXPECT_EQ(count(request), 0);
  request.mutable_filter()->mutable_state()->set_state(v1::CONTAINER_EXITED);
  EXPECT_EQ(count(request), 3);
  grpc::ClientContext sandboxes, images;
  auto pods = stub->StreamPodSandboxes(&sandboxes, v1::StreamPodSandboxesRequest());
  v1::StreamPodSandboxesResponse pod;
  ASSERT_TRUE(pods->Read(&pod));
  EXPECT_EQ(pod.pod_sandboxes(0).metadata().name(), "web");
  EXPECT_FALSE(pods->Read(&pod));
  auto image_stub =
      v1::ImageService::NewStub(grpc::CreateChannel("unix:" + socket, grpc::InsecureChannelCredentials()));
  auto listed = image_stub->StreamImages(&images, v1::StreamImagesRequest());
  v1::StreamImagesResponse image;
  ASSERT_TRUE(listed->Read(&image));
  EXPECT_EQ(image.images(0).repo_tags(0), "example.com/app:1");
}

// Clients that read one message and then go, or sleep: no thread waits for them, and the server serves and ends.
TEST_F(Streams, ClientsThatGoOrSleepHoldNoThread) {
  add_dead(5'000);
  auto stub = client(0);
  v1::StreamContainersResponse part;
  for (int i = 0; i < 50; i++) {
    grpc::ClientContext context;
    auto stream = stub->StreamContainers(&context, v1::StreamContainersRequest());
    if (i % 2 == 0) {
      EXPECT_TRUE(stream->Read(&part));
    }
    context.TryCancel();
    while (stream->Read(&part)) {
    }
    (void)stream->Finish();
  }
  struct Sleeper {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::StreamContainersResponse>> stream;
  };
  const int before = threads();
  std::vector<std::unique_ptr<Sleeper>> sleepers;
  for (int i = 0; i < 50; i++) {
    auto& s = *sleepers.emplace_back(std::make_unique<Sleeper>());
    s.stream = stub->StreamContainers(&s.context, v1::StreamContainersRequest());
    EXPECT_TRUE(s.stream->Read(&part));
  }
  EXPECT_LT(threads(), before + 20);
  v1::VersionResponse version;
  grpc::ClientContext context;
  EXPECT_TRUE(stub->Version(&context, v1::VersionRequest(), &version).ok());
  EXPECT_TRUE(server->stop(10s));
  server.reset();  // with 50 streams open
  for (auto& s : sleepers) {
    while (s->stream->Read(&part)) {
    }
    (void)s->stream->Finish();
  }
}

}  // namespace
}  // namespace podshim::test
