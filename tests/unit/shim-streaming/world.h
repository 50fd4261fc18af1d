// A streaming server over FakeRuntime, with one running container, and limits short enough for tests.
#pragma once

#include <gtest/gtest.h>

#include <thread>

#include "shim/cri/pool.h"
#include "shim/streaming/server.h"
#include "tests/support/fake_runtime.h"
#include "tests/support/local_process.h"
#include "tests/unit/shim-streaming/talk.h"

namespace podshim::streaming::test {

using namespace std::chrono_literals;
using podshim::test::FakeRuntime;

class World : public testing::Test {
 protected:
  World() {
    runtime.fake_images().add({.id = "sha256:1", .repo_tags = {"app"}});
    SandboxSpec pod;
    pod.metadata.name = "web";
    sandbox = runtime.run_sandbox(pod)->str();
    container = runtime.create_container(sandbox, {.image = "app"})->str();
    EXPECT_TRUE(runtime.start_container(container));
  }
  ~World() override {
    runtime.hold_streams(false);
    if (server) server->stop();
    pool.drain(10s);
    server.reset();
    EXPECT_TRUE(soon([] { return podshim::test::local_processes() == 0; })) << "processes are left";
  }

  void serve(const Limits& limits = {}) {
    auto started =
        Server::start(runtime, {.limits = limits}, [this](auto call) { return pool.submit(std::move(call)); });
    ASSERT_TRUE(started) << started.error().text();
    server = *std::move(started);
  }

  std::string url(Order order) {
    if (order.id.empty()) order.id = order.kind == Kind::port_forward ? sandbox : container;
    auto issued = server->issue(std::move(order));
    EXPECT_TRUE(issued);
    return issued ? *issued : "";
  }
  std::string exec_url(std::vector<std::string> command, StreamRequest streams = {.out = true}) {
    return url({.kind = Kind::exec, .command = std::move(command), .streams = streams});
  }
  std::string script_url(const std::string& script, StreamRequest streams = {.out = true}) {
    return exec_url({"sh", "-c", script}, streams);
  }

  template <typename Condition>
  static bool soon(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(5ms);
    }
    return true;
  }
  bool no_sessions() {
    return soon([this] { return server->sessions() == 0; });
  }

  FakeRuntime runtime;
  cri::Pool pool{{.name = "stream-call", .max_threads = 4, .linger = 50ms}};
  std::unique_ptr<Server> server;
  std::string sandbox, container;
};

}  // namespace podshim::streaming::test
