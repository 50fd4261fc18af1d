// critest, the CRI's own conformance suite, against the whole node: images made here (hack/make-images --suite) under
// the names the suite asks for, served by Debian's docker-registry through mirrors. Every spec runs but those of
// kNotRun; one that skips itself counts as a failure unless kMaySkip knows why. $PODSHIM_CONFORMANCE: a directory that
// keeps the suite's reports (docs/conformance.md is made from them by hack/conformance).
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <span>

#include "common/json.h"
#include "common/sys/file.h"
#include "tests/support/long_run.h"
#include "tests/support/no_proxy.h"
#include "tests/support/node.h"

namespace podshim::test {
namespace {

constexpr const char* kRegistry = "127.0.0.1:5000";

struct Known {
  const char* specs;  // a part of the name
  const char* why;
};
// Not run, since it cannot pass here.
constexpr Known kNotRun[] = {
    {"image with digest", "its digest is of upstream's own bytes"},
    {"NRI ", "there is no NRI yet"},
    {"MaskedPaths", "wants a shell that says \"/bin/sh: ls:\" and has no ls of its own; Debian has none"},
};
// May skip itself; any other spec that does is one that is not served.
constexpr Known kMaySkip[] = {
    {"AppArmor", "needs a kernel with AppArmor"},
    {"UserNamespaces", "are not there yet, which Status says"},
    {"benchmark", "are not asked for"},
};

bool is_one_of(std::span<const Known> known, const std::string& name) {
  return std::any_of(known.begin(), known.end(),
                     [&](const Known& k) { return name.find(k.specs) != std::string::npos; });
}

std::string quoted(const std::string& text) {
  std::string out;
  for (char c : text) out += std::string(c == '[' || c == ']' ? "\\" : "") + c;
  return out;
}

class Critest : public ::testing::Test {
 protected:
  void SetUp() override {
    critest_ = find_tool("critest");
    if (critest_.empty())
      GTEST_SKIP() << "critest is neither on PATH nor in $CRITEST: the daemon is not checked by the CRI's own suite";
    ignore_proxies();
    const std::string mirror = std::string("{endpoint: [\"http://") + kRegistry + "\"]}";
    std::ofstream(node_.dir() + "/registries.yaml")
        << "mirrors: {registry.k8s.io: " << mirror << ", k8s.gcr.io: " << mirror << ", gcr.io: " << mirror << "}\n";
    std::ofstream(node_.dir() + "/registry.yml")
        << "version: 0.1\nlog: {level: warn}\nstorage: {filesystem: {rootdirectory: " << node_.dir()
        << "/registry}}\nhttp: {addr: " << kRegistry << "}\n";
    node_.spawn("registry", {find_tool("docker-registry"), "serve", node_.dir() + "/registry.yml"});
    shell("for i in $(seq 100); do curl -so /dev/null http://" + std::string(kRegistry) +
          "/v2/ && exit 0; sleep 0.05; done; exit 1");
    fill();
  }
  void TearDown() override { EXPECT_EQ(node_.leaks(), std::vector<std::string>{}); }

  void shell(const std::string& script) {
    auto done = node_.run({"sh", "-ec", script}, std::chrono::seconds(120));
    ASSERT_EQ(done.exit_code, 0) << script << "\n" << done.out << done.err;
  }
  // The image `from` of hack/make-images under the suite's name, with a label of its own, so that it has an id of its
  // own.
  void push(const std::string& from, const std::string& name, const std::string& config = "",
            const std::string& format = "oci") {
    const std::string layout = node_.dir() + "/layout-" + from, tag = "t" + std::to_string(++images_);
    if (!std::filesystem::exists(layout))
      shell("skopeo copy -q oci:" + image_archive(from + ".oci") + ":podshim.dev/" + from + ":1 oci:" + layout +
            ":base");
    shell("umoci config --image " + layout + ":base --tag " + tag + " --config.label n=" + tag + " " + config +
          " >/dev/null 2>&1");
    shell("skopeo copy -q --dest-tls-verify=false --format " + format + " oci:" + layout + ":" + tag + " docker://" +
          kRegistry + "/" + name);
  }
  void fill() {
    const std::string e2e = "e2e-test-images/", staging = "k8s-staging-cri-tools/";
    push("suite", e2e + "busybox:1.29-2", "", "v2s2");
    push("suite-nginx", e2e + "nginx:1.14-2", "", "v2s2");
    push("suite-httpd", e2e + "httpd:2.4.39-4");
    push("suite-uid", e2e + "nonewprivs:1.3");
    push("busybox", "pause:3.9", "--config.cmd sleep --config.cmd 1000000", "v2s2");
    push("suite-nginx-hostnet", staging + "hostnet-nginx-amd64");
    push("suite-group", staging + "test-image-predefined-group");
    for (const char* name :
         {"test-image-1:latest", "test-image-2:latest", "test-image-3:latest", "test-image-latest:latest",
          "test-image-tag:test", "test-image-tag:all", "test-image-tags:1"})
      push("suite", staging + name);
    for (const char* tag : {"2", "3"})
      shell("skopeo copy -q --src-tls-verify=false --dest-tls-verify=false docker://" + std::string(kRegistry) + "/" +
            staging + "test-image-tags:1 docker://" + kRegistry + "/" + staging + "test-image-tags:" + tag);
    push("suite", staging + "test-image-user-uid", "--config.user 1002");
    push("suite", staging + "test-image-user-username", "--config.user www-data");
    push("suite", staging + "test-image-user-uid-group", "--config.user 1003:1004");
    push("suite", staging + "test-image-user-username-group", "--config.user www-data:1004");
  }

  // Runs the suite against `socket`; its output, and the report under `name` in the node's directory.
  Output critest(const std::string& name, const std::string& socket, const std::vector<std::string>& flags) {
    std::string skip;
    for (const auto& known : kNotRun) skip += (skip.empty() ? "" : "|") + quoted(known.specs);
    std::vector<std::string> argv = {critest_,
                                     "-runtime-endpoint",
                                     "unix://" + socket,
                                     "-image-endpoint",
                                     "unix://" + socket,
                                     "-ginkgo.skip",
                                     skip,
                                     "-ginkgo.no-color",
                                     "-ginkgo.timeout",
                                     "10m",
                                     "-ginkgo.json-report",
                                     report(name)};
    argv.insert(argv.end(), flags.begin(), flags.end());
    if (const char* focus = std::getenv("PODSHIM_CRITEST_FOCUS")) argv.insert(argv.end(), {"-ginkgo.focus", focus});
    auto out = node_.run(argv, std::chrono::seconds(660));
    const auto line = out.out.find("Ran ");
    EXPECT_NE(line, std::string::npos) << out.out << out.err;
    if (line != std::string::npos) std::printf("%s\n", out.out.substr(line, 200).c_str());
    if (const char* keep = std::getenv("PODSHIM_CONFORMANCE"))
      std::filesystem::copy_file(report(name), std::string(keep) + "/" + name + ".json",
                                 std::filesystem::copy_options::overwrite_existing);
    return out;
  }
  std::string report(const std::string& name) const { return node_.dir() + "/" + name + ".json"; }

  void run(const std::string& name, const std::vector<std::string>& flags) {
    ASSERT_TRUE(node_.start_daemon()) << node_.log();
    const auto out = critest(name, node_.socket(), flags);
    EXPECT_EQ(out.exit_code, 0) << out.out << out.err;
    EXPECT_EQ(out.out.find("Ran 0 of"), std::string::npos) << "no spec ran: " << out.out;
    expect_no_other_skip(report(name));
    node_.stop_daemon(SIGTERM);
  }

  // A skip is read like a failure. The flags leave out what they name, so only what they let run is looked at.
  void expect_no_other_skip(const std::string& report) {
    auto document = json::parse(sys::read_file(report).value());
    ASSERT_TRUE(document) << document.error().text();
    int looked_at = 0;
    for (const auto& suite : document->as_array())
      for (const auto& spec : suite.find("SpecReports")->as_array()) {
        std::string name;
        const auto* above = spec.find("ContainerHierarchyTexts");
        if (above->is_array())
          for (const auto& part : above->as_array()) name += part.as_string() + " ";
        name += spec.find("LeafNodeText")->as_string();
        const auto* failure = spec.find("Failure");  // its message is why a spec that ran skipped itself
        if (spec.find("State")->as_string() != "skipped" || failure == nullptr) continue;
        looked_at++;
        const std::string why = failure->find("Message")->as_string();
        EXPECT_TRUE(why.empty() || is_one_of(kNotRun, name) || is_one_of(kMaySkip, name)) << name << ": " << why;
      }
    std::printf("%d skips, all known\n", looked_at);
  }

  Node node_;
  std::string critest_;
  int images_ = 0;
};

// Every spec, its streams over SPDY.
TEST_F(Critest, EverySpec) {
  for (int round = 0; round < (long_run() ? 3 : 1); round++) run("spdy", {});
}

// Over WebSocket the streaming specs differ, and nothing else.
TEST_F(Critest, StreamsOverWebSocket) {
  std::vector<std::string> flags = {"-websocket-exec", "-websocket-attach", "-websocket-portforward"};
  if (!long_run()) flags.insert(flags.end(), {"-ginkgo.focus", "Streaming"});
  for (int round = 0; round < (long_run() ? 3 : 1); round++) run("websocket", flags);
}

// Debian's containerd + runc beside it, for the table of docs/conformance.md alone (hack/conformance).
TEST_F(Critest, DISABLED_TheSameOfContainerd) {
  const std::string dir = node_.dir() + "/peer", socket = dir + "/containerd.sock";
  shell("mkdir -p " + dir + "/net.d " + dir + "/certs.d");
  for (const char* host : {"registry.k8s.io", "k8s.gcr.io", "gcr.io"}) {
    shell("mkdir -p " + dir + "/certs.d/" + host);
    std::ofstream(dir + "/certs.d/" + host + "/hosts.toml") << "[host.\"http://" << kRegistry << "\"]\n";
  }
  std::ofstream(dir + "/net.d/10-peer.conflist")
      << "{\"cniVersion\": \"1.0.0\", \"name\": \"peer\", \"plugins\": [{\"type\": \"bridge\", \"bridge\": \"peer0\", "
         "\"isGateway\": true, \"ipMasq\": true, \"hairpinMode\": true, \"ipam\": {\"type\": \"host-local\", "
         "\"dataDir\": \""
      << dir << "/ipam\", \"ranges\": [[{\"subnet\": \"10.44.0.0/16\"}]], \"routes\": [{\"dst\": \"0.0.0.0/0\"}]}}, "
      << "{\"type\": \"portmap\", \"capabilities\": {\"portMappings\": true}}]}";
  std::ofstream(dir + "/config.toml") << "version = 2\nroot = \"" << dir << "/root\"\nstate = \"" << dir
                                      << "/state\"\n[grpc]\n  address = \"" << socket
                                      << "\"\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = "
                                         "\"podshim.dev/pause:1\"\n  restrict_oom_score_adj = true\n"
                                         "  [plugins.\"io.containerd.grpc.v1.cri\".registry]\n    config_path = \""
                                      << dir << "/certs.d\"\n  [plugins.\"io.containerd.grpc.v1.cri\".cni]\n"
                                      << "    bin_dir = \"/usr/lib/cni\"\n    conf_dir = \"" << dir << "/net.d\"\n";
  const pid_t peer = node_.spawn("containerd", {find_tool("containerd"), "-c", dir + "/config.toml"});
  shell("for i in $(seq 400); do [ -S " + socket + " ] && break; sleep 0.05; done; ctr -a " + socket +
        " -n k8s.io images import " + image_archive("pause.tar") + " >/dev/null");
  (void)critest("containerd", socket, {});
  node_.stop(peer, SIGTERM);
}

}  // namespace
}  // namespace podshim::test
