// What hangs in one Pod takes a few threads of the pool, and no other Pod's.
#include "shim/streaming/lanes.h"

#include <future>

#include "tests/unit/shim-streaming/world.h"

namespace podshim::streaming::test {
namespace {

class LanesTest : public testing::Test {
 protected:
  std::function<void()> hanging(const std::string& name) {
    return [this, name] {
      gate.get_future().wait();
      note(name);
    };
  }
  std::function<void()> noting(const std::string& name) {
    return [this, name] { note(name); };
  }
  void note(const std::string& name) {
    std::lock_guard lock(mutex);
    done.push_back(name);
  }
  std::mutex mutex;
  std::vector<std::string> done;
  std::promise<void> gate;
  cri::Pool pool{{.name = "lanes", .max_threads = 4, .linger = 50ms}};
};

TEST_F(LanesTest, AFewOfALaneRunTheOthersWaitInOrder) {
  Lanes lanes([this](auto call) { return pool.submit(std::move(call)); }, 1, 3);
  ASSERT_TRUE(lanes.submit("a", hanging("a0")));
  for (const char* name : {"a1", "a2", "a3"}) ASSERT_TRUE(lanes.submit("a", noting(name)));
  EXPECT_FALSE(lanes.submit("a", noting("too many")));
  std::promise<void> ran;
  ASSERT_TRUE(lanes.submit("b", [&] { ran.set_value(); }));
  EXPECT_EQ(ran.get_future().wait_for(10s), std::future_status::ready);
  EXPECT_LE(pool.threads(), 2U);
  gate.set_value();
  EXPECT_TRUE(pool.drain(10s));
  EXPECT_EQ(done, (std::vector<std::string>{"a0", "a1", "a2", "a3"}));
}

TEST_F(LanesTest, APlaceComesBackWhateverTheCallDoes) {
  Lanes lanes([this](auto call) { return pool.submit(std::move(call)); }, 1, 0);
  for (int i = 0; i < 100; i++) {
    std::promise<void> ran;
    const auto call = [&] {
      ran.set_value();
      throw std::runtime_error("of a library");
    };
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!lanes.submit("a", call)) ASSERT_LT(std::chrono::steady_clock::now(), end) << i;
    ran.get_future().wait();
  }
}

TEST_F(LanesTest, WhatThePoolDoesNotTakeIsNotTaken) {
  bool full = true;
  Lanes lanes([&](auto call) { return !full && pool.submit(std::move(call)); }, 1, 1);
  EXPECT_FALSE(lanes.submit("a", noting("refused")));
  full = false;
  EXPECT_TRUE(lanes.submit("a", noting("taken")));
  EXPECT_TRUE(pool.drain(10s));
  EXPECT_EQ(done, std::vector<std::string>{"taken"});
}

// A pool that is stopped takes nothing new: what waits is done by the thread that is there.
TEST_F(LanesTest, WhatWaitsIsDoneWhenThePoolIsBeingStopped) {
  Lanes lanes([this](auto call) { return pool.submit(std::move(call)); }, 1, 10);
  ASSERT_TRUE(lanes.submit("a", hanging("a0")));
  for (const char* name : {"a1", "a2"}) ASSERT_TRUE(lanes.submit("a", noting(name)));
  EXPECT_FALSE(pool.drain(10ms));
  gate.set_value();
  EXPECT_TRUE(pool.drain(10s));
  EXPECT_EQ(done, (std::vector<std::string>{"a0", "a1", "a2"}));
}

using ExecLanes = World;

// Four threads for all Pods.
TEST_F(ExecLanes, ExecsThatHangHoldUpNoOtherContainer) {
  SandboxSpec pod;
  pod.metadata.name = "other";
  const std::string other = runtime.create_container(runtime.run_sandbox(pod)->str(), {.image = "app"})->str();
  ASSERT_TRUE(runtime.start_container(other));
  serve({.lane_running = 2});
  runtime.hold_streams(true, container);
  const auto exec = [this](const std::string& id) {
    return talk_spdy({.url = url({.kind = Kind::exec, .id = id, .command = {"echo", "here"}, .streams = {.out = true}}),
                      .protocol = "v4.channel.k8s.io"})
        .out;
  };
  std::vector<std::future<std::string>> hanging;
  for (int i = 0; i < 8; i++) hanging.push_back(std::async(std::launch::async, exec, container));
  ASSERT_TRUE(soon([this] { return runtime.held_streams() == 2; }));
  EXPECT_EQ(exec(other), "here\n");
  EXPECT_EQ(runtime.held_streams(), 2);
  runtime.hold_streams(false);
  for (auto& one : hanging) EXPECT_EQ(one.get(), "here\n");
}

// Its client has gone while it waited: nothing is opened for it.
TEST_F(ExecLanes, WhoHasGoneIsNotOpened) {
  serve({.lane_running = 1});
  runtime.hold_streams(true, container);
  Wire first(script_url("true"));
  ASSERT_EQ(upgrade_spdy(first, {"v4.channel.k8s.io"}), 101);
  SpdyClient opener(first);
  for (const char* type : {"error", "stdout"}) opener.open({{"streamtype", type}});
  ASSERT_TRUE(soon([this] { return runtime.held_streams() == 1; }));
  {
    Wire second(script_url("true"));
    ASSERT_EQ(upgrade_spdy(second, {"v4.channel.k8s.io"}), 101);
    SpdyClient client(second);
    for (const char* type : {"error", "stdout"}) client.open({{"streamtype", type}});
    std::this_thread::sleep_for(50ms);  // it waits behind the first
  }
  ASSERT_TRUE(soon([this] { return server->sessions() == 1; }));
  runtime.hold_streams(false);
  EXPECT_EQ(talk_spdy({.url = script_url("echo here"), .protocol = "v4.channel.k8s.io"}).out, "here\n");
  EXPECT_EQ(runtime.asked_streams(), 2);
}

}  // namespace
}  // namespace podshim::streaming::test
