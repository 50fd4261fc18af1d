// PodletSuite: one node with daemon, netproxy and podlet for all tests of a suite; manifests come by the watched
// directory or by `podlet apply`. At the end everything is deleted by podlet and nothing may be left.
#pragma once

#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "common/json.h"
#include "tests/support/node_suite.h"

namespace podshim::test {

class PodletSuite : public ::testing::Test {
 public:
  static void start_node() {
    node = std::make_unique<Node>(
        Node::Options{.config = "cluster-dns: 10.43.0.10\npodlet:\n  load-balancer-pool: 203.0.113.0/28\n"});
    ASSERT_TRUE(node->start_daemon()) << node->log();
    for (const char* archive : {"busybox.tar", "probe.tar", "client.tar"}) {
      auto imported = node->import_image(image_archive(archive));
      ASSERT_EQ(imported.exit_code, 0) << imported.err << imported.out;
    }
    std::filesystem::create_directories(manifests());
    node->spawn("netproxy", {program("netproxy"), "--config", node->config_file(), "--source",
                             node->dir() + "/services", "--status-file", status_file()});
    start_podlet();
  }
  static void start_podlet() {
    podlet_pid =
        node->spawn("podlet", {program("podlet"), "--config", node->config_file(), "--state", node->dir() + "/podlet",
                               "up", manifests(), "--runtime-endpoint", "unix://" + node->socket(), "--services-dir",
                               node->dir() + "/services", "--netproxy-status", status_file()});
    ASSERT_TRUE(eventually([] { return podlet({"get", "pods"}).exit_code == 0; })) << podlet_log();
  }
  static void TearDownTestSuite() {
    if (node == nullptr || podlet_pid < 0) return node.reset();
    auto gone = podlet({"delete", "--all"});
    EXPECT_EQ(gone.exit_code, 0) << gone.err;
    node->stop(std::exchange(podlet_pid, -1), SIGTERM);
    EXPECT_EQ(node->run({"ls", node->dir() + "/podlet/pods", node->dir() + "/podlet/logs"}).out,
              node->dir() + "/podlet/logs:\n\n" + node->dir() + "/podlet/pods:\n");
    node->stop_daemon(SIGTERM);
    EXPECT_EQ(node->leaks(), std::vector<std::string>{});
    node.reset();
  }

  static std::string manifests() { return node->dir() + "/manifests"; }
  static std::string status_file() { return node->dir() + "/netproxy-status.json"; }
  static std::string podlet_log() { return node->run({"tail", "-40", node->dir() + "/podlet.log"}).out; }
  static Output podlet(std::vector<std::string> words) {
    words.insert(words.begin(), {program("podlet"), "--state", node->dir() + "/podlet"});
    return node->run(words);
  }
  static bool eventually(const std::function<bool()>& what,
                         std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    auto end = std::chrono::steady_clock::now() + limit * slowness();
    while (!what()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return true;
  }
  static json::Value get(const std::string& kind, const std::string& name) {
    auto out = podlet({"get", kind, name, "-o", "json"});
    auto value = json::parse(out.out);
    return value ? *std::move(value) : json::Value();
  }
  // A member by a path of names: text(pod, "status.podIP").
  static std::string text(const json::Value& value, std::string_view path) {
    const json::Value* v = &value;
    while (v != nullptr && !path.empty()) {
      auto dot = path.find('.');
      v = v->find(path.substr(0, dot));
      path.remove_prefix(dot == std::string_view::npos ? path.size() : dot + 1);
    }
    return v == nullptr ? "" : v->is_string() ? v->as_string() : json::dump(*v);
  }
  static std::vector<std::string> names(const std::string& selector) {
    auto out = podlet({"get", "pods", "-l", selector, "-o", "name"}).out;
    std::vector<std::string> list;
    std::stringstream lines(out);
    for (std::string line; std::getline(lines, line);) list.push_back(line.substr(line.find('/') + 1));  // pod/NAME
    return list;
  }
  static std::set<std::string> endpoints(const std::string& service) {
    auto object = get("endpoints", service);
    std::set<std::string> out;
    const auto* subsets = object.find("subsets");
    for (std::size_t i = 0; subsets != nullptr && i < subsets->as_array().size(); i++) {
      const auto* list = subsets->as_array()[i].find("addresses");
      for (std::size_t j = 0; list != nullptr && j < list->as_array().size(); j++)
        out.insert(text(list->as_array()[j], "ip"));
    }
    return out;
  }
  static bool is_ready(const std::string& pod) {
    return podlet({"get", "pods", pod}).out.find("Running") != std::string::npos &&
           podlet({"wait", "pod", pod, "--timeout", "0"}).exit_code == 0;
  }
  static std::string status(const std::string& pod) {
    auto out = podlet({"get", "pods", pod}).out;
    auto line = out.find('\n');
    std::stringstream words(line == std::string::npos ? "" : out.substr(line + 1));
    std::string name, ready, word;
    words >> name >> ready >> word;
    return word;
  }
  static void write(const std::string& file, const std::string& content) {
    std::ofstream(manifests() + "/." + file) << content;  // as an editor does: beside it, then renamed
    std::filesystem::rename(manifests() + "/." + file, manifests() + "/" + file);
  }
  static Output apply(const std::string& content) {
    std::ofstream(node->dir() + "/apply.yaml") << content;
    return podlet({"apply", "-f", node->dir() + "/apply.yaml"});
  }
  static std::string curl(const std::string& url) { return node->run({"curl", "-s", "--max-time", "2", url}).out; }

  static inline std::unique_ptr<Node> node;
  static inline pid_t podlet_pid = -1;
};

}  // namespace podshim::test
