// Software that is not ours, against the whole node: crictl drives the daemon, Debian's CNI plugins run under it.
#include <fstream>

#include "common/json.h"
#include "common/sys/file.h"
#include "tests/support/node_suite.h"

namespace podshim::test {
namespace {

class Crictl : public NodeSuite {
 protected:
  void SetUp() override {
    tool_ = find_tool("crictl");
    if (tool_.empty())
      GTEST_SKIP()
          << "crictl is neither on PATH nor in $CRICTL: the daemon is not checked with a client that is not ours";
  }
  Output crictl(std::vector<std::string> words) {
    words.insert(words.begin(), {tool_, "--runtime-endpoint", "unix://" + node->socket(), "--image-endpoint",
                                 "unix://" + node->socket(), "--timeout", "20s"});
    return node->run(words);
  }
  std::string file(const std::string& name, const std::string& text) {
    std::ofstream(node->dir() + "/" + name) << text;
    return node->dir() + "/" + name;
  }
  static std::string word(std::string text) {
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
    return text;
  }
  std::string tool_;
};

TEST_F(Crictl, BuildsAPodThatSharesData) {
  EXPECT_NE(crictl({"version"}).out.find("RuntimeName:  podshim"), std::string::npos) << crictl({"version"}).out;
  auto info = crictl({"info"});
  ASSERT_EQ(info.exit_code, 0) << info.err;
  auto document = json::parse(info.out);
  ASSERT_TRUE(document) << info.out;
  EXPECT_NE(info.out.find("NetworkReady"), std::string::npos);

  auto pod_json = file(
      "pod.json",
      "{\"metadata\": {\"name\": \"crictl-pod\", \"namespace\": \"default\", \"uid\": \"u1\"}, \"hostname\": "
      "\"crictl-pod\",\"log_directory\": \"" +
          node->dir() +
          "/logs/crictl\", \"annotations\": {\"podshim.dev/volumes\": \"logs\"}, \"linux\": {\"cgroup_parent\": \"" +
          node->cgroup_parent() + "\"}}");
  auto writer_json =
      file("writer.json", std::string("{\"metadata\": {\"name\": \"writer\"}, \"image\": {\"image\": \"") + kBusybox +
                              "\"}, \"command\": [\"sh\", \"-c\", \"while :; do date >> /logs/app.log; echo tick; "
                              "sleep 0.2; done\"], \"log_path\": \"writer.log\", \"mounts\": "
                              "[{\"host_path\": \"volume:logs\", \"container_path\": \"/logs\"}], \"linux\": {}}");
  auto reader_json =
      file("reader.json", std::string("{\"metadata\": {\"name\": \"reader\"}, \"image\": {\"image\": \"") + kBusybox +
                              "\"}, \"command\": [\"sleep\", \"1000\"], \"log_path\": \"reader.log\", \"mounts\": "
                              "[{\"host_path\": \"volume:logs\", "
                              "\"container_path\": \"/logs\", \"readonly\": true}], \"linux\": {}}");
  auto pod = crictl({"runp", pod_json});
  ASSERT_EQ(pod.exit_code, 0) << pod.err << node->log();
  auto pod_id = word(pod.out);
  auto writer = crictl({"create", pod_id, writer_json, pod_json});
  ASSERT_EQ(writer.exit_code, 0) << writer.err;
  auto reader = crictl({"create", pod_id, reader_json, pod_json});
  ASSERT_EQ(reader.exit_code, 0) << reader.err;
  for (const auto& id : {word(writer.out), word(reader.out)}) {
    auto started = crictl({"start", id});
    ASSERT_EQ(started.exit_code, 0) << started.err;
  }
  auto seen = crictl({"exec", "--sync", word(reader.out), "sh", "-c",
                      "i=0; until [ -s /logs/app.log ]; do sleep 0.1; done; wc -l < /logs/app.log"});
  EXPECT_EQ(seen.exit_code, 0) << seen.err;
  EXPECT_GE(std::atoi(seen.out.c_str()), 1) << seen.out;
  EXPECT_NE(crictl({"pods"}).out.find("crictl-pod"), std::string::npos);
  EXPECT_NE(crictl({"ps"}).out.find("writer"), std::string::npos);
  EXPECT_NE(crictl({"logs", word(writer.out)}).out.find("tick"), std::string::npos);
  auto inspect = crictl({"inspect", word(writer.out)});
  EXPECT_NE(inspect.out.find("CONTAINER_RUNNING"), std::string::npos) << inspect.err;
  auto inspectp = crictl({"inspectp", pod_id});
  EXPECT_NE(inspectp.out.find("\"ip\": \"10.42."), std::string::npos) << inspectp.out;
  EXPECT_EQ(crictl({"stats"}).exit_code, 0) << crictl({"stats"}).err;
  EXPECT_NE(crictl({"images"}).out.find("podshim.dev/busybox"), std::string::npos);
  EXPECT_EQ(crictl({"inspecti", kBusybox}).exit_code, 0);
  EXPECT_EQ(crictl({"imagefsinfo"}).exit_code, 0);
  EXPECT_EQ(crictl({"pull", kBusybox}).exit_code, 0) << crictl({"pull", kBusybox}).err;
  EXPECT_EQ(crictl({"stop", "--timeout", "1", word(writer.out)}).exit_code, 0);
  EXPECT_EQ(crictl({"rm", word(writer.out)}).exit_code, 0);
  EXPECT_EQ(crictl({"rm", "--force", word(reader.out)}).exit_code, 0);
  EXPECT_EQ(crictl({"stopp", pod_id}).exit_code, 0);
  EXPECT_EQ(crictl({"rmp", pod_id}).exit_code, 0);
  EXPECT_EQ(word(crictl({"pods", "-q"}).out), "");
}

TEST_F(Crictl, NamesWhatIsNotThere) {
  auto none = crictl({"inspect", "feedfeed"});
  EXPECT_NE(none.exit_code, 0);
  EXPECT_NE((none.err + none.out).find("feedfeed"), std::string::npos) << none.err;
  auto pull = crictl({"pull", "example.com/none:1"});
  EXPECT_NE(pull.exit_code, 0);
  EXPECT_NE(pull.err.find("example.com/none:1"), std::string::npos) << pull.err;
  auto pod = run_pod();
  auto id = start(pod, sleeper("c"));
  auto unimplemented = crictl({"checkpoint", "--export", node->dir() + "/cp", id});
  EXPECT_NE(unimplemented.exit_code, 0);
  EXPECT_NE(unimplemented.err.find("CheckpointContainer"), std::string::npos) << unimplemented.err;
}

// Debian's bridge, host-local and portmap instead of ours.
TEST(DebianPlugins, GiveAPodItsAddressAndHostPort) {
  ASSERT_TRUE(sys::exists("/usr/lib/cni/bridge")) << "containernetworking-plugins is not installed";
  char data[] = "/tmp/podshim-hostlocal.XXXXXX";
  ASSERT_NE(::mkdtemp(data), nullptr);
  {
    Node node(
        {.cni_bin_dir = "/usr/lib/cni",
         .conflist = std::string("{\"cniVersion\": \"1.0.0\", \"name\": \"debian\", \"plugins\": [{\"type\": "
                                 "\"bridge\", \"bridge\": \"deb0\", "
                                 "\"isGateway\": true, \"ipam\": {\"type\": \"host-local\", \"dataDir\": \"") +
                     data +
                     "\", \"ranges\": [[{\"subnet\": \"10.42.8.0/24\"}]], \"routes\": [{\"dst\": \"0.0.0.0/0\"}]}}]}"});
    ASSERT_TRUE(node.start_daemon()) << node.log();
    ASSERT_EQ(node.import_image(image_archive("probe.tar")).exit_code, 0);
    auto config = pod_config("p", node.cgroup_parent());
    auto pod = node.cri().run_sandbox(config);
    ASSERT_TRUE(pod.status.ok()) << pod.status.error_message();
    auto ip = node.cri().sandbox_status(pod.id).network().ip();
    EXPECT_TRUE(ip.starts_with("10.42.8.")) << ip;
    auto made = node.cri().create_container(pod.id, container_config("c", kProbe, {}), config);
    ASSERT_TRUE(made.status.ok()) << made.status.error_message();
    ASSERT_TRUE(node.cri().start(made.id).ok());
    auto curl = node.run({"curl", "-s", "--retry", "20", "--retry-connrefused", "--retry-delay", "0", "--max-time",
                          "10", "http://" + ip + ":8080/"});
    EXPECT_EQ(curl.exit_code, 0) << curl.err;
    EXPECT_TRUE(node.cri().stop_sandbox(pod.id).ok());
    EXPECT_TRUE(node.cri().remove_sandbox(pod.id).ok());
    EXPECT_EQ(node.leaks(), std::vector<std::string>{});
    EXPECT_EQ(node.run({"sh", "-c", std::string("ls ") + data + "/debian | grep -c '^10' || true"}).out, "0\n");
  }
  (void)sys::remove_tree(data);
}

}  // namespace
}  // namespace podshim::test
