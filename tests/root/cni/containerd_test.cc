// Our plugins under Debian's containerd, driven over CRI by crictl: RunPodSandbox with a host port, traffic, Stop,
// Remove. containerd gets its own root, state, socket and cgroup parent, and lives in the test's network and mount
// namespaces.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "common/sys/file.h"
#include "tests/root/cni/node.h"

namespace podshim::test {
namespace {

class Containerd : public Node {
 protected:
  void SetUp() override {
    Node::SetUp();
    if (IsSkipped()) return;
    const char* tool = ::getenv("CRICTL");
    crictl_ = tool != nullptr ? tool : "crictl";
    for (const auto& program : {std::string("containerd"), std::string("runc"), crictl_})
      if (sh("command -v " + program + " > /dev/null").rc != 0) GTEST_SKIP() << "NEEDS " << program << " on PATH";
    cgroup_ = "/podshim-test/cni-" + std::to_string(::getpid());
    start();
  }
  void TearDown() override {
    if (daemon_ > 0) {
      for (const auto& id : ids_) {
        crictl("stopp " + id);
        crictl("rmp " + id);
      }
      ::kill(daemon_, SIGTERM);
      ::waitpid(daemon_, nullptr, 0);
      sh("for c in /sys/fs/cgroup/*" + cgroup_ + " /sys/fs/cgroup" + cgroup_ +
         "; do [ -d $c ] && find $c -depth -type d -exec rmdir {} + 2>/dev/null; rmdir ${c%/*} 2>/dev/null; done");
      sh("grep -o ' " + dir_ + "[^ ]*' /proc/self/mountinfo | sort -r | xargs -r -n1 umount -l");
    }
    Node::TearDown();
  }

  Output crictl(const std::string& arguments) {
    return sh(crictl_ + " -r unix://" + dir_ + "/c.sock -t 20s " + arguments + " 2>>" + dir_ + "/crictl.log");
  }
  void start() {
    write_files();
    daemon_ = ::fork();
    if (daemon_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
      int log = ::open((dir_ + "/containerd.log").c_str(), O_WRONLY | O_CREAT, 0600);
      ::dup2(log, 1);
      ::dup2(log, 2);
      ::execlp("containerd", "containerd", "-c", (dir_ + "/config.toml").c_str(), nullptr);
      ::_exit(127);
    }
    for (int i = 0; i < 100 && crictl("version > /dev/null").rc != 0; i++) sh("sleep 0.1");
    ASSERT_EQ(sh("ctr -a " + dir_ + "/c.sock -n k8s.io images import " + dir_ + "/pause.tar > /dev/null").rc, 0)
        << log();
  }
  std::string log() { return sh("tail -n 8 " + dir_ + "/containerd.log; tail -n 8 " + dir_ + "/crictl.log").out; }

  void write_files() {
    ASSERT_TRUE(sys::make_dirs(dir_ + "/net.d"));
    ASSERT_TRUE(sys::write_file(dir_ + "/config.toml",
                                "version = 2\nroot = \"" + dir_ + "/root\"\nstate = \"" + dir_ +
                                    "/state\"\n[grpc]\n address = \"" + dir_ +
                                    "/c.sock\"\n[plugins.\"io.containerd.grpc.v1.cri\"]\n"
                                    " sandbox_image = \"localhost/pause:test\"\n restrict_oom_score_adj = true\n"
                                    " disable_apparmor = true\n netns_mounts_under_state_dir = true\n"
                                    "[plugins.\"io.containerd.grpc.v1.cri\".containerd]\n snapshotter = \"native\"\n"
                                    "[plugins.\"io.containerd.grpc.v1.cri\".cni]\n bin_dir = \"" +
                                    cni_ + "\"\n conf_dir = \"" + dir_ + "/net.d\"\n",
                                0600));
    // An older conflist, as people have them.
    auto plugin = bridge_conf();
    plugin.erase(0, plugin.find(R"("type")"));
    ASSERT_TRUE(sys::write_file(dir_ + "/net.d/10-podnet.conflist",
                                R"({"cniVersion":"0.4.0","name":"podnet","plugins":[{)" + plugin +
                                    R"(,{"type":"portmap","capabilities":{"portMappings":true},"snat":true}]})",
                                0600));
    make_image();
  }
  // A docker-archive with busybox as pause.
  void make_image() {
    std::string d = dir_ + "/image";
    ASSERT_EQ(sh("mkdir -p " + d + "/layer && cp $(command -v busybox) " + d + "/layer/pause && tar -C " + d +
                 "/layer -cf " + d + "/layer.tar pause")
                  .rc,
              0);
    auto digest = sh("sha256sum " + d + "/layer.tar | cut -c1-64").out.substr(0, 64);
    ASSERT_TRUE(
        sys::write_file(d + "/config.json",
                        R"({"architecture":"amd64","os":"linux","config":{"Entrypoint":["/pause","sleep","100000"]},)"
                        R"("rootfs":{"type":"layers","diff_ids":["sha256:)" +
                            digest + R"("]}})",
                        0600));
    ASSERT_TRUE(sys::write_file(
        d + "/manifest.json",
        R"([{"Config":"config.json","RepoTags":["localhost/pause:test"],"Layers":["layer.tar"]}])", 0600));
    ASSERT_EQ(sh("tar -C " + d + " -cf " + dir_ + "/pause.tar manifest.json config.json layer.tar").rc, 0);
  }
  std::string run(const std::string& name, const std::string& ports) {
    auto file = dir_ + "/" + name + ".json";
    EXPECT_TRUE(sys::write_file(file,
                                R"({"metadata":{"name":")" + name + R"(","namespace":"default","uid":")" + name +
                                    R"(","attempt":1},"port_mappings":[)" + ports + R"(],"log_directory":")" + dir_ +
                                    R"(","linux":{"cgroup_parent":")" + cgroup_ + R"("}})",
                                0600));
    auto output = crictl("runp " + file);
    EXPECT_EQ(output.rc, 0) << log();
    std::string id = output.out.substr(0, output.out.find('\n'));
    if (output.rc == 0) ids_.push_back(id);
    return id;
  }

  std::string crictl_;
  std::string cgroup_;
  pid_t daemon_ = 0;
  std::vector<std::string> ids_;
};

TEST_F(Containerd, RunsPodsOnOurPlugins) {
  ASSERT_FALSE(HasFailure());
  auto web = run("web", R"({"protocol":0,"container_port":80,"host_port":8080})");
  auto client = run("client", "");
  ASSERT_EQ(ids_.size(), 2U);
  auto status = crictl(
      "inspectp -o go-template --template '{{.status.network.ip}} {{range "
      ".status.network.additionalIps}}{{.ip}}{{end}}' " +
      web);
  EXPECT_EQ(status.out.substr(0, 9), "10.42.0.2") << status.out;
  EXPECT_NE(status.out.find("fd00:42::2"), std::string::npos) << status.out;
  auto netns = [&](const std::string& id) {
    auto text = crictl("inspectp " + id +
                       " | jq -r '.info.runtimeSpec.linux.namespaces[] | select(.type==\"network\") | .path'")
                    .out;
    return text.substr(0, text.find('\n'));
  };
  serve(netns(web), 80, "web");
  EXPECT_EQ(in(netns(client), "curl -gsm2 http://10.42.0.2").out, "web ::ffff:10.42.0.3\n");
  EXPECT_EQ(sh("curl -gsm2 http://127.0.0.1:8080").out, "web ::ffff:10.42.0.1\n");
  EXPECT_EQ(in(netns(web), "busybox ping -c1 -W1 127.0.0.1 > /dev/null").rc, 0);  // loopback ran
  for (const auto& id : ids_) {
    EXPECT_EQ(crictl("stopp " + id).rc, 0) << log();
    EXPECT_EQ(crictl("rmp " + id).rc, 0) << log();
  }
  EXPECT_EQ(sh("ip -o link show master cni0 | wc -l").out, "0\n");
  EXPECT_EQ(sh("nft list ruleset | grep -c 'comment \"podnet/'").out, "0\n");
  auto leases = sys::read_file(dir_ + "/ipam/podnet/leases");
  ASSERT_TRUE(leases);
  EXPECT_EQ(leases->find("\nlease "), std::string::npos) << *leases;
}

}  // namespace
}  // namespace podshim::test
