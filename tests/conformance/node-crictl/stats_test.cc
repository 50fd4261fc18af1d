// crictl's four commands for stats and metrics, and critest's specs for them.
#include <fstream>
#include <sstream>

#include "common/json.h"
#include "tests/support/node_suite.h"

namespace podshim::test {
namespace {

class StatsTools : public NodeSuite {
 protected:
  Output crictl(std::vector<std::string> args) {
    args.insert(args.begin(), {find_tool("crictl"), "--runtime-endpoint", "unix://" + node->socket(),
                               "--image-endpoint", "unix://" + node->socket(), "--timeout", "20s"});
    return node->run(args);
  }
  // The words of the line that begins with `first`.
  static std::vector<std::string> row(const std::string& text, const std::string& first) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::vector<std::string> out;
      for (std::string word; words >> word;) out.push_back(word);
      if (!out.empty() && out.front() == first) return out;
    }
    return {};
  }
};

TEST_F(StatsTools, CrictlPrintsSensibleFigures) {
  if (find_tool("crictl").empty()) GTEST_SKIP() << "crictl is neither on PATH nor in $CRICTL: its commands are not run";
  auto pod = run_pod();
  auto id = start(pod, script("busy", "trap 'exit 0' TERM; while :; do :; done"));
  auto stats = crictl({"stats", "--seconds", "1"});
  ASSERT_EQ(stats.exit_code, 0) << stats.err;
  auto line = row(stats.out, id.substr(0, 13));  // CONTAINER NAME CPU % MEM DISK INODES SWAP
  ASSERT_GE(line.size(), 6u) << stats.out;
  EXPECT_EQ(line[1], "busy");
  EXPECT_GT(std::atof(line[2].c_str()), 1) << stats.out;
  EXPECT_LT(std::atof(line[2].c_str()), 150) << stats.out;
  EXPECT_NE(line[3], "0B") << stats.out;

  auto pods = crictl({"statsp", "--seconds", "1"});
  ASSERT_EQ(pods.exit_code, 0) << pods.err;
  line = row(pods.out, pod.config.metadata().name());  // POD POD ID CPU % MEM
  ASSERT_GE(line.size(), 4u) << pods.out;
  EXPECT_GT(std::atof(line[2].c_str()), 1) << pods.out;
  EXPECT_NE(line[3], "0B") << pods.out;

  auto descriptors = crictl({"metricdescs"});
  ASSERT_EQ(descriptors.exit_code, 0) << descriptors.err;
  EXPECT_NE(descriptors.out.find("container_cpu_usage_seconds_total"), std::string::npos) << descriptors.out;
  auto metrics = crictl({"metricsp"});
  ASSERT_EQ(metrics.exit_code, 0) << metrics.err;
  EXPECT_NE(metrics.out.find("container_memory_working_set_bytes"), std::string::npos) << metrics.out;
  EXPECT_NE(metrics.out.find("container_network_receive_bytes_total"), std::string::npos) << metrics.out;
}

TEST_F(StatsTools, CritestsSpecsPass) {
  const std::string critest = find_tool("critest");
  if (critest.empty()) GTEST_SKIP() << "critest is neither on PATH nor in $CRITEST: its specs for stats are not run";
  if (find_tool("skopeo").empty()) GTEST_SKIP() << "skopeo is not here: the suite's image cannot be named";
  const std::string image = "registry.k8s.io/e2e-test-images/busybox:1.29-2", archive = node->dir() + "/suite.tar";
  auto copied = node->run({"skopeo", "copy", "-q", "oci:" + image_archive("busybox.oci") + ":" + kBusybox,
                           "docker-archive:" + archive + ":" + image});
  ASSERT_EQ(copied.exit_code, 0) << copied.err;
  ASSERT_EQ(node->import_image(archive).exit_code, 0);
  const std::string report = node->dir() + "/report.json";
  auto out = node->run(
      {critest, "-runtime-endpoint", "unix://" + node->socket(), "-image-endpoint", "unix://" + node->socket(),
       "-ginkgo.focus", "stats|metric", "-ginkgo.no-color", "-ginkgo.json-report", report},
      std::chrono::seconds(300));
  EXPECT_EQ(out.exit_code, 0) << out.out << out.err;
  std::ifstream in(report);
  std::stringstream text;
  text << in.rdbuf();
  const auto suites = json::parse(text.str());
  ASSERT_TRUE(suites.has_value());
  int ran = 0, skipped = 0;
  for (const auto& suite : suites->as_array())
    for (const auto& spec : suite.find("SpecReports")->as_array()) {
      const std::string name = spec.find("LeafNodeText")->as_string();
      if (name.find("stats") == std::string::npos && name.find("metric") == std::string::npos) continue;
      const std::string state = spec.find("State")->as_string();
      // What is out of focus is called skipped, too, and has no message.
      const bool focused = state != "skipped" || spec.find("Failure") != nullptr;
      ran += focused && state == "passed" ? 1 : 0;
      skipped += focused && state == "skipped" ? 1 : 0;
    }
  EXPECT_GE(ran, 7);  // five of container stats, two of metrics
  EXPECT_EQ(skipped, 0) << out.out;
}

}  // namespace
}  // namespace podshim::test
