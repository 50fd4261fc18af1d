// A server over FakeRuntime on a temporary socket.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "shim/cri/server.h"
#include "tests/support/fake_runtime.h"

namespace podshim::test {

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    char name[] = "/tmp/podshim-cri.XXXXXX";
    dir = ::mkdtemp(name);
    socket = dir + "/run/podshim.sock";
  }
  ~ServerTest() override {
    if (server) {
      runtime.release_stops();
      EXPECT_TRUE(server->stop(std::chrono::seconds(10)));
    }
    server.reset();
    listener.reset();
    std::filesystem::remove_all(dir);
  }

  void SetUp() override {
    runtime.fake_images().add({.id = "sha256:" + std::string(64, '1'),
                               .repo_tags = {"example.com/app:1"},
                               .size_bytes = 1234,
                               .process = {.user = "1000"}});
    auto opened = cri::Listener::open(socket);
    ASSERT_TRUE(opened.has_value()) << opened.error().text();
    listener = std::make_unique<cri::Listener>(*std::move(opened));
    auto started = cri::Server::start(border, *listener);
    ASSERT_TRUE(started.has_value()) << started.error().text();
    server = *std::move(started);
  }

  std::string dir, socket;
  FakeRuntime runtime;
  Config config;
  cri::Activity activity;
  cri::Border border{
      .runtime = runtime,
      .config = config,
      .activity = activity,
      .doctor = [] { return std::vector<Finding>{{.level = Finding::Level::problem, .check = "x", .found = "y"}}; },
      .started_at_ns = 5};
  std::unique_ptr<cri::Listener> listener;
  std::unique_ptr<cri::Server> server;
};

}  // namespace podshim::test
