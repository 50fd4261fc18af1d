// A node for one test program: network and mount namespaces of its own, a cgroup parent below podshim-test, everything
// else in a temporary directory. The image is one layer made from the machine's static busybox; the CNI plugins are
// Debian's (bridge + host-local + portmap), or shell scripts of the test.
// After each test nothing may be left: netns, links, mounts, cgroups, addresses, processes, files.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "shim/lifecycle/node_runtime.h"

namespace podshim::lifecycle::test {

class LifecycleTest : public testing::Test {
 protected:
  static void SetUpTestSuite();
  void SetUp() override;
  void TearDown() override;

  // The runtime as the daemon has it; start() after stop() is a daemon restart.
  void start();
  void stop() { runtime.reset(); }
  Result<std::unique_ptr<NodeRuntime>> try_start();

  SandboxSpec pod(const std::string& name = "web") const;
  static ContainerSpec container(const std::string& name, std::vector<std::string> command);
  static ContainerSpec script(const std::string& name, const std::string& text) {
    return container(name, {"sh", "-c", text});
  }
  // Each asserts that it worked.
  SandboxId run(const SandboxSpec& spec);
  ContainerId create(const SandboxId& sandbox, const ContainerSpec& spec);
  ContainerId launch(const SandboxId& sandbox, const ContainerSpec& spec);
  ContainerView wait_exit(const ContainerId& id, std::chrono::seconds patience = std::chrono::seconds(10));
  std::string shell(const ContainerId& id, const std::string& text);
  void remove_all();

  void use_debian_plugins(const std::string& subnet = "10.42.0.0/24");
  // A list of one plugin that is this shell script.
  void use_script_plugin(const std::string& body);
  void use_no_network();

  std::string read(const std::string& path) const;
  std::vector<std::string> leftovers() const;
  std::size_t exec_leaves(const ContainerId& id) const;  // cgroups that execs of this container were given
  bool eventually(const std::function<bool()>& holds, std::chrono::seconds patience = std::chrono::seconds(10)) const;

  std::string dir, boot_id_file, cgroup_parent;
  HostFacts facts;
  Config config;
  std::string instance;
  std::unique_ptr<NodeRuntime> runtime;
  std::vector<std::string> mounts_before_, links_before_;
};

}  // namespace podshim::lifecycle::test
