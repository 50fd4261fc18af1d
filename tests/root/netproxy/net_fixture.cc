#include "tests/root/netproxy/net_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "common/sys/file.h"
#include "common/sys/netns.h"

extern char** environ;

namespace podshim::test {
namespace {

const std::string kPods = "10.42.0.0/16,2001:db8:42::/48";
const std::string kProgram = std::string(PODSHIM_BUILD_DIR) + "/bin/netproxy";

// An address of either family.
struct Peer {
  sockaddr_storage storage{};
  socklen_t length = 0;
  int family() const { return storage.ss_family; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Peer to(const std::string& address, int port) {
  Peer out;
  if (address.find(':') == std::string::npos) {
    auto* a = reinterpret_cast<sockaddr_in*>(&out.storage);
    a->sin_family = AF_INET;
    a->sin_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET, address.c_str(), &a->sin_addr);
    out.length = sizeof *a;
  } else {
    auto* a = reinterpret_cast<sockaddr_in6*>(&out.storage);
    a->sin6_family = AF_INET6;
    a->sin6_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET6, address.c_str(), &a->sin6_addr);
    out.length = sizeof *a;
  }
  return out;
}

void set_timeout(int fd, int ms) {
  timeval t{.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

std::string text_of(const sockaddr_in6& a) {
  char out[INET6_ADDRSTRLEN];
  std::string text = ::inet_ntop(AF_INET6, &a.sin6_addr, out, sizeof out);
  return text.starts_with("::ffff:") ? text.substr(7) : text;
}

// A Pod: one process, two sockets, in the namespace it was started in.
[[noreturn]] void serve(const std::string& name, const Fd& ready) {
  // Both families by one socket each.
  int tcp = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), udp = ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int on = 1;
  ::setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  auto any = to("::", 8080);
  if (::bind(tcp, any.get(), any.length) != 0 || ::listen(tcp, 512) != 0 || ::bind(udp, any.get(), any.length) != 0)
    ::_exit(1);
  if (::write(ready.get(), "r", 1) != 1) ::_exit(1);
  for (;;) {
    pollfd fds[] = {{tcp, POLLIN, 0}, {udp, POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0) ::_exit(1);
    sockaddr_in6 from{};
    socklen_t length = sizeof from;
    char buffer[2048];
    if (fds[0].revents != 0) {
      Fd c(::accept4(tcp, reinterpret_cast<sockaddr*>(&from), &length, SOCK_CLOEXEC));
      set_timeout(c.get(), 300);
      [[maybe_unused]] auto n = ::recv(c.get(), buffer, sizeof buffer, 0);
      auto body = name + " " + text_of(from);
      auto reply = "HTTP/1.0 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
      n = ::send(c.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
    }
    if (fds[1].revents != 0) {
      ::recvfrom(udp, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &length);
      auto body = name + " " + text_of(from);
      ::sendto(udp, body.data(), body.size(), 0, reinterpret_cast<sockaddr*>(&from), length);
    }
  }
}

Answer parse(const std::string& body, SteadyClock::time_point start) {
  Answer out;
  out.took = std::chrono::duration_cast<std::chrono::milliseconds>(SteadyClock::now() - start);
  auto space = body.find(' ');
  if (space == std::string::npos) {
    out.error = EPROTO;
  } else {
    out.name = body.substr(0, space);
    out.client = body.substr(space + 1);
  }
  return out;
}

Answer failed(SteadyClock::time_point start, int err = errno) {
  return {.error = err == EAGAIN || err == EINPROGRESS ? ETIMEDOUT : err,
          .took = std::chrono::duration_cast<std::chrono::milliseconds>(SteadyClock::now() - start)};
}

}  // namespace

Output sh(const std::string& command) {
  Output out;
  FILE* pipe = ::popen(("{ " + command + "; } 2>&1").c_str(), "re");
  char buffer[65536];
  while (std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) out.text.append(buffer, n);
  int status = ::pclose(pipe);
  out.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return out;
}

Answer ask_tcp(const std::string& address, int port, int timeout_ms) {
  auto start = SteadyClock::now();
  auto a = to(address, port);
  Fd fd(::socket(a.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  set_timeout(fd.get(), timeout_ms);
  if (::connect(fd.get(), a.get(), a.length) != 0) return failed(start);
  const char request[] = "GET / HTTP/1.0\r\n\r\n";
  if (::send(fd.get(), request, sizeof request - 1, MSG_NOSIGNAL) < 0) return failed(start);
  std::string all;
  char buffer[2048];
  for (;;) {
    auto n = ::recv(fd.get(), buffer, sizeof buffer, 0);
    if (n < 0) return failed(start);
    if (n == 0) break;
    all.append(buffer, static_cast<std::size_t>(n));
  }
  auto body = all.find("\r\n\r\n");
  return parse(body == std::string::npos ? "" : all.substr(body + 4), start);
}

Answer ask_udp(const std::string& address, int port, int timeout_ms) {
  auto start = SteadyClock::now();
  auto a = to(address, port);
  Fd fd(::socket(a.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  set_timeout(fd.get(), timeout_ms);
  if (::connect(fd.get(), a.get(), a.length) != 0 || ::send(fd.get(), "?", 1, 0) < 0) return failed(start);
  char buffer[2048];
  auto n = ::recv(fd.get(), buffer, sizeof buffer, 0);
  return n < 0 ? failed(start) : parse({buffer, static_cast<std::size_t>(n)}, start);
}

void NetTest::SetUpTestSuite() {
  // Once for the program: mounts and names of namespaces are ours alone from here on.
  static const bool done = [] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
    ::mkdir("/run/netns", 0755);
    return ::mount("tmpfs", "/run/netns", "tmpfs", 0, nullptr) == 0;
  }();
  if (!done) GTEST_SKIP() << "NOT TESTED: needs root and CAP_SYS_ADMIN for namespaces of its own";
}

void NetTest::SetUp() {
  if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "NOT TESTED: a network namespace cannot be made: " << errno;
  char name[] = "/tmp/podshim-netproxy.XXXXXX";
  dir = ::mkdtemp(name);
  std::filesystem::create_directories(dir + "/services");
  // The bridge's MAC is pinned: else it is that of a port, changes as Pods come, and Pods answer to the old one.
  auto made =
      sh("set -e; echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad\n"
         "ip link set lo up; ip link add br0 address 02:00:00:00:00:01 type bridge; ip addr add 10.42.0.1/16 dev br0; "
         "ip link set br0 up\n"
         "ip netns add out; ip netns exec out sh -c 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad'\n"
         "ip link add up0 type veth peer name eth0 netns out\n"
         "ip addr add 192.0.2.1/24 dev up0; ip link set up0 up; ip route add default via 192.0.2.100\n"
         "ip -n out link set lo up; ip -n out addr add 192.0.2.100/24 dev eth0; ip -n out link set eth0 up\n"
         "ip -n out route add 10.42.0.0/15 via 192.0.2.1; ip -n out route add 203.0.113.0/24 via 192.0.2.1\n"
         "ip -n out addr add 192.0.2.101/24 dev eth0\n"
         "ip addr add 2001:db8:42::1/64 dev br0 nodad; ip addr add 2001:db8::1/64 dev up0 nodad\n"
         "ip -6 route add default via 2001:db8::100; ip -n out addr add 2001:db8::100/64 dev eth0 nodad\n"
         "for r in 2001:db8:42::/48 2001:db8:43::/48 2001:db8:f::/48; do ip -n out route add $r via 2001:db8::1; done\n"
         "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding; echo 1 > /proc/sys/net/bridge/bridge-nf-call-ip6tables\n"
         "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables\n"
         "echo 1 > /proc/sys/net/ipv4/conf/br0/route_localnet");
  ASSERT_EQ(made.code, 0) << made.text;
  pods.push_back("out");
}

void NetTest::TearDown() {
  if (proxy_pid != 0) stop_proxy();
  while (!servers.empty()) stop_pod(servers.begin()->first);
  for (const auto& pod : pods) sh("ip netns del " + pod);
  if (HasFailure()) std::fputs(log().c_str(), stderr);
  if (!dir.empty()) std::filesystem::remove_all(dir);
}

std::string NetTest::add_pod(const std::string& name, const std::string& address, bool serves) {
  // A link-local address must be there at once: what is forwarded is asked for from it.
  auto made = sh("set -e; ip netns add " + name + "; ip netns exec " + name +
                 " sh -c 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad'; ip link add v" + name +
                 " type veth peer name eth0 netns " + name + "; ip link set v" + name +
                 " master br0 up; bridge link set dev v" + name + " hairpin on\n" + "ip -n " + name +
                 " link set lo up; ip -n " + name + " addr add " + address + "/16 dev eth0; ip -n " + name +
                 " link set eth0 up; ip -n " + name + " route add default via 10.42.0.1\n" + "ip -n " + name +
                 " addr add 2001:db8:42::" + address.substr(address.rfind('.') + 1) + "/64 dev eth0 nodad; ip -n " +
                 name + " -6 route add default via 2001:db8:42::1");
  EXPECT_EQ(made.code, 0) << made.text;
  pods.push_back(name);
  if (!serves) return address;
  int fds[2];
  EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  Fd reader(fds[0]), writer(fds[1]);
  auto netns = sys::open_netns("/run/netns/" + name);
  pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!netns || ::setns(netns->get(), CLONE_NEWNET) != 0) ::_exit(1);
    serve(name, writer);
  }
  writer.reset();
  char ready = 0;
  EXPECT_EQ(::read(reader.get(), &ready, 1), 1) << "the server of " << name << " did not start";
  servers[name] = pid;
  // Ready is when it answers: a new bridge port forwards only after the kernel's link watch, up to a second later.
  bool answers = false;
  for (int i = 0; i < 200 && !answers; i++) answers = ask_tcp(address, 8080, 100).error == 0;
  EXPECT_TRUE(answers) << name << " does not answer at " << address;
  return address;
}

void NetTest::stop_pod(const std::string& name) {
  auto it = servers.find(name);
  if (it == servers.end()) return;
  ::kill(it->second, SIGKILL);
  ::waitpid(it->second, nullptr, 0);
  servers.erase(it);
}

void NetTest::in(const std::string& pod, const std::function<void()>& fn) {
  if (pod.empty()) return fn();
  auto netns = sys::open_netns("/run/netns/" + pod);
  ASSERT_TRUE(netns) << netns.error().text();
  auto done = sys::in_netns(*netns, [&]() -> Result<> {
    fn();
    return {};
  });
  ASSERT_TRUE(done) << done.error().text();
}

Answer NetTest::tcp_from(const std::string& pod, const std::string& address, int port) {
  Answer out;
  in(pod, [&] { out = ask_tcp(address, port); });
  return out;
}

Answer NetTest::udp_from(const std::string& pod, const std::string& address, int port) {
  Answer out;
  in(pod, [&] { out = ask_udp(address, port); });
  return out;
}

void NetTest::write_service(const ServiceFile& s) {
  auto port =
      json::Value::object().set("name", "p").set("protocol", s.protocol).set("port", s.port).set("targetPort", 8080);
  if (s.node_port != 0) port.set("nodePort", s.node_port);
  auto spec = json::Value::object();
  bool balanced = !s.load_balancer.empty();
  spec.set("type", balanced ? "LoadBalancer" : s.node_port != 0 ? "NodePort" : "ClusterIP").set("clusterIP", s.vip);
  if (!s.vip6.empty()) spec.set("clusterIPs", json::Value::strings({s.vip, s.vip6}));
  spec.set("ports", json::Value::array().push(port));
  if (!s.external.empty()) spec.set("externalIPs", json::Value::strings(s.external));
  if (!s.ranges.empty()) spec.set("loadBalancerSourceRanges", json::Value::strings(s.ranges));
  if (s.external_local) spec.set("externalTrafficPolicy", "Local");
  if (s.internal_local) spec.set("internalTrafficPolicy", "Local");
  if (s.health_port != 0) spec.set("healthCheckNodePort", s.health_port);
  if (s.affinity != 0) {
    auto client = json::Value::object().set("timeoutSeconds", s.affinity);
    spec.set("sessionAffinity", "ClientIP");
    spec.set("sessionAffinityConfig", json::Value::object().set("clientIP", client));
  }
  auto doc = json::Value::object().set("apiVersion", "v1").set("kind", "Service");
  doc.set("metadata", json::Value::object().set("name", s.name)).set("spec", spec);
  if (balanced) {
    auto ingress = json::Value::array();
    for (const auto& ip : s.load_balancer) ingress.push(json::Value::object().set("ip", ip));
    doc.set("status",
            json::Value::object().set("loadBalancer", json::Value::object().set("ingress", std::move(ingress))));
  }
  ASSERT_TRUE(sys::write_file_atomic(dir + "/services/" + s.name + ".json", json::dump(doc)));
}

void NetTest::write_slice(const std::string& service, const std::vector<std::string>& addresses,
                          const std::string& protocol, const std::map<std::string, std::string>& nodes) {
  bool v6 = !addresses.empty() && addresses.front().find(':') != std::string::npos;
  auto endpoints = json::Value::array();
  for (const auto& a : addresses) {
    auto endpoint = json::Value::object().set("addresses", json::Value::strings({a}));
    auto node = nodes.find(a);
    endpoint.set("nodeName", node != nodes.end() ? node->second : "node");
    endpoints.push(endpoint);
  }
  auto labels = json::Value::object().set("kubernetes.io/service-name", service);
  auto port = json::Value::object().set("name", "p").set("protocol", protocol).set("port", 8080);
  auto doc = json::Value::object().set("apiVersion", "discovery.k8s.io/v1").set("kind", "EndpointSlice");
  auto name = service + (v6 ? "-6" : "-1");
  doc.set("metadata", json::Value::object().set("name", name).set("labels", labels))
      .set("addressType", v6 ? "IPv6" : "IPv4");
  doc.set("endpoints", endpoints).set("ports", json::Value::array().push(port));
  auto file = service + (v6 ? "-slice6.json" : "-slice.json");
  ASSERT_TRUE(sys::write_file_atomic(dir + "/services/" + file, json::dump(doc)));
}

void NetTest::remove_file(const std::string& name) { ASSERT_TRUE(sys::remove_file(dir + "/services/" + name)); }

void NetTest::start_proxy() {
  ::unlink((dir + "/status.json").c_str());
  auto source = dir + "/services", status_file = dir + "/status.json", log_file = dir + "/log";
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 2, log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  std::vector<std::string> arguments = {kProgram, "--source",       source, "--status-file", status_file, "--node-name",
                                        "node",   "--cluster-cidr", kPods};
  std::vector<char*> argv;
  for (auto& a : arguments) argv.push_back(a.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  ASSERT_EQ(::posix_spawn(&pid, kProgram.c_str(), &actions, nullptr, argv.data(), environ), 0);
  ::posix_spawn_file_actions_destroy(&actions);
  proxy_pid = pid;
  for (int i = 0; i < 6000 && !sys::exists(status_file); i++) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ASSERT_TRUE(sys::exists(status_file)) << log();
}

void NetTest::stop_proxy(int signal) {
  int state = 0;
  ::kill(proxy_pid, signal);
  ::waitpid(std::exchange(proxy_pid, 0), &state, 0);
  if (signal == SIGTERM) {
    EXPECT_TRUE(WIFEXITED(state) && WEXITSTATUS(state) == 0) << "wait status " << state;
  }
}

json::Value NetTest::status() {
  auto text = sys::read_file(dir + "/status.json");
  if (!text) return {};
  auto doc = json::parse(*text);
  return doc ? *doc : json::Value();
}

bool NetTest::has_endpoints(const std::string& service, const std::set<std::string>& addresses) {
  std::set<std::string> want, got;
  for (const auto& a : addresses) want.insert(a + ":8080");
  auto doc = status();
  const auto* services = doc.find("services");
  const auto* entry = services != nullptr ? services->find("default/" + service) : nullptr;
  const auto* ports = entry != nullptr ? entry->find("endpoints") : nullptr;
  const auto* list = ports != nullptr ? ports->find("p") : nullptr;
  if (list == nullptr) return false;
  for (const auto& e : list->as_array()) got.insert(e.as_string());
  return got == want;
}

SteadyClock::time_point NetTest::wait_endpoints(const std::string& service, const std::set<std::string>& addresses) {
  for (int i = 0; i < 10'000; i++) {
    if (has_endpoints(service, addresses)) return SteadyClock::now();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  ADD_FAILURE() << "the kernel never acknowledged the endpoints of " << service << ": " << json::dump(status());
  return SteadyClock::now();
}

std::string NetTest::command() const {
  return kProgram + " --source " + dir + "/services --status-file " + dir + "/status.json";
}

Output NetTest::proxy_once(const std::string& arguments) {
  return sh(command() + " " + arguments + " 2>>" + dir + "/log");
}

std::string NetTest::log() { return sys::read_file(dir + "/log").value_or(""); }

void BackendsTest::SetUp() {
  NetTest::SetUp();
  if (IsSkipped() || HasFatalFailure()) return;
  for (int i = 0; i < 3; i++) backends.push_back(add_pod("b" + std::to_string(i), "10.42.0." + std::to_string(2 + i)));
  add_pod("client", "10.42.0.100", false);
}

}  // namespace podshim::test
