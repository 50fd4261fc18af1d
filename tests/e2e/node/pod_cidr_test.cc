// UpdateRuntimeConfig, by software that is not ours: the network becomes ready, and Pods get addresses of the Pod CIDR.
#include <fstream>
#include <thread>

#include "common/sys/file.h"
#include "tests/support/node_suite.h"

namespace podshim::test {
namespace {

constexpr const char* kTemplate = R"({"cniVersion":"1.1.0","name":"made","plugins":[
  {"type":"bridge","bridge":"podshim0","isGateway":true,"ipMasq":true,
   "ipam":{"type":"host-local","dataDir":"@/ipam","ranges":{{.PodCIDRRanges}},"routes":{{.Routes}}}}]})";

TEST(PodCidr, IntoTheConfigurationAndToThePods) {
  const auto crictl = find_tool("crictl");
  if (crictl.empty()) GTEST_SKIP() << "crictl is neither in PATH nor named by CRICTL: UpdateRuntimeConfig was not sent";
  Node node;
  const std::string dir = node.dir() + "/net.d";
  ASSERT_TRUE(node.start_daemon()) << node.log();
  for (const auto& name : sys::list_dir(dir).value_or(std::vector<std::string>()))
    ASSERT_TRUE(sys::remove_file(dir + "/" + name));
  std::string form = kTemplate;
  form.replace(form.find('@'), 1, node.dir());
  std::ofstream(dir + "/podshim.conflist.template") << form;
  auto network = [&] {
    cri::StatusResponse out;
    EXPECT_TRUE(node.cri().call(&cri::RuntimeService::Stub::Status, cri::StatusRequest(), &out).ok());
    for (const auto& condition : out.status().conditions())
      if (condition.type() == "NetworkReady") return condition.status();
    return false;
  };
  auto update = [&](const std::string& cidr) {
    return node.run(
        {crictl, "--runtime-endpoint", "unix://" + node.socket(), "update-runtime-config", "--pod-cidr", cidr});
  };
  auto address = [&](const std::string& name) {
    auto pod = node.cri().run_sandbox(pod_config(name, node.cgroup_parent()));
    EXPECT_TRUE(pod.status.ok()) << pod.status.error_message();
    auto status = node.cri().sandbox_status(pod.id);
    std::string out = status.network().ip();
    for (const auto& more : status.network().additional_ips()) out += " " + more.ip();
    EXPECT_TRUE(node.cri().stop_sandbox(pod.id).ok());
    EXPECT_TRUE(node.cri().remove_sandbox(pod.id).ok());
    return out;
  };
  EXPECT_FALSE(network());
  auto updated = update("10.77.3.0/24,fd00:77:3::/64");
  ASSERT_EQ(updated.exit_code, 0) << updated.err << updated.out;
  bool ready = false;
  for (int i = 0; i < 500 && !(ready = network()); i++) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ASSERT_TRUE(ready);
  for (int round = 0; round < 2; round++) {
    const auto ips = address("p" + std::to_string(round));
    EXPECT_TRUE(ips.starts_with("10.77.3.")) << ips;
    EXPECT_NE(ips.find(" fd00:77:3:"), std::string::npos) << ips;
    node.stop_daemon(SIGKILL);
    ASSERT_TRUE(node.start_daemon()) << node.log();
  }
  EXPECT_NE(update("10.77.3").exit_code, 0);
  node.stop_daemon(SIGTERM);
  EXPECT_EQ(node.leaks(), std::vector<std::string>{});
}

}  // namespace
}  // namespace podshim::test
