// Registries whose names do not resolve: a name server of the test's own, on port 53 of a network namespace that a
// child process makes for itself, with its own /etc/resolv.conf.
#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "pull_fixture.h"

namespace podshim::image::test {
namespace {

constexpr int kServerFailure = 2, kNoSuchName = 3;

// Answers every question with one code, or none. Counts those for the IPv4 address of a name.
class NameServer {
 public:
  explicit NameServer(int code) : code_(code), socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(53), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << errno;
    thread_ = std::thread([this] { serve(); });
  }
  ~NameServer() {
    stopping_ = true;
    thread_.join();
  }
  int asked() const { return asked_; }

 private:
  void serve() {
    timeval wait{.tv_sec = 0, .tv_usec = 50'000};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    while (!stopping_) {
      unsigned char packet[512];
      sockaddr_in from{};
      socklen_t size = sizeof from;
      ssize_t n = ::recvfrom(socket_.get(), packet, sizeof packet, 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (n < 17) continue;
      std::size_t end = 12;
      while (end + 5 < static_cast<std::size_t>(n) && packet[end] != 0) end += packet[end] + 1U;
      if (packet[end + 2] == 1) asked_++;  // type A
      if (code_ == 0) continue;
      packet[2] = 0x81, packet[3] = static_cast<unsigned char>(0x80 | code_);
      packet[8] = packet[9] = packet[10] = packet[11] = 0;
      ::sendto(socket_.get(), packet, end + 5, 0, reinterpret_cast<sockaddr*>(&from), size);
    }
  }

  const int code_;
  Fd socket_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> asked_ = 0;
  std::thread thread_;
};

void enter_own_network(const std::string& resolv_conf) {
  ASSERT_EQ(::unshare(CLONE_NEWNET | CLONE_NEWNS), 0) << errno;
  ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0) << errno;
  ASSERT_EQ(::mount(resolv_conf.c_str(), "/etc/resolv.conf", nullptr, MS_BIND, nullptr), 0) << errno;
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq lo{};
  std::snprintf(lo.ifr_name, sizeof lo.ifr_name, "lo");
  lo.ifr_flags = IFF_UP | IFF_RUNNING;
  ASSERT_EQ(::ioctl(socket.get(), SIOCSIFFLAGS, &lo), 0) << errno;
}

struct Case {
  const char* name;
  int code;  // 0: no answer at all
  int most_questions;
  int stall_seconds = 30;
};

void pull_without_a_name(const std::string& dir, const Case& c) {
  SCOPED_TRACE(c.name);
  enter_own_network(dir + "/resolv.conf");
  if (::testing::Test::HasFatalFailure()) return;
  NameServer server(c.code);
  auto store = DiskImageStore::open(dir + "/" + c.name, host_facts(),
                                    {.pull = {.stall = std::chrono::seconds(c.stall_seconds)}}, nullptr);
  ASSERT_TRUE(store) << store.error().text();
  const auto since = std::chrono::steady_clock::now();
  auto got = (*store)->pull({.reference = "registry.example.test/x:t"});
  const auto took = std::chrono::steady_clock::now() - since;
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, ErrorKind::unavailable);
  for (const char* part : {"resolve registry.example.test: ", "look up t", "pull image registry.example.test/x:t"})
    EXPECT_NE(got.error().text().find(part), std::string::npos) << part << " is not in: " << got.error().text();
  EXPECT_LE(server.asked(), c.most_questions);
  EXPECT_GT(server.asked(), 0);
  EXPECT_LT(took, std::chrono::seconds(25)) << "five attempts with a resolver's patience take 50";
}

TEST(PullName, IsNotAskedForAgainAndAgain) {
  podshim::test::ignore_proxies();
  TempDir tmp;
  write_text(tmp / "resolv.conf", "nameserver 127.0.0.1\nsearch .\n");
  const Case cases[] = {{"unknown", kNoSuchName, 4},
                        {"failing", kServerFailure, 4},
                        {"silent", 0, 4},
                        {"silent, with less patience", 0, 1, 1}};
  for (const auto& c : cases) {
    pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      pull_without_a_name(tmp.path(), c);
      std::fflush(nullptr);
      ::_exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << c.name << ": see above";
  }
}

}  // namespace
}  // namespace podshim::image::test
