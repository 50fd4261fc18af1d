// A server over FakeRuntime on a temporary socket.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "shim/cri/pool.h"
#include "shim/cri/server.h"
#include "shim/streaming/server.h"
#include "tests/support/fake_runtime.h"

namespace podshim::test {

// ExecSync of "hang" runs until its timeout, its client's going, or release_execs().
class HangingRuntime final : public FakeRuntime {
 public:
  Result<ExecResult> exec_sync(const std::string& id, const std::vector<std::string>& command,
                               std::chrono::seconds timeout, std::stop_token given_up) override {
    if (command.front() != "hang") return FakeRuntime::exec_sync(id, command, timeout, std::move(given_up));
    std::unique_lock lock(mutex_);
    execs_++;
    const auto over = [this] { return let_go_; };
    if (timeout.count() > 0)
      changed_.wait_for(lock, given_up, timeout, over);
    else
      changed_.wait(lock, given_up, over);
    execs_--;
    return fail(Error::of(ErrorKind::cancelled, "exec", command.front()));
  }
  int hanging_execs() const {
    std::lock_guard lock(mutex_);
    return execs_;
  }
  void release_execs() {
    std::lock_guard lock(mutex_);
    let_go_ = true;
    changed_.notify_all();
  }

 private:
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable_any changed_;
  int execs_ = 0;
  bool let_go_ = false;
};

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    char name[] = "/tmp/podshim-cri.XXXXXX";
    dir = ::mkdtemp(name);
    socket = dir + "/run/podshim.sock";
  }
  ~ServerTest() override {
    if (streaming) streaming->stop();
    if (server) {
      runtime.release_stops();
      runtime.release_execs();
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
    auto streams = streaming::Server::start(runtime, {}, [this](auto call) { return pool.submit(std::move(call)); });
    ASSERT_TRUE(streams.has_value()) << streams.error().text();
    streaming = *std::move(streams);
    border.streaming = streaming.get();
    auto started = cri::Server::start(border, *listener);
    ASSERT_TRUE(started.has_value()) << started.error().text();
    server = *std::move(started);
  }

  std::string dir, socket;
  HangingRuntime runtime;
  Config config;
  cri::Activity activity;
  Metrics metrics;
  cri::Border border{
      .runtime = runtime,
      .config = config,
      .activity = activity,
      .doctor = [] { return std::vector<Finding>{{.level = Finding::Level::problem, .check = "x", .found = "y"}}; },
      .started_at_ns = 5,
      .metrics = &metrics};
  cri::Pool pool{{.name = "stream-call"}};
  std::unique_ptr<streaming::Server> streaming;
  std::unique_ptr<cri::Listener> listener;
  std::unique_ptr<cri::Server> server;
};

}  // namespace podshim::test
