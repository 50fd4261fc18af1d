// A NodeRuntime on a FakeHost, directories in a temporary one. No root needed.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/sys/file.h"
#include "shim/lifecycle/node_runtime.h"
#include "tests/unit/shim-lifecycle/fake_host.h"

namespace podshim::lifecycle::test {

class RuntimeTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "podshim-runtime-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir = pattern;
    for (const char* sub : {"/cni", "/bin", "/image/etc", "/logs"}) std::filesystem::create_directories(dir + sub);
    std::ofstream(dir + "/cni/a.conflist") << R"({"cniVersion":"1.1.0","name":"n","plugins":[{"type":"one"}]})";
    std::ofstream(dir + "/bin/one") << "";
    std::filesystem::permissions(dir + "/bin/one", std::filesystem::perms::owner_all);
    config.podshim.root = dir + "/root";
    config.podshim.state = dir + "/state";
    config.podshim.cni_conf_dir = dir + "/cni";
    config.podshim.cni_bin_dirs = {dir + "/bin"};
    facts.cgroup = CgroupVersion::v2;
    facts.cgroup_v2_root = "/fake/cgroup";
    facts.cgroup_v2_controllers = {"cpu", "memory", "pids"};
    start();
  }
  void TearDown() override {
    runtime.reset();
    std::filesystem::remove_all(dir);
  }
  void start() {
    start_busy();
    if (runtime) runtime->wait_idle();
  }
  // Some of its chores may not end.
  void start_busy() {
    runtime.reset();
    auto inst = state::Instance::open(config.podshim.root, config.podshim.state);
    ASSERT_TRUE(inst) << inst.error().text();
    auto started = NodeRuntime::start({.config = config,
                                       .facts = facts,
                                       .images = fake_images(machine, dir + "/image"),
                                       .host = fake_host(machine),
                                       .instance = *std::move(inst),
                                       .housekeeping = housekeeping,
                                       .start_patience = start_patience,
                                       .mount_looks = look_limits,
                                       .exec_patience = exec_patience});
    ASSERT_TRUE(started) << started.error().text();
    runtime = *std::move(started);
  }
  SandboxSpec pod(const std::string& name = "web") const {
    return {.metadata = {.name = name, .uid = "u", .name_space = "d"}, .log_directory = dir + "/logs"};
  }
  static ContainerSpec container(const std::string& name = "c") {
    return {.metadata = {.name = name},
            .image = "busybox",
            .command = {"true"},
            .security = {.namespaces = {.pid = NamespaceMode::container}}};
  }
  // Machine and disk.
  std::vector<std::string> left() {
    auto out = machine.left();
    for (const char* sub :
         {"/root/sandboxes", "/root/containers", "/state/sandboxes", "/state/exits", "/state/kills"}) {
      const auto names = sys::list_dir(dir + sub).value();
      for (const auto& name : names) out.push_back(sub + ("/" + name));
    }
    return out;
  }

  std::string dir;
  Machine machine;
  Config config;
  HostFacts facts;
  bool housekeeping = false;
  milliseconds start_patience = kKillPatience;
  MountLooks::Limits look_limits = {};
  milliseconds exec_patience{30'000};
  std::unique_ptr<NodeRuntime> runtime;
};

}  // namespace podshim::lifecycle::test
