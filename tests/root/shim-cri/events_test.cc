// GetContainerEvents over a real socket: what a kubelet needs of an event, and subscribers that sleep, go, or are too
// many.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <thread>

#include "runtime.grpc.pb.h"
#include "tests/root/shim-cri/server_fixture.h"

namespace podshim::test {
namespace {

namespace v1 = ::runtime::v1;
using namespace std::chrono_literals;

// One stream; a thread of the test reads it.
class Subscriber {
 public:
  explicit Subscriber(const std::string& socket) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stub_ = v1::RuntimeService::NewStub(
        grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments));
    context_.set_deadline(std::chrono::system_clock::now() + 60s);
    stream_ = stub_->GetContainerEvents(&context_, v1::GetEventsRequest());
  }
  bool read(v1::ContainerEventResponse* event) { return stream_->Read(event); }
  // All up to the end of `id`, by container.
  std::map<std::string, v1::ContainerEventType> read_until_deleted(const std::string& id) {
    std::map<std::string, v1::ContainerEventType> out;
    v1::ContainerEventResponse event;
    std::int64_t last = 0;
    while (stream_->Read(&event)) {
      EXPECT_GT(event.created_at(), last);
      last = event.created_at();
      count++;
      out[event.container_id()] = event.container_event_type();
      if (event.container_id() == id && event.container_event_type() == v1::CONTAINER_DELETED_EVENT) return out;
    }
    ADD_FAILURE() << "the stream ended: " << stream_->Finish().error_message();
    return out;
  }
  void cancel() { context_.TryCancel(); }
  grpc::Status finish() {
    v1::ContainerEventResponse event;
    while (stream_->Read(&event)) {
    }
    return stream_->Finish();
  }
  int count = 0;

 private:
  std::unique_ptr<v1::RuntimeService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::ContainerEventResponse>> stream_;
};

class Events : public ServerTest {
 protected:
  void wait_for_subscribers(std::size_t count) {
    for (int i = 0; i < 4000 && runtime.events().subscribers() != count; i++) std::this_thread::sleep_for(5ms);
    ASSERT_EQ(runtime.events().subscribers(), count);
  }
  std::string run_pod(const std::string& name) {
    return runtime.run_sandbox({.metadata = {.name = name, .uid = "u-" + name, .name_space = "d"}})->str();
  }
  std::string create(const std::string& pod, const std::string& name) {
    return runtime.create_container(pod, {.metadata = {.name = name}, .image = "example.com/app:1"})->str();
  }
};

TEST_F(Events, CarryWhatAKubeletReads) {
  Subscriber subscriber(socket);
  wait_for_subscribers(1);
  const auto pod = run_pod("web");
  v1::ContainerEventResponse event;
  const auto expect = [&](const std::string& id, v1::ContainerEventType type, v1::PodSandboxState state,
                          int containers) {
    ASSERT_TRUE(subscriber.read(&event));
    EXPECT_EQ(event.container_id(), id);
    EXPECT_EQ(event.container_event_type(), type);
    EXPECT_GT(event.created_at(), 1'600'000'000'000'000'000);
    EXPECT_EQ(event.pod_sandbox_status().id(), pod);
    EXPECT_EQ(event.pod_sandbox_status().metadata().uid(), "u-web");
    EXPECT_EQ(event.pod_sandbox_status().state(), state);
    EXPECT_EQ(event.containers_statuses_size(), containers);
  };
  expect(pod, v1::CONTAINER_CREATED_EVENT, v1::SANDBOX_READY, 0);
  EXPECT_FALSE(event.pod_sandbox_status().network().ip().empty());
  expect(pod, v1::CONTAINER_STARTED_EVENT, v1::SANDBOX_READY, 0);
  const auto id = create(pod, "app");
  expect(id, v1::CONTAINER_CREATED_EVENT, v1::SANDBOX_READY, 1);
  EXPECT_EQ(event.containers_statuses(0).id(), id);
  EXPECT_EQ(event.containers_statuses(0).state(), v1::CONTAINER_CREATED);
  ASSERT_TRUE(runtime.start_container(id).has_value());
  expect(id, v1::CONTAINER_STARTED_EVENT, v1::SANDBOX_READY, 1);
  EXPECT_EQ(event.containers_statuses(0).state(), v1::CONTAINER_RUNNING);
  // What it asks for when it has missed some says the same, and of which time.
  v1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(pod);
  v1::PodSandboxStatusResponse status;
  grpc::ClientContext context;
  auto stub = v1::RuntimeService::NewStub(grpc::CreateChannel("unix:" + socket, grpc::InsecureChannelCredentials()));
  ASSERT_TRUE(stub->PodSandboxStatus(&context, request, &status).ok());
  EXPECT_GE(status.timestamp(), event.created_at());
  ASSERT_EQ(status.containers_statuses_size(), 1);
  EXPECT_EQ(status.containers_statuses(0).id(), id);
  EXPECT_EQ(status.containers_statuses(0).state(), v1::CONTAINER_RUNNING);
  ASSERT_TRUE(runtime.stop_container(id, 0s).has_value());
  expect(id, v1::CONTAINER_STOPPED_EVENT, v1::SANDBOX_READY, 1);
  EXPECT_EQ(event.containers_statuses(0).exit_code(), 137);
  ASSERT_TRUE(runtime.remove_container(id).has_value());
  expect(id, v1::CONTAINER_DELETED_EVENT, v1::SANDBOX_READY, 0);
  ASSERT_TRUE(runtime.stop_sandbox(pod).has_value());
  expect(pod, v1::CONTAINER_STOPPED_EVENT, v1::SANDBOX_NOTREADY, 0);
  ASSERT_TRUE(runtime.remove_sandbox(pod).has_value());
  expect(pod, v1::CONTAINER_DELETED_EVENT, v1::SANDBOX_NOTREADY, 0);  // the last that is known of it
  subscriber.cancel();
  wait_for_subscribers(0);
}

// The bar: 3 subscribers, one asleep, 10,000 state changes.
TEST_F(Events, OneThatSleepsHoldsUpNobodyAndReadsTheSameEnd) {
  Subscriber first(socket), second(socket), asleep(socket);
  wait_for_subscribers(3);
  const auto pod = run_pod("web");
  std::map<std::string, v1::ContainerEventType> seen[2];
  std::string end = create(pod, "end");
  std::thread readers[] = {std::thread([&] { seen[0] = first.read_until_deleted(end); }),
                           std::thread([&] { seen[1] = second.read_until_deleted(end); })};
  std::vector<std::string> left;
  for (int i = 0; i < 2'500; i++) {  // four changes each
    const auto id = create(pod, "c" + std::to_string(i));
    ASSERT_TRUE(runtime.start_container(id).has_value());
    ASSERT_TRUE(runtime.stop_container(id, 0s).has_value());
    if (i < 20)
      left.push_back(id);
    else
      ASSERT_TRUE(runtime.remove_container(id).has_value());
  }
  ASSERT_TRUE(runtime.remove_container(end).has_value());
  for (auto& t : readers) t.join();
  EXPECT_LE(runtime.events().pending(), 10'000U);
  const auto late = asleep.read_until_deleted(end);
  ASSERT_EQ(late.size(), 2'502U);  // the sandbox, `end`, all others
  for (const auto& id : left) EXPECT_EQ(late.at(id), v1::CONTAINER_STOPPED_EVENT);
  EXPECT_EQ(seen[0], late);
  EXPECT_EQ(seen[1], late);
  EXPECT_LE(asleep.count, first.count);
}

TEST_F(Events, ManySubscribersComeAndGo) {
  std::vector<std::unique_ptr<Subscriber>> all;
  for (int i = 0; i < 256; i++) all.push_back(std::make_unique<Subscriber>(socket));
  wait_for_subscribers(256);
  Subscriber refused(socket);
  const auto status = refused.finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_NE(status.error_message().find("256"), std::string::npos) << status.error_message();
  const auto pod = run_pod("web");
  v1::ContainerEventResponse event;
  for (auto& subscriber : all) {
    ASSERT_TRUE(subscriber->read(&event));
    EXPECT_EQ(event.container_id(), pod);
  }
  for (int i = 0; i < 200; i++) all[static_cast<std::size_t>(i)]->cancel();
  wait_for_subscribers(56);
  all.erase(all.begin(), all.begin() + 200);
  ASSERT_TRUE(server->stop(10s));
  server.reset();  // with 56 streams that wait for an event
  EXPECT_EQ(runtime.events().subscribers(), 0U);
  for (auto& subscriber : all) EXPECT_FALSE(subscriber->finish().ok());
}

}  // namespace
}  // namespace podshim::test
