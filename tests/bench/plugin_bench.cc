// plugin_bench: wall time of ADD and DEL of the chain bridge + host-local + portmap, ours and the peer's, spawned the
// same way and interleaved; beside them the start of a plugin alone and a bare link delete over netlink.
//
//   plugin_bench --ours DIR --peer DIR --dir DIR --samples FILE [--rounds 20]
//
// Run it in a network and a mount namespace made for it: it makes bridges and binds network namespaces below --dir.
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <random>
#include <thread>
#include <vector>

#include "common/json.h"
#include "common/netlink/link.h"
#include "common/sys/file.h"
#include "tests/bench/samples.h"

namespace podshim::bench {
namespace {

struct Side {
  std::string name, plugins, bridge, subnet, subnet6;
};

enum class Form { plain, dual, ports };

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "plugin_bench: %s\n", why.c_str());
  std::exit(1);
}

struct Attachment {
  std::string id, netns, args;
};

std::string run(const Side& side, const std::string& plugin, const char* command, const Attachment& a,
                const std::string& config) {
  int in[2];
  int out[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) die("pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  std::string file = side.plugins + "/" + plugin;
  {
    // Before the spawn, as the pipe holds it: one that ends without reading would be a broken pipe.
    Fd to(in[1]);
    if (!sys::write_all(to, config, file)) die("write " + file);
  }
  std::vector<std::string> texts = {"CNI_COMMAND=" + std::string(command),
                                    "CNI_CONTAINERID=" + a.id,
                                    "CNI_NETNS=" + a.netns,
                                    "CNI_IFNAME=eth0",
                                    "CNI_PATH=" + side.plugins,
                                    "CNI_ARGS=" + a.args,
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
  Fd from(out[0]);
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

std::string bridge_config(const Side& side, Form form, const std::string& dir) {
  std::string ranges = R"([{"subnet":")" + side.subnet + R"("}])";
  if (form == Form::dual) ranges += R"(,[{"subnet":")" + side.subnet6 + R"("}])";
  return R"({"cniVersion":"1.0.0","name":")" + side.name + R"(net","type":"bridge","bridge":")" + side.bridge +
         (form == Form::dual ? "d" : "") + R"(","isDefaultGateway":true,"ipMasq":true,"hairpinMode":true,)" +
         R"("ipam":{"type":"host-local","dataDir":")" + dir + "/ipam-" + side.name + (form == Form::dual ? "d" : "") +
         R"(","ranges":[)" + ranges + "]}}";
}

std::string portmap_config(const Side& side, Form form) {
  std::string mapping = form == Form::ports ? R"({"hostPort":18080,"containerPort":80,"protocol":"tcp"})" : "";
  return R"({"cniVersion":"1.0.0","name":")" + side.name +
         R"(net","type":"portmap","runtimeConfig":{"portMappings":[)" + mapping + "]}}";
}

// Between operations: the kernel buries a network namespace behind its last reference, with the lock that links are
// made under, and is not done with a new link when its ADD is.
// Of random length: what waits for RCU waits for ticks, and must not always begin at the same place between two.
void rest() {
  static std::minstd_rand random;
  std::this_thread::sleep_for(std::chrono::microseconds(50'000 + random() % 8'000));
}

// A network namespace that nobody is in, bound at `path`.
void bind_netns(const std::string& path) {
  rest();
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0 ||
        ::mount("/proc/thread-self/ns/net", path.c_str(), nullptr, MS_BIND, nullptr) != 0)
      die("netns");
  }).join();
}

// One Pod's network; times in ms. `drop` is DEL and the last reference of the netns.
struct Times {
  double add, del, drop;
};

Times attach(const Side& side, Form form, const std::string& dir, const std::string& id, const std::string& args) {
  Attachment a{.id = id, .netns = dir + "/pod", .args = args};
  bind_netns(a.netns);
  auto bridge = bridge_config(side, form, dir), portmap = portmap_config(side, form);
  Times t{};
  auto begin = Clock::now();
  auto result = json::parse(run(side, "bridge", "ADD", a, bridge));
  if (!result) die("bridge ADD gave no JSON");
  portmap = with_prev(portmap, *result);
  run(side, "portmap", "ADD", a, portmap);
  t.add = ms_since(begin);
  bridge = with_prev(bridge, *result);
  rest();
  begin = Clock::now();
  run(side, "portmap", "DEL", a, portmap);
  run(side, "bridge", "DEL", a, bridge);
  t.del = ms_since(begin);
  ::umount2(a.netns.c_str(), MNT_DETACH);
  t.drop = ms_since(begin);
  return t;
}

// The host end's name in the result of an ADD.
std::string host_end(const json::Value& result) {
  if (const auto* list = result.find("interfaces"); list != nullptr && list->is_array())
    for (const auto& i : list->as_array())
      if (const auto* name = i.find("name");
          name != nullptr && name->is_string() && name->as_string().starts_with("veth"))
        return name->as_string();
  die("no host end in the result of ADD");
}

// What DEL cannot do without: the link of a Pod like the others, deleted by one message on an open socket.
double bare_delete(netlink::Socket& node, const Side& side, const std::string& dir, const std::string& id) {
  Attachment a{.id = id, .netns = dir + "/pod", .args = ""};
  bind_netns(a.netns);
  auto bridge = bridge_config(side, Form::plain, dir);
  auto result = json::parse(run(side, "bridge", "ADD", a, bridge));
  if (!result) die("bridge ADD gave no JSON");
  netlink::Batch d;
  netlink::delete_link(d, host_end(*result));
  rest();
  auto begin = Clock::now();
  if (!node.execute(d)) die("delete");
  double ms = ms_since(begin);
  run(side, "bridge", "DEL", a, bridge);
  ::umount2(a.netns.c_str(), MNT_DETACH);
  return ms;
}

// All of a DEL but its link delete: that of an attachment whose link and netns are gone already.
double del_without_link(netlink::Socket& node, const Side& side, const std::string& dir, const std::string& id) {
  Attachment a{.id = id, .netns = dir + "/pod", .args = ""};
  bind_netns(a.netns);
  auto bridge = bridge_config(side, Form::plain, dir), portmap = portmap_config(side, Form::plain);
  auto result = json::parse(run(side, "bridge", "ADD", a, bridge));
  if (!result) die("bridge ADD gave no JSON");
  netlink::Batch d;
  netlink::delete_link(d, host_end(*result));
  if (!node.execute(d)) die("delete");
  ::umount2(a.netns.c_str(), MNT_DETACH);
  a.netns.clear();
  rest();
  auto begin = Clock::now();
  run(side, "portmap", "DEL", a, with_prev(portmap, *result));
  run(side, "bridge", "DEL", a, with_prev(bridge, *result));
  return ms_since(begin);
}

void round(Samples& out, const Side& side, const std::string& dir, int n, bool counted) {
  const bool ours = side.name == "ours";
  auto note = [&](const char* key, double ms) {
    if (counted) out.add(key, side.name, ms);
  };
  auto id = [&](const char* kind) { return side.name + kind + std::to_string(n); };
  auto plain = attach(side, Form::plain, dir, id("a"), ours ? "IgnoreUnknown=1;podshim.dev/drops-netns=1" : "");
  note("cni.add", plain.add);
  note("cni.del", plain.del);
  note("cni.drop", plain.drop);
  note("cni.add2", attach(side, Form::dual, dir, id("b"), "").add);
  note("cni.ports", attach(side, Form::ports, dir, id("c"), "").add);
  double alone = attach(side, Form::plain, dir, id("d"), "").del;
  note("cni.alone", alone);
  if (ours) note("cni.bare", alone);
  auto begin = Clock::now();
  run(side, "host-local", "VERSION", {.id = "x", .netns = "", .args = ""}, R"({"cniVersion":"1.0.0"})");
  note("cni.start", ms_since(begin));
}

}  // namespace
}  // namespace podshim::bench

int main(int argc, char** argv) {
  using namespace podshim;
  using namespace podshim::bench;
  std::map<std::string, std::string> flags = {
      {"--rounds", "20"}, {"--peer", "/usr/lib/cni"}, {"--samples", "/dev/stdout"}};
  for (int i = 1; i + 1 < argc; i += 2) flags[argv[i]] = argv[i + 1];
  const auto& dir = flags["--dir"];
  Samples out(flags["--samples"]);
  if (auto made = sys::write_file(dir + "/pod", "", 0600); !made) die(made.error().text());
  auto node = netlink::Socket::open(netlink::Protocol::route);
  netlink::Batch b;
  netlink::change_link(b, {.name = "lo", .up = true});
  if (!node || !node->execute(b)) die("cannot set lo up: needs root and a network namespace of its own");
  const Side sides[] = {{"ours", flags["--ours"], "ours0", "10.42.0.0/16", "fd00:42::/64"},
                        {"peer", flags["--peer"], "peer0", "10.44.0.0/16", "fd00:44::/64"}};
  const int rounds = std::atoi(flags["--rounds"].c_str());
  for (int i = -1; i < rounds; i++) {  // round -1 warms up
    round(out, sides[i & 1], dir, i + 1, i >= 0);
    round(out, sides[(i & 1) ^ 1], dir, i + 1, i >= 0);
    double bare = bare_delete(*node, sides[0], dir, "bare" + std::to_string(i + 1));
    if (i >= 0) out.add("cni.bare", "peer", bare);
    double beside = del_without_link(*node, sides[0], dir, "beside" + std::to_string(i + 1));
    if (i >= 0) out.add("cni.beside", "ours", beside);
  }
  return 0;
}
