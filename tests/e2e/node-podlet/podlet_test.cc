// The road of examples/hello: a Deployment behind a Service, two containers of one Pod, a Pod that is not ready, a
// Service that finds nobody; a backend deleted under load; podlet killed and started again. crictl (not ours) looks at
// it too.
#include "tests/e2e/node-podlet/podlet_suite.h"

namespace podshim::test {
namespace {

using namespace std::chrono_literals;

class Hello : public PodletSuite {
 public:
  static void SetUpTestSuite() {
    start_node();
    if (HasFatalFailure()) return;
    for (const auto& file : std::filesystem::directory_iterator(PODSHIM_SOURCE_DIR "/examples/hello"))
      std::filesystem::copy(file, manifests());
    ASSERT_TRUE(eventually([] { return endpoints("hello").size() == 3; }))
        << podlet({"get", "pods"}).out << podlet_log();
  }
  static std::string vip() { return text(get("services", "hello"), "spec.clusterIP"); }
  // Who answers n requests to the VIP, from the node.
  static std::map<std::string, int> ask(int n) {
    std::map<std::string, int> out;
    for (int i = 0; i < n; i++) out[curl("http://" + vip() + "/name")]++;
    return out;
  }
};

TEST_F(Hello, BackendsBehindOneAddress) {
  auto pods = names("app=hello");
  ASSERT_EQ(pods.size(), 3u);
  std::set<std::string> ips;
  for (const auto& pod : pods) ips.insert(text(get("pods", pod), "status.podIP"));
  EXPECT_EQ(ips, endpoints("hello"));
  for (const auto& ip : ips) EXPECT_TRUE(ip.starts_with("10.42.")) << ip;
  EXPECT_TRUE(vip().starts_with("10.43.")) << vip();
  auto answers = ask(60);
  EXPECT_EQ(answers.size(), 3u);
  for (const auto& [who, n] : answers) EXPECT_TRUE(std::ranges::find(pods, who) != pods.end()) << who << " " << n;
  ASSERT_TRUE(eventually([] { return is_ready("client"); }));
  auto inside =
      podlet({"exec", "client", "--", "/bin/probe", "get", "http://" + vip() + "/name", "--count", "60", "--tally"});
  EXPECT_EQ(inside.exit_code, 0) << inside.err;
  EXPECT_EQ(std::ranges::count(inside.out, '\n'), 3) << inside.out;
  auto port = get("services", "hello").find("spec")->find("ports")->as_array()[0].find("nodePort")->as_integer();
  EXPECT_TRUE(curl("http://198.51.100.2:" + std::to_string(port) + "/name").starts_with("hello-"));
}

TEST_F(Hello, TwoContainersShareAVolumeAndLocalhost) {
  ASSERT_TRUE(eventually([] { return is_ready("logbook"); })) << podlet({"describe", "pod", "logbook"}).out;
  auto over = podlet(
      {"exec", "logbook", "-c", "writer", "--", "/bin/probe", "get", "http://127.0.0.1:8080/file?path=/logs/app.log"});
  EXPECT_EQ(over.exit_code, 0) << over.err;
  EXPECT_NE(over.out.find("of logbook at 10.42."), std::string::npos) << over.out;
  EXPECT_TRUE(eventually(
      [] { return podlet({"exec", "logbook", "-c", "writer", "--", "ls", "/logs/archive"}).out == "app.log.gz\n"; }));
}

TEST_F(Hello, NotReadyGetsNothingReadyGetsItWithinASecond) {
  ASSERT_TRUE(eventually([] { return status("late") == "Running"; }));
  EXPECT_TRUE(endpoints("late").empty());
  auto page = podlet({"describe", "service", "late"}).out;
  EXPECT_NE(page.find("1 Pod matches, but none is ready"), std::string::npos) << page;
  auto ip = text(get("pods", "late"), "status.podIP");
  curl("http://" + ip + ":8080/ready/on");
  auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(eventually([&] { return endpoints("late").contains(ip); }));
  auto took = std::chrono::steady_clock::now() - began;
  EXPECT_LT(took, 1900ms * slowness());  // the probe's period and what follows it, not another period
  std::printf("ready to endpoint: %ld ms\n", static_cast<long>(took / 1ms));
  EXPECT_EQ(curl("http://" + text(get("services", "late"), "spec.clusterIP") + "/name"), "late");
  curl("http://" + ip + ":8080/ready/off");
  EXPECT_TRUE(eventually([] { return endpoints("late").empty(); }));
}

TEST_F(Hello, ServiceThatFindsNobodySaysWhy) {
  auto page = podlet({"describe", "service", "lost"}).out;
  EXPECT_NE(page.find("Endpoints:        <none>"), std::string::npos) << page;
  EXPECT_NE(page.find("no Pod carries the label app=helo of the selector"), std::string::npos) << page;
  EXPECT_NE(page.find("nearest: Pod hello-"), std::string::npos) << page;
}

TEST_F(Hello, ADeletedBackendLosesNoRequest) {
  auto victim = names("app=hello").at(0);
  auto old = text(get("pods", victim), "status.podIP");
  auto before = endpoints("hello");
  auto log = node->dir() + "/loop.txt";
  auto loop =
      node->spawn("loop", {"sh", "-c",
                           "while :; do curl -s -o /dev/null --max-time 5 -w '%{http_code} %{time_total}\\n' http://" +
                               vip() + "/name >>" + log + " || echo failed >>" + log + "; done"});
  auto asked = [&] {
    std::ifstream in(log);
    return std::count(std::istreambuf_iterator<char>(in), {}, '\n');
  };
  EXPECT_TRUE(eventually([&] { return asked() > 20; }));
  auto gone = podlet({"delete", "pod", victim});
  EXPECT_EQ(gone.exit_code, 0) << gone.err;
  EXPECT_TRUE(eventually([&] { return endpoints("hello").size() == 3 && !endpoints("hello").contains(old); }));
  auto enough = asked() + 50;
  EXPECT_TRUE(eventually([&] { return asked() > enough; }));
  node->stop(loop, SIGKILL);
  std::ifstream in(log);
  int good = 0, bad = 0;
  double slowest = 0;
  for (std::string line; std::getline(in, line);) {
    (line.starts_with("200 ") ? good : bad)++;
    slowest = std::max(slowest, std::atof(line.c_str() + std::min<std::size_t>(4, line.size())));
  }
  std::printf("%d requests while a backend was replaced, the slowest took %.0f ms\n", good, slowest * 1000);
  EXPECT_EQ(bad, 0);
  std::set<std::string> fresh;
  std::ranges::set_difference(endpoints("hello"), before, std::inserter(fresh, fresh.end()));
  EXPECT_EQ(fresh.size(), 1u) << "the replacement has a new address";
  EXPECT_EQ(ask(60).size(), 3u);
}

// Container ids, restart counts, slices: nothing may move when podlet dies and comes back.
TEST_F(Hello, PodletIsKilledAndComesBack) {
  auto shape = [] {
    auto out = podlet({"get", "pods", "-o", "json"});
    std::map<std::string, std::string> ids;
    auto all = json::parse(out.out);
    for (const auto& pod : all->find("items")->as_array())
      for (const auto& c : pod.find("status")->find("containerStatuses")->as_array())
        ids[text(pod, "metadata.name") + "/" + text(c, "name")] =
            text(c, "containerID") + " " + text(c, "restartCount") + " " + text(c, "ready");
    return ids;
  };
  ASSERT_TRUE(eventually([&] { return endpoints("hello").size() == 3 && is_ready("logbook") && is_ready("client"); }));
  auto before = shape();
  auto slices = node->run({"sh", "-c", "cd " + node->dir() + "/services && sha256sum *"}).out;
  node->stop(podlet_pid, SIGKILL);
  start_podlet();
  EXPECT_TRUE(eventually([&] { return shape() == before; })) << podlet({"get", "pods"}).out;
  EXPECT_EQ(node->run({"sh", "-c", "cd " + node->dir() + "/services && sha256sum *"}).out, slices);
  EXPECT_EQ(ask(60).size(), 3u);
}

TEST_F(Hello, ScaleAndRollOut) {
  auto path = manifests() + "/10-backends.yaml";
  std::ifstream in(path);
  std::string yaml((std::istreambuf_iterator<char>(in)), {});
  auto replace = [&](const std::string& from, const std::string& to) {
    yaml.replace(yaml.find(from), from.size(), to);
  };
  replace("replicas: 3", "replicas: 5");
  write("10-backends.yaml", yaml);
  EXPECT_TRUE(eventually([] { return endpoints("hello").size() == 5; }));
  replace("replicas: 5", "replicas: 2");
  replace("\"8080\"]", "\"8080\", --name, second]");
  write("10-backends.yaml", yaml);
  EXPECT_TRUE(eventually([] {
    auto answers = ask(6);
    return answers.size() == 1 && answers.begin()->first == "second" && endpoints("hello").size() == 2;
  })) << podlet({"get", "pods"}).out
      << podlet({"describe", "deployment", "hello"}).out;
  EXPECT_NE(podlet({"describe", "deployment", "hello"}).out.find("Rollout:          complete"), std::string::npos);
}

TEST_F(Hello, CrictlSeesWhatPodletMade) {
  auto crictl = find_tool("crictl");
  if (crictl.empty())
    GTEST_SKIP() << "crictl is not on PATH (set CRICTL): podlet was not looked at by software that is not ours";
  auto out = node->run(
      {crictl, "--runtime-endpoint", "unix://" + node->socket(), "pods", "--label", "app=client", "-o", "json"});
  auto value = json::parse(out.out);
  ASSERT_TRUE(value) << out.err;
  const auto& items = value->find("items")->as_array();
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(text(items[0], "metadata.name"), "client");
  EXPECT_EQ(text(items[0], "state"), "SANDBOX_READY");
  auto logs = node->run({"sh", "-c", crictl + " --runtime-endpoint unix://" + node->socket() + " ps --name writer -q"});
  EXPECT_EQ(logs.out.size(), 65u) << logs.out << logs.err;
}

}  // namespace
}  // namespace podshim::test
