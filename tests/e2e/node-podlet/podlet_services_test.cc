// Services as clients see them: by name from Pods, from outside the node, over a second node, and what `get` says.
#include "tests/e2e/node-podlet/podlet_suite.h"

namespace podshim::test {
namespace {

using namespace std::chrono_literals;

// 192.0.2.0/24: the node .1, a client .100 whose namespace is also the wire (a bridge), node-b .2 without Pods.
class PodletServices : public PodletSuite {
 public:
  static void SetUpTestSuite() {
    start_node();
    if (HasFatalFailure()) return;
    for (const char* file : {"10-backends.yaml", "30-client.yaml", "60-policies.yaml"})
      std::filesystem::copy(std::string(PODSHIM_SOURCE_DIR "/examples/hello/") + file, manifests());
    ASSERT_TRUE(eventually([] { return endpoints("hello-sticky").size() == 3 && is_ready("client"); }))
        << podlet({"get", "pods"}).out << podlet_log();
    outside = make_namespace("outside");
    node_b = make_namespace("node-b");
    auto made = node->run({"sh", "-ec", "out=" + std::to_string(outside) + " b=" + std::to_string(node_b) + R"(
in_out() { nsenter -t $out -n -- "$@"; }
in_b() { nsenter -t $b -n -- "$@"; }
in_out ip link set lo up; in_b ip link set lo up
in_out ip link add wire type bridge
in_out ip addr add 192.0.2.100/24 dev wire
in_out ip link set wire up
ip link add out type veth peer name node-a netns $out
ip addr add 192.0.2.1/24 dev out
ip link set out up
in_out ip link add node-b type veth peer name eth0 netns $b
in_b ip addr add 192.0.2.2/24 dev eth0
in_b ip link set eth0 up
for port in node-a node-b; do in_out ip link set $port master wire up; done
in_out ip route add default via 192.0.2.1
in_b ip route add default via 192.0.2.1
in_b sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
)"});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    node->spawn("netproxy-b", {"nsenter", "-t", std::to_string(node_b), "-n", program("netproxy"), "--config",
                               node->config_file(), "--source", node->dir() + "/services", "--node-name", "node-b",
                               "--node-ip", "192.0.2.2", "--status-file", node->dir() + "/node-b-status.json"});
  }

 protected:
  static pid_t make_namespace(const std::string& name) {
    auto pid = node->spawn(name, {"unshare", "-n", "sleep", "infinity"});
    auto path = "/proc/" + std::to_string(pid) + "/ns/net";
    auto own = node->run({"readlink", "/proc/self/ns/net"}).out;
    EXPECT_TRUE(eventually([&] {
      auto now = node->run({"readlink", path});
      return now.exit_code == 0 && now.out != own &&
             node->run({"cat", "/proc/" + std::to_string(pid) + "/comm"}).out == "sleep\n";
    }));
    return pid;
  }
  static Output from_outside(const std::string& url, const std::string& limit = "2") {
    return node->run({"nsenter", "-t", std::to_string(outside), "-n", "curl", "-s", "--max-time", limit, url});
  }
  static std::string in_pod(const std::string& url) {
    return podlet({"exec", "client", "--", "curl", "-s", "--max-time", "3", url}).out;
  }
  static std::string node_port(const std::string& service) {
    return json::dump(*get("services", service).find("spec")->find("ports")->as_array()[0].find("nodePort"));
  }
  static std::string balancer() {
    auto s = get("services", "hello-local");
    const auto* balancer = s.find("status") == nullptr ? nullptr : s.find("status")->find("loadBalancer");
    return balancer == nullptr ? "" : text(balancer->find("ingress")->as_array()[0], "ip");
  }
  // Different answers of `n` requests.
  static std::set<std::string> answers(int n, const std::function<std::string()>& ask) {
    std::set<std::string> out;
    for (int i = 0; i < n; i++) out.insert(ask());
    return out;
  }
  static inline pid_t outside = -1, node_b = -1;
};

TEST_F(PodletServices, GetShowsTheExternalAddress) {
  auto list = podlet({"get", "services"}).out;
  EXPECT_TRUE(balancer().starts_with("203.0.113.")) << list;
  EXPECT_NE(list.find(" " + balancer() + " "), std::string::npos) << list;
}

TEST_F(PodletServices, PodsFindServicesByName) {
  for (const char* name : {"hello", "hello.default", "hello.default.svc", "hello.default.svc.cluster.local",
                           "hello.default.svc.cluster.local."})
    EXPECT_TRUE(in_pod("http://" + std::string(name) + "/name").starts_with("hello-")) << name;
  EXPECT_EQ(
      podlet({"exec", "client", "--", "curl", "-s", "--max-time", "3", "http://nobody.default.svc.cluster.local/"})
          .exit_code,
      6);  // curl: could not resolve
  // A headless Service has its Pods' addresses, an ExternalName is another name for the same.
  auto applied = apply(
      "apiVersion: v1\nkind: Service\nmetadata: {name: heads}\nspec: {clusterIP: None, selector: {app: hello}, ports: "
      "[{port: 8080}]}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: alias}\nspec: {type: ExternalName, "
      "externalName: hello.default.svc.cluster.local}\n");
  ASSERT_EQ(applied.exit_code, 0) << applied.out;
  EXPECT_TRUE(eventually([] { return in_pod("http://heads:8080/name").starts_with("hello-"); }));
  EXPECT_TRUE(eventually([] { return in_pod("http://alias/name").starts_with("hello-"); }));
  EXPECT_EQ(podlet({"delete", "-f", node->dir() + "/apply.yaml"}).exit_code, 0);
}

TEST_F(PodletServices, LocalKeepsTheClientsAddressClusterDoesNot) {
  for (const auto& url : {"http://" + balancer(), "http://192.0.2.1:" + node_port("hello-local")})
    EXPECT_EQ(answers(10, [&] { return from_outside(url + "/client").out; }), (std::set<std::string>{"192.0.2.100"}))
        << url;
  auto seen = answers(10, [] { return from_outside("http://192.0.2.1:" + node_port("hello") + "/client").out; });
  ASSERT_EQ(seen.size(), 1u);
  auto own = node->run({"sh", "-c", "ip -o -4 addr | awk '{sub(\"/.*\", \"\", $4); print $4}'"}).out;
  EXPECT_NE(("\n" + own).find("\n" + *seen.begin() + "\n"), std::string::npos) << *seen.begin() << " of\n" << own;
}

TEST_F(PodletServices, ANodeWithoutEndpointsDropsLocalAndForwardsCluster) {
  auto cluster = "http://192.0.2.2:" + node_port("hello") + "/name";
  EXPECT_TRUE(eventually([&] { return from_outside(cluster).out.starts_with("hello-"); })) << from_outside(cluster).out;
  constexpr int kTimedOut = 28;  // curl heard nothing, not even a refusal
  EXPECT_EQ(from_outside("http://192.0.2.2:" + node_port("hello-local") + "/name", "1").exit_code, kTimedOut);
  auto route = [&](const char* verb) {
    return node
        ->run({"nsenter", "-t", std::to_string(outside), "-n", "ip", "route", verb, balancer(), "via", "192.0.2.2"})
        .exit_code;
  };
  ASSERT_EQ(route("add"), 0);
  EXPECT_EQ(from_outside("http://" + balancer() + "/name", "1").exit_code, kTimedOut);
  ASSERT_EQ(route("del"), 0);
  EXPECT_EQ(from_outside("http://" + balancer() + "/name").exit_code, 0);
}

// What a load balancer asks of each node: podlet gives the port, each netproxy answers for its own node.
TEST_F(PodletServices, HealthCheckNodePortTellsTheNodesApart) {
  auto port = text(get("services", "hello-local"), "spec.healthCheckNodePort");
  auto here = [&] { return from_outside("http://192.0.2.1:" + port + "/healthz").out; };
  auto there = [&] { return from_outside("http://192.0.2.2:" + port + "/healthz").out; };
  const std::string who = R"({"service":{"namespace":"default","name":"hello-local"},"localEndpoints":)";
  EXPECT_TRUE(eventually([&] { return here().starts_with(who + "3,"); })) << port << ": " << here();
  EXPECT_TRUE(eventually([&] { return there().starts_with(who + "0,"); })) << port << ": " << there();
}

TEST_F(PodletServices, AffinityKeepsAClientOnOneBackend) {
  auto vip = text(get("services", "hello-sticky"), "spec.clusterIP");
  EXPECT_EQ(answers(20, [&] { return curl("http://" + vip + "/name"); }).size(), 1u);
  EXPECT_EQ(answers(20, [&] { return in_pod("http://" + vip + "/name"); }).size(), 1u);
  auto port = node_port("hello-sticky");
  auto far = answers(20, [&] { return from_outside("http://192.0.2.1:" + port + "/name").out; });
  EXPECT_EQ(far.size(), 1u);
  EXPECT_TRUE(far.begin()->starts_with("hello-")) << *far.begin();
}

}  // namespace
}  // namespace podshim::test
