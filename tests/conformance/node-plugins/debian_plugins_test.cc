// Debian's CNI plugins under the whole node.
#include "common/sys/file.h"
#include "tests/support/node_suite.h"

namespace podshim::test {
namespace {

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
                     "\", \"ranges\": [[{\"subnet\": \"10.42.8.0/24\"}]], \"routes\": [{\"dst\": \"0.0.0.0/0\"}]}}, "
                     "{\"type\": \"portmap\", \"capabilities\": {\"portMappings\": true}}]}"});
    ASSERT_TRUE(node.start_daemon()) << node.log();
    ASSERT_EQ(node.import_image(image_archive("probe.tar")).exit_code, 0);
    auto config = pod_config("p", node.cgroup_parent());
    auto* port = config.add_port_mappings();
    port->set_host_port(7070);
    port->set_container_port(8080);
    auto pod = node.cri().run_sandbox(config);
    ASSERT_TRUE(pod.status.ok()) << pod.status.error_message();
    auto ip = node.cri().sandbox_status(pod.id).network().ip();
    EXPECT_TRUE(ip.starts_with("10.42.8.")) << ip;
    auto made = node.cri().create_container(pod.id, container_config("c", kProbe, {}), config);
    ASSERT_TRUE(made.status.ok()) << made.status.error_message();
    ASSERT_TRUE(node.cri().start(made.id).ok());
    for (const std::string& at : {ip + ":8080", std::string("127.0.0.1:7070")}) {
      auto curl = node.run({"curl", "-s", "--retry", "20", "--retry-connrefused", "--retry-delay", "0", "--max-time",
                            "10", "http://" + at + "/"});
      EXPECT_EQ(curl.exit_code, 0) << at << ": " << curl.err;
    }
    EXPECT_NE(node.run({"iptables-save", "-t", "nat"}).out.find("--dport 7070"), std::string::npos);
    EXPECT_TRUE(node.cri().stop_sandbox(pod.id).ok());
    EXPECT_TRUE(node.cri().remove_sandbox(pod.id).ok());
    EXPECT_EQ(node.leaks(), std::vector<std::string>{});
    EXPECT_EQ(node.run({"iptables-save", "-t", "nat"}).out.find("--dport 7070"), std::string::npos);
    EXPECT_EQ(node.run({"sh", "-c", std::string("ls ") + data + "/debian | grep -c '^10' || true"}).out, "0\n");
  }
  (void)sys::remove_tree(data);
}

}  // namespace
}  // namespace podshim::test
