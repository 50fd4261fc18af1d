// A client that gives up and asks again: the name is the key of one running operation. Nobody is ever told that a name
// is reserved, and in the end there is one sandbox, one netns, one address.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "common/sys/file.h"
#include "tests/support/node_suite.h"

namespace podshim::test {
namespace {

constexpr int kPluginSeconds = 6;

// The build's own plugins and one that takes its time with ADD.
std::string slow_plugins(const std::string& ipam) {
  char dir[] = "/tmp/podshim-cni.XXXXXX";
  if (::mkdtemp(dir) == nullptr) std::abort();
  for (const char* name : {"bridge", "host-local"})
    std::filesystem::copy_file(std::string(PODSHIM_BUILD_DIR "/cni/") + name, std::string(dir) + "/" + name);
  const std::string slow = std::string(dir) + "/slow";
  std::ofstream(slow) << "#!/bin/sh\nin=$(cat)\n[ $CNI_COMMAND = ADD ] || exit 0\nsleep " << kPluginSeconds
                      << "\nprintf '%s' \"$in\" | jq .prevResult\n";
  ::chmod(slow.c_str(), 0755);
  std::ofstream(std::string(dir) + "/list")
      << R"({"cniVersion":"1.0.0","name":"slow","plugins":[{"type":"bridge","bridge":"cni-slow","isGateway":true,)"
      << R"("ipam":{"type":"host-local","subnet":"10.42.0.0/24","dataDir":")" << ipam << R"("}},{"type":"slow"}]})";
  return dir;
}

TEST(Retry, AClientThatGivesUpAndAsksAgainGetsTheOneSandbox) {
  char ipam[] = "/tmp/podshim-ipam.XXXXXX";
  ASSERT_NE(::mkdtemp(ipam), nullptr);
  const std::string plugins = slow_plugins(ipam);
  {
    Node node({.cni_bin_dir = plugins, .conflist = sys::read_file(plugins + "/list").value()});
    ASSERT_TRUE(node.start_daemon()) << node.log();
    CriClient impatient(node.socket(), std::chrono::seconds(1));
    const auto config = pod_config("p", node.cgroup_parent());
    CriClient::Id made;
    int tries = 0;
    for (; tries < 30 * slowness(); tries++) {
      made = impatient.run_sandbox(config);
      if (made.status.ok()) break;
      EXPECT_EQ(made.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED) << made.status.error_message();
      EXPECT_EQ(made.status.error_message().find("reserved"), std::string::npos);
      // Who wants something else under the name is told what stands in the way, while the first is still at work (else
      // the next try is answered). A patient client: the answer may come late on a busy node.
      auto other = config;
      (*other.mutable_labels())["other"] = "yes";
      auto refused = node.cri().run_sandbox(other);
      EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
      EXPECT_NE(refused.status.error_message().find("labels"), std::string::npos) << refused.status.error_message();
    }
    ASSERT_TRUE(made.status.ok()) << made.status.error_message();
    EXPECT_GE(tries, 2);
    EXPECT_EQ(node.cri().run_sandbox(config).id, made.id);
    cri::ListPodSandboxResponse listed;
    ASSERT_TRUE(
        node.cri().call(&cri::RuntimeService::Stub::ListPodSandbox, cri::ListPodSandboxRequest(), &listed).ok());
    EXPECT_EQ(listed.items_size(), 1);
    int netns = 0;
    const auto names = sys::list_dir("/run/netns").value();
    for (const auto& name : names) netns += name.find(node.instance()) != std::string::npos;
    EXPECT_EQ(netns, 1);
    EXPECT_EQ(node.run({"grep", "-rhoE", "--exclude=leases.new", "[0-9a-f]{64}", ipam}).out, made.id + "\n");
    EXPECT_TRUE(node.cri().remove_sandbox(made.id).ok());
    EXPECT_EQ(node.run({"grep", "-rhoE", "--exclude=leases.new", "[0-9a-f]{64}", ipam}).out, "");
    EXPECT_EQ(node.leaks(), std::vector<std::string>{});
  }
  std::filesystem::remove_all(plugins);
  std::filesystem::remove_all(ipam);
}

}  // namespace
}  // namespace podshim::test
