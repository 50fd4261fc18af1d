#include "tests/e2e/node/fault_suite.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "common/sys/file.h"
#include "tests/e2e/node/fault_image.h"

namespace podshim::test {
namespace {

std::string g_plugins;  // the build's plugins; `bridge` is a script that can refuse DEL
std::string g_ruleset;  // the node's nftables when no Pod is there any more

cri::PodSandboxConfig pod_with_host_ports(const Node& node) {
  auto pod = pod_config("pod", node.cgroup_parent());
  for (const auto protocol : {cri::TCP, cri::UDP}) {
    auto& port = *pod.add_port_mappings();
    port.set_protocol(protocol);
    port.set_container_port(53);
    port.set_host_port(15353);
  }
  return pod;
}

// The rules of the plugins, made by a first Pod, stay; its elements do not.
void keep_ruleset_baseline(Node& node) {
  auto made = node.cri().run_sandbox(pod_with_host_ports(node));
  ASSERT_TRUE(made.status.ok()) << made.status.error_message();
  const std::string with_pod = node.ruleset();
  for (const char* element : {"tcp . 15353", "udp . 15353"})
    ASSERT_NE(with_pod.find(element), std::string::npos) << with_pod;
  ASSERT_TRUE(node.cri().remove_sandbox(made.id).ok());
  g_ruleset = node.ruleset();
  ASSERT_EQ(g_ruleset.find("15353"), std::string::npos) << g_ruleset;
}

std::vector<std::string> names_in(const std::string& dir) {
  return sys::list_dir(dir).value_or(std::vector<std::string>{});
}

void make_plugins() {
  char name[] = "/tmp/podshim-fault-cni-XXXXXX";
  g_plugins = ::mkdtemp(name);
  const std::string real = PODSHIM_BUILD_DIR "/cni";
  for (const auto& plugin : names_in(real))
    if (plugin != "bridge") std::filesystem::create_symlink(real + "/" + plugin, g_plugins + "/" + plugin);
  std::ofstream(g_plugins + "/bridge")
      << "#!/bin/sh\nif [ \"$CNI_COMMAND\" = DEL ] && [ -e " << g_plugins << "/fail-del ]; then\n  cat > /dev/null\n"
      << "  echo '{\"cniVersion\":\"1.0.0\",\"code\":11,\"msg\":\"told to fail\"}'\n  exit 1\nfi\nexec " << real
      << "/bridge\n";
  ::chmod((g_plugins + "/bridge").c_str(), 0755);
}

}  // namespace

std::vector<Point> points_of(const std::vector<std::string>& trace) {
  std::map<std::string, int> passed;
  std::vector<Point> points;
  for (const auto& name : trace) points.push_back({name, ++passed[name]});
  return points;
}

Status run_sandbox(Node& node, World& w) {
  auto made = node.cri().run_sandbox(w.pod);
  w.sandbox_id = made.id;
  return made.status;
}

Status create_container(Node& node, World& w) {
  auto made = node.cri().create_container(w.sandbox_id, w.container, w.pod);
  w.container_id = made.id;
  return made.status;
}

std::size_t count_sandboxes(Node& node) {
  cri::ListPodSandboxResponse response;
  auto status = node.cri().call(&cri::RuntimeService::Stub::ListPodSandbox, cri::ListPodSandboxRequest(), &response);
  return status.ok() ? static_cast<std::size_t>(response.items_size()) : 999;
}

std::size_t count_containers(Node& node) {
  cri::ListContainersResponse response;
  auto status = node.cri().call(&cri::RuntimeService::Stub::ListContainers, cri::ListContainersRequest(), &response);
  return status.ok() ? static_cast<std::size_t>(response.containers_size()) : 999;
}

std::string at_last(std::chrono::seconds limit, const std::function<std::string()>& wrong) {
  const auto end = std::chrono::steady_clock::now() + limit * slowness();
  for (;;) {
    std::string now = wrong();
    if (now.empty() || std::chrono::steady_clock::now() > end) return now;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

bool has_lease(Node& node, const std::string& sandbox_id) {
  return node.run({"grep", "-rqs", "--exclude=leases.new", sandbox_id, node.dir() + "/root/ipam"}).exit_code == 0;
}

std::vector<std::string> debts(Node& node) { return names_in(node.dir() + "/root/network-debts"); }

void Fault::fail_del(bool on) {
  const std::string file = g_plugins + "/fail-del";
  if (on) std::ofstream(file).flush();
  if (!on) ::unlink(file.c_str());
}

void Fault::SetUpTestSuite() {
  ::setenv("PODSHIM_BIN", PODSHIM_BUILD_DIR "/fault", 1);
  make_plugins();
  node = std::make_unique<Node>(Node::Options{.cni_bin_dir = g_plugins});
  ::setenv("PODSHIM_FAULT_DIR", node->dir().c_str(), 1);
  ASSERT_EQ(serve_fault_image(*node), "");
  ASSERT_TRUE(node->start_daemon()) << node->log();
  ASSERT_EQ(node->import_image(image_archive("busybox.tar")).exit_code, 0);
  ASSERT_NO_FATAL_FAILURE(keep_ruleset_baseline(*node));
  keep_image_baseline(*node);
}

void Fault::TearDownTestSuite() {
  if (node == nullptr) return;
  node->stop_daemon(SIGTERM);
  EXPECT_EQ(node->leaks(), std::vector<std::string>{});
  node.reset();
  std::filesystem::remove_all(g_plugins);
  ::unsetenv("PODSHIM_BIN");
  ::unsetenv("PODSHIM_FAULT_DIR");
}

World Fault::prepare(const Operation& operation) {
  static int serial = 0;
  World w{.serial = ++serial};
  w.pod = pod_with_host_ports(*node);
  w.pod.set_log_directory(node->dir() + "/logs");
  (*w.pod.mutable_annotations())["podshim.dev/volumes"] = "shared";
  w.container = container_config("c", kBusybox,
                                 {"sh", "-c", "trap 'exit 0' TERM; touch /ready; while :; do sleep 1 & wait $!; done"});
  w.container.set_log_path("c.log");
  Status made = Status::OK;
  if (operation.depth >= 1) made = run_sandbox(*node, w);
  if (operation.depth >= 2 && made.ok()) made = create_container(*node, w);
  if (operation.depth >= 3 && made.ok()) made = node->cri().start(w.container_id);
  EXPECT_TRUE(made.ok()) << made.error_message();
  auto ready = [&] {  // the first process of a pid namespace gets no signal that it does not handle
    cri::ExecSyncResponse out;
    auto ran = node->cri().exec(w.container_id, {"test", "-e", "/ready"}, 10, &out);
    return ran.ok() && out.exit_code() == 0 ? "" : "not ready";
  };
  EXPECT_EQ(operation.depth >= 3 ? at_last(std::chrono::seconds(10), ready) : "", "");
  if (operation.before) operation.before(*node, w);
  return w;
}

void Fault::clear() {
  fail_del(false);
  cri::ListPodSandboxResponse response;
  node->cri().call(&cri::RuntimeService::Stub::ListPodSandbox, cri::ListPodSandboxRequest(), &response);
  for (const auto& item : response.items()) {
    auto removed = node->cri().remove_sandbox(item.id());
    EXPECT_TRUE(removed.ok()) << removed.error_message();
  }
  for (const char* image : {kPulledImage, kImportedImage}) {
    auto removed = has_image(*node, image) ? remove_image(*node, image) : Status::OK;
    EXPECT_TRUE(removed.ok()) << removed.error_message();
  }
}

// Machine, leases, directories, nftables and images: the sweep at the start runs behind the first answers.
std::vector<std::string> Fault::left() {
  auto found = node->leaks(std::chrono::milliseconds(5000));
  for (const char* dir : {"root/sandboxes", "root/containers", "root/network-debts", "state/sandboxes", "state/exits",
                          "state/kills", "root/images/trash", "root/images/ingest"})
    for (const auto& name : names_in(node->dir() + "/" + dir)) found.push_back(dir + ("/" + name));
  auto leases = node->run({"grep", "-rhoE", "--exclude=leases.new", "[0-9a-f]{64}", node->dir() + "/root/ipam"});
  if (!leases.out.empty()) found.push_back("lease " + leases.out);
  if (auto rules = node->ruleset(); rules != g_ruleset) found.push_back("nftables:\n" + rules);
  if (auto image = image_left(*node); !image.empty()) found.push_back(image);
  return found;
}

void Fault::expect_nothing_left() {
  std::vector<std::string> found;
  at_last(std::chrono::seconds(10), [&] { return (found = left()).empty() ? "" : "left"; });
  EXPECT_EQ(found, std::vector<std::string>{});
}

std::vector<std::string> Fault::trace(const Operation& operation, const std::string& whose) {
  SCOPED_TRACE(operation.name);
  World w = prepare(operation);
  const std::string file = node->dir() + "/" + whose + "trace";
  std::ofstream(file).flush();
  auto done = operation.act(*node, w);
  EXPECT_TRUE(done.ok()) << done.error_message();
  std::vector<std::string> names;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) names.push_back(line);
  std::filesystem::remove(file);
  EXPECT_EQ(operation.wrong(*node, w), "");
  clear();
  expect_nothing_left();
  return names;
}

void Fault::arm(Node& at, const Point& point, const std::string& whose) {
  std::ofstream(at.dir() + "/order") << point.passing << " " << point.name;
  std::filesystem::rename(at.dir() + "/order", at.dir() + "/" + whose + "armed");
}

void Fault::disarm(Node& at) {
  for (const char* file : {"/armed", "/monitor-armed", "/died", "/monitor-died"})
    std::filesystem::remove(at.dir() + file);
}

}  // namespace podshim::test
