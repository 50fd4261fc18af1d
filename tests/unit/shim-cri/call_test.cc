// A call without its connection: what it does with the deadline of its client.
#include "shim/cri/call.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "runtime.pb.h"
#include "tests/support/fake_runtime.h"

namespace podshim::cri {
namespace {

using namespace std::chrono_literals;

constexpr char kUpdate[] = "/runtime.v1.RuntimeService/UpdateRuntimeConfig";
constexpr char kList[] = "/runtime.v1.RuntimeService/ListContainerStats";
constexpr char kStream[] = "/runtime.v1.RuntimeService/StreamContainerStats";

class CountingRuntime final : public test::FakeRuntime {
 public:
  std::vector<ContainerStats> stats(const std::vector<std::shared_ptr<const ContainerView>>& which) const override {
    stats_asked++;
    return FakeRuntime::stats(which);
  }
  mutable std::atomic<int> stats_asked = 0;
};

class Calls : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(inbox.open()); }
  void TearDown() override { take_all(); }

  // As far as its headers.
  std::shared_ptr<Call> begin(const std::string& path, const std::string& timeout) {
    auto call = std::make_shared<Call>(context, StreamId{});
    call->header(":path", path);
    call->header("content-type", "application/grpc");
    if (!timeout.empty()) call->header("grpc-timeout", timeout);
    return call;
  }
  Call::Act end(Call& call, const std::string& message = "") {
    EXPECT_EQ(call.data(framed(message)), Call::Act::none);
    return call.end_of_request();
  }
  // Until no call is under way; what the last of them wants done.
  Call::Act take_all() {
    auto act = Call::Act::none;
    const auto patience = Clock::now() + 60s;
    for (bool more = true; more && Clock::now() < patience;) {
      more = activity.any();
      for (auto& [call, why] : inbox.take()) act = call->came_back(why);
      if (more) std::this_thread::sleep_for(1ms);
    }
    EXPECT_FALSE(activity.any());
    return act;
  }

  CountingRuntime runtime;
  Config config;
  Activity activity;
  Border border{.runtime = runtime, .config = config, .activity = activity, .doctor = nullptr};
  Inbox<Returned> inbox;
  CallContext context{.border = border, .lanes = lanes, .inbox = inbox};
  Lanes lanes;
};

TEST_F(Calls, OneThatCameTooLateIsNotServed) {
  runtime::v1::UpdateRuntimeConfigRequest update;
  update.mutable_runtime_config()->mutable_network_config()->set_pod_cidr("10.42.7.0/24");
  struct Case {
    const char* path;
    std::string message;
  } cases[] = {{"/runtime.v1.RuntimeService/Version", ""},  // on the I/O thread
               {kUpdate, update.SerializeAsString()},       // in a lane
               {"/runtime.v1.RuntimeService/GetContainerEvents", ""}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.path);
    const auto call = begin(c.path, "0n");
    EXPECT_EQ(end(*call, c.message), Call::Act::refuse);
    EXPECT_EQ(call->status().code, Code::deadline_exceeded) << call->status().message;
    EXPECT_EQ(call->http_status(), 200);
    EXPECT_FALSE(activity.any());
  }
  EXPECT_EQ(runtime.pod_cidr(), "");
  EXPECT_EQ(runtime.events().subscribers(), 0U);
  EXPECT_TRUE(context.deadlines.empty());
  EXPECT_EQ(context.held_bytes, 0U);
  const auto in_time = begin(kUpdate, "1H");
  EXPECT_EQ(end(*in_time, update.SerializeAsString()), Call::Act::none);
  EXPECT_EQ(take_all(), Call::Act::answer);
  EXPECT_EQ(runtime.pod_cidr(), "10.42.7.0/24");
}

// All threads of the lane are busy, and more work waits before the call.
TEST_F(Calls, OneThatWaitedTooLongForAThreadIsNotServed) {
  enum class Why { none, told, unseen, gone };
  for (const char* path : {kList, kStream})
    for (const auto why : {Why::none, Why::told, Why::unseen, Why::gone}) {
      SCOPED_TRACE(std::string(path) + " " + std::to_string(static_cast<int>(why)));
      runtime.stats_asked = 0;
      std::promise<void> gate;
      const auto open = gate.get_future().share();
      for (int i = 0; i < 64; i++) EXPECT_TRUE(lanes.of(Lane::stats)->submit([open] { open.wait(); }));
      const auto call = begin(path, why == Why::unseen ? "500m" : "1H");
      const auto begun = end(*call);
      if (why == Why::told) {
        EXPECT_EQ(call->deadline_passed(), Call::Act::refuse);
      }
      if (why == Why::gone) call->gone();
      if (why == Why::unseen) std::this_thread::sleep_for(600ms);  // its lane is the first to see it
      gate.set_value();
      const auto act = take_all();
      EXPECT_EQ(runtime.stats_asked, why == Why::none ? 1 : 0);
      if (why == Why::none) {
        EXPECT_EQ(act, Call::Act::answer);
      } else if (why == Why::unseen) {
        EXPECT_EQ(begun == Call::Act::none ? act : begun, Call::Act::refuse);
      } else {
        EXPECT_EQ(act, Call::Act::none);  // it was told before, or is gone
      }
      const auto code = why == Why::none ? Code::ok : why == Why::gone ? Code::cancelled : Code::deadline_exceeded;
      EXPECT_EQ(call->status().code, code) << call->status().message;
      call->gone();
    }
  EXPECT_TRUE(context.deadlines.empty());
  EXPECT_EQ(context.held_bytes, 0U);
}

// As gRPC's server in Go does it: to take it for no deadline would be to serve for ever who did not ask for that.
TEST_F(Calls, AMalformedTimeoutIsRefused) {
  for (const char* timeout : {" ", "S", "12", "-1S", "1 S", "1s", "1x", "123456789S"}) {
    const auto call = begin("/runtime.v1.RuntimeService/Version", timeout);
    EXPECT_EQ(end(*call), Call::Act::refuse) << timeout;
    EXPECT_EQ(call->status().code, Code::internal);
    EXPECT_EQ(call->http_status(), 400);
    EXPECT_EQ(call->status().message, std::string("malformed grpc-timeout \"") + timeout + "\"");
  }
  const auto call = begin("/runtime.v1.RuntimeService/Version", "3H");
  EXPECT_EQ(end(*call), Call::Act::answer);
}

}  // namespace
}  // namespace podshim::cri
