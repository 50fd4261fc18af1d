// The health server with sockets, under a clock of the test's: its bounds, and what it does without descriptors.
#include "netproxy/health.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <thread>

#include "tests/root/netproxy/net_fixture.h"
#include "tests/support/few_descriptors.h"
#include "tests/support/services.h"

namespace podshim::test {
namespace {

using namespace netproxy;

HealthCheck check(int port) {
  return {.port = port, .name_space = "shop", .name = "s" + std::to_string(port), .local = 1};
}

Fd connected(int port) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{.sin_family = AF_INET,
                 .sin_port = htons(static_cast<std::uint16_t>(port)),
                 .sin_addr = {htonl(INADDR_LOOPBACK)},
                 .sin_zero = {}};
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) fd.reset();
  return fd;
}

class HealthServerTest : public NetTest {
 protected:
  void SetUp() override {
    NetTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    testing::internal::CaptureStderr();
    captures_ = true;
  }
  void TearDown() override {
    if (captures_) said();
    NetTest::TearDown();
  }
  std::string said() {
    captures_ = false;
    return testing::internal::GetCapturedStderr();
  }
  static HealthServer open(std::size_t max_listeners = 100) { return *HealthServer::open(layout(), max_listeners); }
  // Whether there is anything to do for it now.
  static bool wakes(const HealthServer& server) {
    pollfd one{.fd = server.fd(), .events = POLLIN, .revents = 0};
    return ::poll(&one, 1, 0) > 0;
  }
  // What the client got when the server closed it; nothing: it is still open.
  static std::optional<std::string> answer(const Fd& client) {
    char buffer[1024];
    std::string out;
    for (;;) {
      auto n = ::recv(client.get(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (n < 0 && errno == EAGAIN) return std::nullopt;
      if (n <= 0) return out;
      out.append(buffer, static_cast<std::size_t>(n));
    }
  }
  static void send(const Fd& client, const std::string& text) {
    ASSERT_EQ(::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }

 private:
  bool captures_ = false;
};

TEST_F(HealthServerTest, AHeaderThatIsTooLongOrTooSlowEndsTheConnection) {
  auto now = Clock::now();
  auto server = open();
  server.set("shop/a", check(31000), now);
  auto slow = connected(31000), large = connected(31000), good = connected(31000);
  ASSERT_TRUE(slow && large && good);
  send(slow, "GET / HTTP/1.1\r\n");
  send(large, "GET / HTTP/1.1\r\n" + std::string(HealthServer::kMaxHeader, 'x'));
  send(good, "GET / HTTP/1.1\r\n\r\n");
  // The clock stands: nothing is closed for its age.
  for (int i = 0; i < 200 && (wakes(server) || !answer(large)); i++) {
    server.handle(now);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(answer(large), "");
  EXPECT_TRUE(answer(good).value_or("").starts_with("HTTP/1.1 200 OK"));
  EXPECT_EQ(answer(slow), std::nullopt);
  server.handle(now + HealthServer::kPatience - std::chrono::milliseconds(1));
  EXPECT_EQ(answer(slow), std::nullopt);
  ASSERT_EQ(server.due(), now + HealthServer::kPatience);
  server.handle(now + HealthServer::kPatience);
  EXPECT_EQ(answer(slow), "");
}

TEST_F(HealthServerTest, ATurnTakesSoManyClientsAndNoMore) {
  auto now = Clock::now();
  auto server = open();
  server.set("shop/a", check(31000), now);
  server.set("shop/b", check(31001), now);
  std::vector<Fd> clients;
  for (int i = 0; i < 40; i++)  // of two listeners, each with less than a turn's
    for (int port : {31000, 31001}) clients.push_back(connected(port));
  server.handle(now);
  EXPECT_TRUE(wakes(server)) << "the rest in the next turn";
  server.handle(now);
  EXPECT_FALSE(wakes(server));
  auto open_ones = std::ranges::count_if(clients, [](const Fd& c) { return !answer(c); });
  EXPECT_EQ(open_ones, static_cast<std::ptrdiff_t>(HealthServer::kMaxConnections)) << "the oldest went";
}

TEST_F(HealthServerTest, OneBeyondTheBoundIsToldAndComesWhenThereIsRoom) {
  EXPECT_EQ(HealthServer::listeners_within(0), 16U);
  EXPECT_EQ(HealthServer::listeners_within(1024), 124U);
  EXPECT_EQ(HealthServer::listeners_within(524288), 4096U);
  auto now = Clock::now();
  auto server = open(2);
  for (int i = 0; i < 4; i++) server.set("shop/s" + std::to_string(i), check(31000 + i), now);
  EXPECT_TRUE(connected(31001));
  EXPECT_FALSE(connected(31002));
  EXPECT_EQ(server.due(), std::nullopt) << "nothing to try as long as all is full";
  server.set("shop/s0", std::nullopt, now);
  ASSERT_TRUE(server.due());
  server.handle(now);
  EXPECT_FALSE(connected(31000));
  EXPECT_TRUE(connected(31002));
  EXPECT_FALSE(connected(31003));
  EXPECT_GT(*server.due(), now) << "the clients that were taken";
  auto text = said();
  EXPECT_NE(text.find("healthCheckNodePort not served yet service=shop/s2"), std::string::npos) << text;
  EXPECT_NE(text.find("2 are served"), std::string::npos) << text;
  EXPECT_EQ(text.find("service=shop/s3"), text.rfind("service=shop/s3")) << "once: " << text;
}

TEST_F(HealthServerTest, WithoutADescriptorTheOldestGoesOrTheListenerRests) {
  auto now = Clock::now();
  auto server = open();
  server.set("shop/a", check(31000), now);
  auto first = connected(31000), second = connected(31000);
  ASSERT_TRUE(first && second);
  {
    podshim::test::FewDescriptors none(0);
    server.handle(now);
    EXPECT_FALSE(wakes(server)) << "it would take a whole core";
    EXPECT_EQ(answer(first), std::nullopt) << "it waits";
  }
  auto due = server.due();
  ASSERT_TRUE(due && *due > now);
  {
    podshim::test::FewDescriptors one(1);
    server.handle(*due);  // watches it again
    EXPECT_TRUE(wakes(server));
    server.handle(*due);
    EXPECT_FALSE(wakes(server));
    EXPECT_EQ(answer(first), "") << "the older one made room";
    EXPECT_EQ(answer(second), std::nullopt);
  }
  send(second, "GET / HTTP/1.1\r\n\r\n");
  server.handle(*due);
  EXPECT_TRUE(answer(second).value_or("").starts_with("HTTP/1.1 200 OK"));
}

// Each port is a descriptor: more of them than the soft limit that a shell gives.
TEST_F(HealthServerTest, MorePortsThanTheSoftLimitOfDescriptors) {
  constexpr int kPorts = 100;
  for (int i = 0; i < kPorts; i++)
    write_service({.name = "s" + std::to_string(i),
                   .vip = "10.43.1." + std::to_string(i + 1),
                   .load_balancer = {"203.0.113." + std::to_string(i + 1)},
                   .external_local = true,
                   .health_port = 31000 + i});
  rlimit was{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &was), 0);
  ASSERT_GE(was.rlim_max, 1024U);
  auto few = was;
  few.rlim_cur = 64;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  start_proxy();
  ::setrlimit(RLIMIT_NOFILE, &was);
  ASSERT_NE(proxy_pid, 0);
  for (int i = 0; i < kPorts; i++) EXPECT_TRUE(connected(31000 + i)) << i;
  EXPECT_EQ(log().find("not served"), std::string::npos) << log();
  stop_proxy();
  EXPECT_NE(log().find("stopped; the rules stay"), std::string::npos) << log();
}

}  // namespace
}  // namespace podshim::test
