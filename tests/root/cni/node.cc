#include "tests/root/cni/node.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <thread>

#include "common/sys/file.h"
#include "common/sys/netns.h"

namespace podshim::test {
namespace {

bool isolate_mounts() {
  static const bool done =
      ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  return done;
}

sockaddr_storage address_of(const std::string& ip, int port, socklen_t* size) {
  sockaddr_storage out{};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out);
  if (::inet_pton(AF_INET, ip.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(port));
    *size = sizeof *v4;
  } else {
    ::inet_pton(AF_INET6, ip.c_str(), &v6->sin6_addr);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<uint16_t>(port));
    *size = sizeof *v6;
  }
  return out;
}

int bound(int type, const std::string& ip, int port) {
  socklen_t size = 0;
  auto a = address_of(ip, port, &size);
  int fd = ::socket(a.ss_family, type | SOCK_CLOEXEC, 0);
  int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  return ::bind(fd, reinterpret_cast<sockaddr*>(&a), size) == 0 ? fd : -1;
}

[[noreturn]] void answer_forever(int tcp, int udp, const std::string& name) {
  pollfd fds[2] = {{.fd = tcp, .events = POLLIN, .revents = 0}, {.fd = udp, .events = POLLIN, .revents = 0}};
  char buffer[2048];
  for (;;) {
    ::poll(fds, 2, -1);
    if ((fds[0].revents & POLLIN) != 0) {
      sockaddr_in6 peer{};
      socklen_t size = sizeof peer;
      int c = ::accept(tcp, reinterpret_cast<sockaddr*>(&peer), &size);
      char ip[INET6_ADDRSTRLEN] = "";
      ::inet_ntop(AF_INET6, &peer.sin6_addr, ip, sizeof ip);
      [[maybe_unused]] auto got = ::read(c, buffer, sizeof buffer);
      std::string reply = "HTTP/1.0 200 OK\r\n\r\n" + name + " " + ip + "\n";
      [[maybe_unused]] auto sent = ::write(c, reply.data(), reply.size());
      ::close(c);
    }
    if ((fds[1].revents & POLLIN) != 0) {
      sockaddr_storage peer{};
      socklen_t size = sizeof peer;
      ::recvfrom(udp, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&peer), &size);
      ::sendto(udp, name.data(), name.size(), 0, reinterpret_cast<sockaddr*>(&peer), size);
    }
  }
}

}  // namespace

Output sh(const std::string& command) {
  Output result;
  FILE* pipe = ::popen(command.c_str(), "re");
  if (pipe == nullptr) return result;
  char buffer[4096];
  for (size_t n; (n = ::fread(buffer, 1, sizeof buffer, pipe)) > 0;) result.out.append(buffer, n);
  int status = ::pclose(pipe);
  result.rc = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

Output in(const std::string& netns, const std::string& command) {
  std::string quoted;
  for (char c : command) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return sh("nsenter --net=" + netns + " sh -c '" + quoted + "'");
}

void Node::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "NEEDS ROOT: network namespaces cannot be made";
  ASSERT_TRUE(isolate_mounts());
  ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
  char name[] = "/tmp/podshim-cni-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  dir_ = name;
  ASSERT_EQ(sh("ip link set lo up").rc, 0);
}

void Node::TearDown() {
  for (pid_t pid : children_) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  for (const auto& path : mounts_) ::umount2(path.c_str(), MNT_DETACH);
  if (!dir_.empty()) [[maybe_unused]]
    auto removed = sys::remove_tree(dir_);
}

std::string Node::make_pod(const std::string& name) {
  std::string path = pod(name);
  EXPECT_TRUE(sys::write_file(path, "", 0600));
  std::thread([&] {
    EXPECT_EQ(::unshare(CLONE_NEWNET), 0);
    EXPECT_EQ(::mount("/proc/thread-self/ns/net", path.c_str(), nullptr, MS_BIND, nullptr), 0);
  }).join();
  mounts_.push_back(path);
  return path;
}

void Node::drop_pod(const std::string& name) {
  ::umount2(pod(name).c_str(), MNT_DETACH);
  std::erase(mounts_, pod(name));
  ::unlink(pod(name).c_str());
}

void Node::make_outside(int mtu) {
  make_pod("outside");
  auto m = std::to_string(mtu);
  ASSERT_EQ(sh("ip link add uplink mtu " + m + " type veth peer name up0 netns " + pod("outside") +
               " && ip addr add 192.0.2.1/24 dev uplink && ip link set uplink up && ip route add default via 192.0.2.2")
                .rc,
            0);
  ASSERT_EQ(
      in(pod("outside"), "ip link set lo up; ip link set up0 mtu " + m + " up && ip addr add 192.0.2.2/24 dev up0").rc,
      0);
}

Output Node::plugin(const std::string& program, const std::string& command, const std::string& pod_name,
                    const std::string& config, const std::string& more_env) {
  std::string file = dir_ + "/config.json";
  EXPECT_TRUE(sys::write_file(file, config, 0600));
  std::string path = program.starts_with('/') ? program : cni_ + "/" + program;
  return sh("CNI_PATH=" + cni_ + " CNI_COMMAND=" + command + " CNI_CONTAINERID=" + pod_name +
            " CNI_NETNS=" + pod(pod_name) + " CNI_IFNAME=eth0 " + more_env + " " + path + " < " + file);
}

json::Value Node::add(const std::string& program, const std::string& pod_name, const std::string& config,
                      const std::string& more_env) {
  auto output = plugin(program, "ADD", pod_name, config, more_env);
  EXPECT_EQ(output.rc, 0) << output.out;
  auto value = json::parse(output.out);
  EXPECT_TRUE(value) << output.out;
  return value ? *value : json::Value();
}

int Node::code(const Output& output) {
  auto value = json::parse(output.out);
  const auto* code = value ? value->find("code") : nullptr;
  return code != nullptr && code->is_integer() ? static_cast<int>(code->as_integer()) : -1;
}

std::string Node::text(const Output& output) {
  auto value = json::parse(output.out);
  const auto* msg = value ? value->find("msg") : nullptr;
  return msg != nullptr && msg->is_string() ? msg->as_string() : "";
}

std::string Node::with_prev(const std::string& config, const json::Value& result) {
  auto value = json::parse(config);
  EXPECT_TRUE(value) << config;
  value->set("prevResult", result);
  return json::dump(*value);
}

std::string Node::bridge_conf(const std::string& more, const std::string& version) const {
  return R"({"cniVersion":")" + version +
         R"(","name":"podnet","type":"bridge","bridge":"cni0","isDefaultGateway":true,"ipMasq":true,"hairpinMode":true,)" +
         more + R"("ipam":{"type":"host-local","dataDir":")" + dir_ +
         R"(/ipam","ranges":[[{"subnet":"10.42.0.0/24"}],[{"subnet":"fd00:42::/64"}]]}})";
}

std::string Node::address(const json::Value& result, std::size_t index) const {
  const auto* ips = result.find("ips");
  if (ips == nullptr || !ips->is_array() || ips->as_array().size() <= index) return "";
  auto text = ips->as_array()[index].find("address")->as_string();
  return text.substr(0, text.find('/'));
}

void Node::serve(const std::string& netns, int port, const std::string& name) {
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    auto fd = sys::open_netns(netns);
    if (!fd || ::setns(fd->get(), CLONE_NEWNET) != 0) ::_exit(1);
    int tcp = bound(SOCK_STREAM, "::", port);
    int udp = bound(SOCK_DGRAM, "::", port);
    if (tcp < 0 || udp < 0 || ::listen(tcp, 64) != 0) ::_exit(1);
    [[maybe_unused]] auto sent = ::write(ready[1], "x", 1);
    answer_forever(tcp, udp, name);
  }
  ::close(ready[1]);
  char c = 0;
  EXPECT_EQ(::read(ready[0], &c, 1), 1) << "the server in " << netns << " did not start";
  ::close(ready[0]);
  children_.push_back(pid);
}

std::string Node::ask_udp(const std::string& netns, const std::string& ip, int port, int source_port) {
  std::string reply;
  auto fd = sys::open_netns(netns);
  EXPECT_TRUE(fd);
  if (!fd) return reply;
  auto done = sys::in_netns(*fd, [&]() -> Result<> {
    socklen_t size = 0;
    auto to = address_of(ip, port, &size);
    Fd socket(bound(SOCK_DGRAM, ip.find(':') == std::string::npos ? "0.0.0.0" : "::", source_port));
    ::sendto(socket.get(), "who", 3, 0, reinterpret_cast<sockaddr*>(&to), size);
    pollfd p{.fd = socket.get(), .events = POLLIN, .revents = 0};
    char buffer[512];
    if (::poll(&p, 1, 5000) == 1) {
      ssize_t n = ::recv(socket.get(), buffer, sizeof buffer, 0);
      if (n > 0) reply.assign(buffer, static_cast<size_t>(n));
    }
    return {};
  });
  EXPECT_TRUE(done);
  return reply;
}

}  // namespace podshim::test
