// The CNI side of a sandbox: Debian's plugins, and plugins that are missing, fail, hang or print garbage.
#include <algorithm>
#include <atomic>
#include <filesystem>

#include "common/sys/file.h"
#include "tests/root/shim-lifecycle/fixture.h"

namespace podshim::lifecycle::test {
namespace {

using std::chrono::seconds;

class NetworkPlugins : public LifecycleTest {
 protected:
  // What ran, in order, with what mattered.
  std::string recorder(const std::string& body) const {
    return "echo \"$CNI_COMMAND $CNI_CONTAINERID netns=$CNI_NETNS $CNI_ARGS\" >> " + dir + "/calls\n" + body;
  }
  static constexpr const char* kGoodAnswer =
      "[ $CNI_COMMAND = ADD ] && echo '{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.9.8.7/24\"}]}'\nexit 0\n";
};

TEST_F(NetworkPlugins, TwoPodsReachEachOtherOverDebiansBridge) {
  auto a = run(pod("a")), b = run(pod("b"));
  auto server = launch(a, script("server", "while true; do echo hello | nc -l -p 8080; done"));
  auto client = launch(b, script("client", "sleep 1000"));
  const std::string ip = runtime->sandbox(a.str()).value()->ips[0].str();
  EXPECT_TRUE(eventually([&] { return shell(client, "nc -w 2 " + ip + " 8080 </dev/null || true") == "hello"; }));
  (void)server;
}

// A plugin that does not say which link of the node is the Pod's: the counters come from inside, through a socket that
// must not keep the namespace alive.
TEST_F(NetworkPlugins, CountersComeFromInsideWhereThePluginNamesNoLink) {
  use_script_plugin(
      "case $CNI_COMMAND in\n"
      "ADD) n=$(basename $CNI_NETNS)\n"
      "  ip link add vethx type veth peer name eth0 netns $CNI_NETNS >&2 || exit 1\n"
      "  ip addr add 10.9.8.1/24 dev vethx >&2; ip link set vethx up >&2\n"
      "  nsenter --net=$CNI_NETNS sh -c 'ip addr add 10.9.8.7/24 dev eth0; ip link set eth0 up' >&2\n"
      "  echo '{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"eth0\",\"sandbox\":\"'$CNI_NETNS'\"}],"
      "\"ips\":[{\"address\":\"10.9.8.7/24\",\"interface\":0}]}' ;;\n"
      "esac\nexit 0\n");
  auto id = run(pod());
  auto c = launch(id, script("c", "sleep 1000"));
  auto links = [&] { return runtime->sandbox_stats({runtime->sandbox(id.str()).value()}).at(0).links; };
  ASSERT_EQ(links().size(), 1U);
  EXPECT_EQ(links()[0].name, "eth0");
  const auto before = links()[0].rx_bytes;
  ASSERT_EQ(std::system("busybox ping -c 2 -s 500 -q 10.9.8.7 >/dev/null"), 0);
  EXPECT_GE(links()[0].rx_bytes, before + 1000);
  EXPECT_TRUE(runtime->stop_sandbox(id.str()));
  // The namespace went, though its counters were read: the pair is gone.
  EXPECT_TRUE(eventually([] { return std::system("ip link show vethx >/dev/null 2>&1") != 0; }));
  EXPECT_TRUE(runtime->sandbox_stats({runtime->sandbox(id.str()).value()}).at(0).links.empty());
}

TEST_F(NetworkPlugins, FailuresKeepThePluginsWordsAndLeaveNothing) {
  struct Case {
    const char* name;
    std::string body;
    ErrorKind kind;
    const char* word;
  } cases[] = {
      {"fails", "echo '{\"code\":11,\"msg\":\"no free address in 10.0.0.0/30\"}'; exit 1", ErrorKind::unavailable,
       "no free address in 10.0.0.0/30"},
      {"garbage", "echo hello; exit 0", ErrorKind::unavailable, "no CNI result: hello"},
      {"silent", "exit 0", ErrorKind::unavailable, "printed no result"},
      {"no address", "echo '{\"cniVersion\":\"1.0.0\"}'; exit 0", ErrorKind::unavailable, "no address"},
  };
  for (const auto& c : cases) {
    sys::remove_file(dir + "/calls").value();
    use_script_plugin(recorder("[ $CNI_COMMAND = ADD ] || exit 0\n" + c.body));
    auto made = runtime->run_sandbox(pod());
    ASSERT_FALSE(made) << c.name;
    EXPECT_EQ(made.error().kind, c.kind) << made.error().text();
    EXPECT_NE(made.error().text().find(c.word), std::string::npos) << made.error().text();
    EXPECT_NE(made.error().text().find("stage cni"), std::string::npos) << made.error().text();
    const std::string calls = read(dir + "/calls");
    EXPECT_TRUE(calls.starts_with("ADD ")) << calls;
    EXPECT_NE(calls.find("\nDEL "), std::string::npos) << c.name << ": DEL must follow: " << calls;
    EXPECT_EQ(leftovers(), std::vector<std::string>{}) << c.name;
  }
}

TEST_F(NetworkPlugins, AMissingPluginIsNamed) {
  use_script_plugin("exit 0");
  std::filesystem::remove(dir + "/bin/script");
  auto made = runtime->run_sandbox(pod());
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().text().find("script"), std::string::npos) << made.error().text();
  EXPECT_NE(made.error().text().find(dir + "/bin"), std::string::npos) << made.error().text();
  EXPECT_EQ(leftovers(), std::vector<std::string>{});
}

TEST_F(NetworkPlugins, AHangingPluginIsKilledInTime) {
  stop();
  config.podshim.cni_timeout = seconds(1);
  start();
  use_script_plugin("[ $CNI_COMMAND = ADD ] && sleep 600\nexit 0");
  const auto begin = std::chrono::steady_clock::now();
  auto made = runtime->run_sandbox(pod());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(9)) << "the timeout of before is 10 s";
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::deadline_exceeded) << made.error().text();
  EXPECT_EQ(leftovers(), std::vector<std::string>{});
}

TEST_F(NetworkPlugins, NoFreeAddressSurvivesAsTheReason) {
  use_debian_plugins("10.42.9.0/30");  // one address beside the gateway
  run(pod("first"));
  auto second = runtime->run_sandbox(pod("second"));
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().text().find("no IP addresses available"), std::string::npos) << second.error().text();
  remove_all();
  run(pod("third"));
}

TEST_F(NetworkPlugins, DelUsesWhatWasUsedAtAdd) {
  use_script_plugin(recorder(kGoodAnswer));
  auto id = run(pod());
  EXPECT_EQ(runtime->sandbox(id.str()).value()->ips[0].str(), "10.9.8.7");
  use_no_network();
  ASSERT_TRUE(runtime->stop_sandbox(id.str()));
  const std::string calls = read(dir + "/calls");
  const std::string del = calls.substr(calls.find("DEL "));
  EXPECT_NE(del.find("netns=" + dir + "/netns/podshim-"), std::string::npos) << del;
  for (const char* word : {"K8S_POD_NAME=web", "K8S_POD_NAMESPACE=default", "podshim.dev/drops-netns=1"})
    EXPECT_NE(del.find(word), std::string::npos) << del;
}

TEST_F(NetworkPlugins, AFailedDelIsToldAndTriedAgain) {
  use_script_plugin(recorder("[ $CNI_COMMAND = DEL ] && [ -e " + dir + "/broken ] && exit 9\n" + kGoodAnswer));
  auto id = run(pod());
  sys::write_file(dir + "/broken", "x", 0600).value();
  auto stopped = runtime->stop_sandbox(id.str());
  ASSERT_FALSE(stopped);
  EXPECT_NE(stopped.error().text().find("exit code 9"), std::string::npos) << stopped.error().text();
  EXPECT_EQ(runtime->sandbox(id.str()).value()->state, SandboxState::not_ready);
  sys::remove_file(dir + "/broken").value();
  sys::remove_file(dir + "/calls").value();
  ASSERT_TRUE(runtime->stop_sandbox(id.str()));
  EXPECT_TRUE(read(dir + "/calls").starts_with("DEL " + id.str() + " netns= ")) << read(dir + "/calls");
  ASSERT_TRUE(runtime->stop_sandbox(id.str()));
  EXPECT_EQ(read(dir + "/calls").find("DEL", 4), std::string::npos) << "a third DEL for nothing";
}

TEST_F(NetworkPlugins, ABrokenDelDoesNotKeepThePodForEver) {
  use_script_plugin("[ $CNI_COMMAND = DEL ] && exit 9\n" + std::string(kGoodAnswer));
  auto id = run(pod());
  EXPECT_TRUE(runtime->remove_sandbox(id.str()));
  EXPECT_TRUE(eventually([&] { return leftovers().empty(); })) << testing::PrintToString(leftovers());
}

TEST_F(NetworkPlugins, WithoutAConfigurationTheNodeSaysSo) {
  use_no_network();
  auto made = runtime->run_sandbox(pod());
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().text().find(dir + "/cni"), std::string::npos) << made.error().text();
  auto status = runtime->status();
  EXPECT_FALSE(status.network.ok);
  EXPECT_NE(status.network.message.find(dir + "/cni"), std::string::npos) << status.network.message;
  EXPECT_TRUE(status.runtime.ok);
  auto host = pod("host");
  host.namespaces.network = NamespaceMode::node;
  auto id = run(host);
  EXPECT_TRUE(runtime->sandbox(id.str()).value()->ips.empty());
}

TEST_F(NetworkPlugins, ManyWaitersOfAHangingPluginBlockNoList) {
  use_script_plugin(recorder("[ $CNI_COMMAND = ADD ] && until [ -e " + dir + "/go ]; do sleep 0.05; done\n" +
                             std::string(kGoodAnswer)));
  std::atomic<int> answered = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; i++)
    callers.emplace_back([&, i] {
      (void)runtime->run_sandbox(pod("p" + std::to_string(i)));
      answered++;
    });
  EXPECT_TRUE(eventually([&] { return std::ranges::count(read(dir + "/calls"), '\n') == 8; })) << read(dir + "/calls");
  for (int i = 0; i < 100; i++) {
    (void)runtime->snapshot();
    (void)runtime->sandbox("feed");
  }
  EXPECT_EQ(answered, 0) << "a list waited for the plugins";
  sys::write_file(dir + "/go", "", 0600).value();
  for (auto& t : callers) t.join();
}

}  // namespace
}  // namespace podshim::lifecycle::test
