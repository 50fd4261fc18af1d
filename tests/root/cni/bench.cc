// Wall time of ADD and DEL of the chain bridge + host-local + portmap: ours and Debian's, spawned the same way,
// interleaved in one run in a namespace of its own; beside them the start of a program alone and a bare link delete.
// Prints min and median ms.
//   cni_bench [rounds [pause ms between operations [directory for the leases]]]
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <thread>

#include "common/json.h"
#include "common/netlink/link.h"
#include "common/sys/file.h"
#include "common/sys/netns.h"

namespace podshim::test {
namespace {

using Clock = std::chrono::steady_clock;

struct Side {
  std::string name;
  std::string dir;
  std::string bridge;
  std::string subnet;
};

std::map<std::string, std::vector<double>> g_times;
int g_pause_ms = 0;

void note(const std::string& what, Clock::time_point begin) {
  g_times[what].push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
}

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "cni_bench: %s\n", why.c_str());
  std::exit(1);
}

std::string run(const Side& side, const std::string& plugin, const char* command, const std::string& id,
                const std::string& netns, const std::string& config) {
  int in[2];
  int out[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) die("pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  std::string file = side.dir + "/" + plugin;
  std::vector<std::string> texts = {"CNI_COMMAND=" + std::string(command),
                                    "CNI_CONTAINERID=" + id,
                                    "CNI_NETNS=" + netns,
                                    "CNI_IFNAME=eth0",
                                    "CNI_PATH=" + side.dir,
                                    std::string("PATH=") + ::getenv("PATH")};
  std::vector<char*> env;
  for (auto& t : texts) env.push_back(t.data());
  env.push_back(nullptr);
  char* argv[] = {file.data(), nullptr};
  pid_t pid = 0;
  if (::posix_spawn(&pid, file.c_str(), &actions, nullptr, argv, env.data()) != 0) die("cannot spawn " + file);
  posix_spawn_file_actions_destroy(&actions);
  ::close(in[0]);
  ::close(out[1]);
  Fd to(in[1]);
  Fd from(out[0]);
  [[maybe_unused]] auto sent = sys::write_all(to, config, file);
  to.reset();
  auto text = sys::read_all(from, file).value_or("");
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (status != 0) die(file + " " + command + ": " + text);
  return text;
}

std::string with_prev(const std::string& config, const json::Value& result) {
  auto value = *json::parse(config);
  value.set("prevResult", result);
  return json::dump(value);
}

void rest() {
  if (g_pause_ms > 0) ::usleep(static_cast<useconds_t>(g_pause_ms) * 1000);
}

void round(const Side& side, const std::string& dir, int n, bool ports) {
  std::string netns = dir + "/pod";
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0 ||
        ::mount("/proc/thread-self/ns/net", netns.c_str(), nullptr, MS_BIND, nullptr) != 0)
      die("netns");
  }).join();
  std::string id = side.name + std::to_string(n);
  std::string bridge =
      R"({"cniVersion":"1.0.0","name":")" + side.name + R"(net","type":"bridge","bridge":")" + side.bridge +
      R"(","isDefaultGateway":true,"ipMasq":true,"hairpinMode":true,"ipam":{"type":"host-local","dataDir":")" + dir +
      R"(/ipam","subnet":")" + side.subnet + R"("}})";
  std::string mapping = ports ? R"({"hostPort":18080,"containerPort":80,"protocol":"tcp"})" : "";
  std::string portmap = R"({"cniVersion":"1.0.0","name":")" + side.name +
                        R"(net","type":"portmap","runtimeConfig":{"portMappings":[)" + mapping + "]}}";
  std::string label = side.name + (ports ? " hostPort" : "");
  rest();
  auto begin = Clock::now();
  auto text = run(side, "bridge", "ADD", id, netns, bridge);
  note(label + " ADD bridge", begin);
  auto result = json::parse(text);
  if (!result) die("no JSON: " + text);
  auto chained = with_prev(portmap, *result);
  auto middle = Clock::now();
  run(side, "portmap", "ADD", id, netns, chained);
  note(label + " ADD portmap", middle);
  note(label + " ADD chain", begin);
  rest();
  begin = Clock::now();
  run(side, "portmap", "DEL", id, netns, chained);
  note(label + " DEL portmap", begin);
  middle = Clock::now();
  run(side, "bridge", "DEL", id, netns, with_prev(bridge, *result));
  note(label + " DEL bridge", middle);
  note(label + " DEL chain", begin);
  ::umount2(netns.c_str(), MNT_DETACH);
}

void bare_delete(netlink::Socket& node, const std::string& dir) {
  std::string path = dir + "/pod";
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0 ||
        ::mount("/proc/thread-self/ns/net", path.c_str(), nullptr, MS_BIND, nullptr) != 0)
      die("netns");
  }).join();
  {
    auto netns = sys::open_netns(path);
    auto bridge = netlink::get_link(node, "bench0");
    netlink::Batch b;
    netlink::add_veth(b,
                      {.name = "bare0",
                       .mac = *netlink::Mac::parse("fe:00:00:00:00:01"),
                       .mtu = 1500,
                       .master = bridge->index,
                       .peer_name = "eth0",
                       .peer_mac = *netlink::Mac::parse("0a:00:00:00:00:01")},
                      *netns);
    netlink::change_link(b, {.name = "bare0", .up = true});
    if (!node.execute(b)) die("veth");
  }
  rest();
  netlink::Batch d;
  netlink::delete_link(d, "bare0");
  auto begin = Clock::now();
  if (!node.execute(d)) die("delete");
  note("bare link delete", begin);
  ::umount2(path.c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace podshim::test

int main(int argc, char** argv) {
  using namespace podshim;
  using namespace podshim::test;
  int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
  g_pause_ms = argc > 2 ? std::atoi(argv[2]) : 0;
  if (::unshare(CLONE_NEWNS | CLONE_NEWNET) != 0) die("needs root");
  ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  std::string dir = std::string(argc > 3 ? argv[3] : "/tmp") + "/podshim-cni-bench-XXXXXX";
  if (::mkdtemp(dir.data()) == nullptr) die("mkdtemp");
  [[maybe_unused]] auto made = sys::write_file(dir + "/pod", "", 0600);
  auto node = netlink::Socket::open(netlink::Protocol::route);
  netlink::Batch b;
  netlink::change_link(b, {.name = "lo", .up = true});
  netlink::add_bridge(b, {.name = "bench0"});
  if (!node || !node->execute(b)) die("bridge");
  const Side sides[] = {{"ours", PODSHIM_BUILD_DIR "/cni", "ours0", "10.42.0.0/16"},
                        {"debian", "/usr/lib/cni", "debian0", "10.44.0.0/16"}};
  for (int i = -2; i < rounds; i++) {
    if (i == 0) g_times.clear();  // two rounds of warm-up
    for (const auto& side : sides) {
      for (bool ports : {false, true}) round(side, dir, i + 2 + (ports ? 100000 : 0), ports);
      auto begin = Clock::now();
      run(side, "host-local", "VERSION", "x", "", R"({"cniVersion":"1.0.0"})");
      note(side.name + " start alone (VERSION)", begin);
    }
    bare_delete(*node, dir);
  }
  for (auto& [what, times] : g_times) {
    std::sort(times.begin(), times.end());
    std::printf("%-30s min %7.2f  median %7.2f  max %7.2f ms\n", what.c_str(), times.front(), times[times.size() / 2],
                times.back());
  }
  [[maybe_unused]] auto removed = sys::remove_tree(dir);
}
