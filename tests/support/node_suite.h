// NodeSuite: one Node with a serving daemon and the test images for all tests of a suite; every test starts from, and
// must leave, an empty node.
#pragma once

#include <gtest/gtest.h>

#include <fstream>

#include "common/json.h"
#include "tests/support/node.h"

namespace podshim::test {

inline constexpr const char* kBusybox = "podshim.dev/busybox:1";
inline constexpr const char* kProbe = "podshim.dev/probe:1";

class NodeSuite : public ::testing::Test {
 public:
  static void SetUpTestSuite() {
    node = std::make_unique<Node>();
    ASSERT_TRUE(node->start_daemon()) << node->log();
    for (const char* archive : {"busybox.tar", "probe.tar"}) {
      auto imported = node->import_image(image_archive(archive));
      ASSERT_EQ(imported.exit_code, 0) << imported.err << imported.out;
    }
  }
  static void TearDownTestSuite() {
    if (node == nullptr) return;
    node->stop_daemon(SIGTERM);
    EXPECT_EQ(node->leaks(), std::vector<std::string>{});
    node.reset();
  }

 protected:
  struct Pod {
    std::string id;
    cri::PodSandboxConfig config;
  };
  Pod run_pod(const std::function<void(cri::PodSandboxConfig&)>& change = {}) {
    static int counter = 0;
    auto config = pod_config("pod-" + std::to_string(++counter), node->cgroup_parent());
    config.set_log_directory(node->dir() + "/logs/" + config.metadata().name());
    if (change) change(config);
    auto made = node->cri().run_sandbox(config);
    EXPECT_TRUE(made.status.ok()) << made.status.error_message() << "\n" << node->log();
    pods_.push_back(made.id);
    return {made.id, config};
  }
  std::string create(const Pod& pod, const cri::ContainerConfig& config) {
    auto made = node->cri().create_container(pod.id, config, pod.config);
    EXPECT_TRUE(made.status.ok()) << made.status.error_message() << "\n" << node->log();
    return made.id;
  }
  std::string start(const Pod& pod, const cri::ContainerConfig& config) {
    auto id = create(pod, config);
    auto status = node->cri().start(id);
    EXPECT_TRUE(status.ok()) << status.error_message() << "\n" << node->log();
    return id;
  }
  std::string shell(const std::string& container, const std::string& script) {
    cri::ExecSyncResponse out;
    auto status = node->cri().exec(container, {"sh", "-c", script}, 10, &out);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return out.stdout() + out.stderr();
  }
  // Runs `script` as the main process of a container and gives its log lines' content when it has ended.
  cri::ContainerStatus run_to_end(const Pod& pod, cri::ContainerConfig config, std::string* log = nullptr) {
    config.set_log_path(config.metadata().name() + ".log");
    auto id = start(pod, config);
    EXPECT_TRUE(node->cri().wait_state(id, cri::CONTAINER_EXITED, std::chrono::seconds(20)));
    auto status = node->cri().container_status(id);
    if (log != nullptr) {
      auto read = node->run({"cat", status.log_path()});
      *log = read.out;
    }
    return status;
  }
  static pid_t pid_of(const google::protobuf::Map<std::string, std::string>& info) {
    auto document = json::parse(info.at("info"));
    return document ? static_cast<pid_t>(document->find("pid")->as_integer()) : -1;
  }
  pid_t main_of(const std::string& container) {
    cri::ContainerStatusRequest request;
    request.set_container_id(container);
    request.set_verbose(true);
    cri::ContainerStatusResponse response;
    EXPECT_TRUE(node->cri().call(&cri::RuntimeService::Stub::ContainerStatus, request, &response).ok());
    return pid_of(response.info());
  }
  // The monitor's, of a container's main process and of pause.
  static pid_t parent_of(pid_t pid) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("PPid:")) return std::atoi(line.c_str() + 5);
    return -1;
  }
  void TearDown() override {
    for (const auto& id : pods_) {
      EXPECT_TRUE(node->cri().stop_sandbox(id).ok());
      auto removed = node->cri().remove_sandbox(id);
      EXPECT_TRUE(removed.ok()) << removed.error_message();
    }
  }
  std::vector<std::string> pods_;
  static inline std::unique_ptr<Node> node;
};

inline cri::ContainerConfig sleeper(const std::string& name) {
  return container_config(name, kBusybox, {"sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"});
}
inline cri::ContainerConfig script(const std::string& name, const std::string& text) {
  return container_config(name, kBusybox, {"sh", "-c", text});
}
inline cri::LinuxContainerSecurityContext& security(cri::ContainerConfig& config) {
  return *config.mutable_linux()->mutable_security_context();
}

}  // namespace podshim::test
