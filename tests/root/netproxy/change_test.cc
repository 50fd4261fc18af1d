// Changes under running traffic: nothing fails after the acknowledgement, and nothing fails at a restart.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "tests/root/netproxy/net_fixture.h"

namespace podshim::test {
namespace {

// Connections one after the other from a Pod, until it is told to stop; keeps what failed, and when it began.
class Loop {
 public:
  struct Failure {
    SteadyClock::time_point began;
    int error;
  };
  template <typename In>
  Loop(In in, std::string address, int port)
      : thread_([this, in, address, port] {
          in([&] {
            while (!stop_) {
              auto began = SteadyClock::now();
              auto a = ask_tcp(address, port, 5000);  // a dropped SYN comes again after a second
              std::lock_guard lock(mutex_);
              if (a.error != 0) {
                failures_.push_back({began, a.error});
              } else {
                count_[a.name]++;
              }
            }
          });
        }) {}
  ~Loop() { finish(); }
  void finish() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  std::vector<Failure> failures() {
    std::lock_guard lock(mutex_);
    return failures_;
  }
  int count(const std::string& name) {
    std::lock_guard lock(mutex_);
    return count_[name];
  }
  int ended() {
    std::lock_guard lock(mutex_);
    int all = static_cast<int>(failures_.size());
    for (const auto& [name, n] : count_) all += n;
    return all;
  }

 private:
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;  // guards the two below
  std::vector<Failure> failures_;
  std::map<std::string, int> count_;
  std::thread thread_;
};

class ChangeTest : public BackendsTest {
 protected:
  auto client() {
    return [this](const std::function<void()>& fn) { in("client", fn); };
  }
  static void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }
  static void wait_until(const std::function<bool()>& holds) {
    for (int i = 0; i < 4000 && !holds(); i++) sleep_ms(5);
  }
  // A second of a machine that has time: on a busy one the looks themselves are slow.
  static void expect_within_a_second(const std::function<bool()>& seen, const std::string& what) {
    using std::chrono::seconds;
    const auto start = SteadyClock::now();
    SteadyClock::duration longest{0};
    bool done = false;
    for (auto at = start; !done && at - start < seconds(30);) {
      done = seen();
      if (!done) sleep_ms(5);
      const auto before = std::exchange(at, SteadyClock::now());
      longest = std::max(longest, std::min<SteadyClock::duration>(at - before, std::chrono::milliseconds(400)));
    }
    EXPECT_TRUE(done) << what;
    EXPECT_LT(SteadyClock::now() - start, seconds(1) + 10 * longest) << what;
  }
};

TEST_F(ChangeTest, ARemovedEndpointGetsNothingAfterTheAcknowledgement) {
  write_service({});
  write_slice("web", backends);
  start_proxy();
  wait_endpoints("web", {backends.begin(), backends.end()});
  Loop loop(client(), "10.43.0.1", 80);
  sleep_ms(200);
  write_slice("web", {backends[0], backends[2]});
  auto acknowledged = wait_endpoints("web", {backends[0], backends[2]});
  const auto ended = loop.ended();
  wait_until([&] { return loop.ended() >= ended + 2; });  // connections that began before it end
  stop_pod("b1");
  auto before = loop.count("b1");
  sleep_ms(400);
  // And a new one comes, with a new address, while the loop runs.
  auto address = add_pod("b9", "10.42.0.9");
  write_slice("web", {backends[0], backends[2], address});
  expect_within_a_second([&] { return has_endpoints("web", {backends[0], backends[2], address}); }, "b9 joins");
  wait_until([&] { return loop.count("b0") > 20 && loop.count("b9") > 5; });
  loop.finish();
  EXPECT_EQ(loop.count("b1"), before);
  EXPECT_GT(loop.count("b0"), 20);
  EXPECT_GT(loop.count("b9"), 5);
  for (const auto& f : loop.failures()) EXPECT_LT(f.began, acknowledged) << "errno " << f.error;
}

TEST_F(ChangeTest, NChangesBackAndForthUnderLoadLoseNothing) {
  write_service({});
  write_slice("web", backends);
  start_proxy();
  wait_endpoints("web", {backends.begin(), backends.end()});
  Loop loop(client(), "10.43.0.1", 80);
  for (int i = 0; i < 40 || (i < 400 && loop.count("b1") <= 10); i++) {
    write_slice("web", {backends[0], backends[2]});
    sleep_ms(10);
    write_slice("web", backends);
    sleep_ms(10);
  }
  loop.finish();
  EXPECT_GT(loop.count("b1"), 10);
  // A packet between two look-ups is dropped at worst, and its retransmission is served: slow, never refused.
  for (const auto& f : loop.failures()) ADD_FAILURE() << "errno " << f.error;
}

TEST_F(ChangeTest, ARestartNeverShowsHalfATable) {
  write_service({});
  write_slice("web", backends);
  for (int i = 0; i < 300; i++) {
    write_service(
        {.name = "s" + std::to_string(i), .vip = "10.43.1." + std::to_string(i % 250 + 1), .port = 80 + i / 250});
    write_slice("s" + std::to_string(i), backends);
  }
  start_proxy();
  wait_endpoints("web", {backends.begin(), backends.end()});
  Loop loop(client(), "10.43.0.1", 80);
  for (int i = 0; i < 3; i++) {
    sleep_ms(100);
    stop_proxy();
    EXPECT_EQ(sh("nft list table inet podshim").code, 0) << "the rules stay";
    sleep_ms(50);
    start_proxy();
    wait_endpoints("web", {backends.begin(), backends.end()});
  }
  stop_proxy(SIGKILL);
  sleep_ms(50);
  start_proxy();
  sleep_ms(100);
  wait_until([&] { return loop.count("b0") > 20; });
  loop.finish();
  EXPECT_GT(loop.count("b0"), 20);
  for (const auto& f : loop.failures()) ADD_FAILURE() << "errno " << f.error;
}

TEST_F(ChangeTest, AFlushByOthersIsMendedWithinASecond) {
  write_service({});
  write_slice("web", {backends[0]});
  start_proxy();
  wait_endpoints("web", {backends[0]});
  const std::string strikes[] = {"nft flush ruleset", "nft delete table inet podshim",
                                 "nft flush map inet podshim svc_ip",
                                 "nft delete element inet podshim vip_ip { 10.43.0.1 }"};
  auto healthy = sh("nft list table inet podshim").text;
  for (const auto& strike : strikes) {
    ASSERT_EQ(sh(strike).code, 0) << strike;
    expect_within_a_second([&] { return sh("nft list table inet podshim").text == healthy; }, strike);
    EXPECT_EQ(tcp_from("client", "10.43.0.1", 80).name, "b0") << strike;
    // Strikes shortly after each other are answered with a pause, which is not what is measured here.
    stop_proxy();
    start_proxy();
    wait_endpoints("web", {backends[0]});
  }
}

// A firewall's reload script may flush more than once.
TEST_F(ChangeTest, AFewFlushesAfterEachOtherAreEachMendedWithinASecond) {
  write_service({});
  write_slice("web", {backends[0]});
  start_proxy();
  wait_endpoints("web", {backends[0]});
  auto listed = [] { return sh("nft list map inet podshim svc_ip").text.find("default/web") != std::string::npos; };
  for (int i = 1; i <= 3; i++) {
    ASSERT_EQ(sh("nft flush ruleset").code, 0);
    expect_within_a_second(listed, "flush " + std::to_string(i));
  }
}

TEST_F(ChangeTest, AFightOverTheTableIsFoughtSlowly) {
  write_service({});
  write_slice("web", {backends[0]});
  start_proxy();
  wait_endpoints("web", {backends[0]});
  auto times_built = [&] {
    std::size_t built = 0;
    auto text = log();
    for (auto at = text.find("table built"); at != std::string::npos; at = text.find("table built", at + 1)) built++;
    return built;
  };
  auto since = SteadyClock::now();
  auto lasts = [&](int ms) { return SteadyClock::now() - since < std::chrono::milliseconds(ms); };
  while (lasts(1500) || (lasts(6000) && times_built() < 5)) sh("nft delete table inet podshim");
  const auto built = times_built();
  EXPECT_GE(built, 5U) << "the first, and four at once";
  EXPECT_LE(built, 8U) << "then with pauses of 1 s, 2 s";
  // When the other gives up, the table is back after one pause more.
  auto listed = [] { return sh("nft list table inet podshim").code == 0; };
  wait_until(listed);
  EXPECT_EQ(tcp_from("client", "10.43.0.1", 80).name, "b0");
}

TEST_F(ChangeTest, ChainsOfMoreEndpointsAreThereBeforeTheyAreNeeded) {
  std::vector<std::string> addresses;
  for (int i = 0; i < 14; i++) addresses.push_back("10.42.9." + std::to_string(i + 1));
  auto there = [](int n) { return sh("nft list chain inet podshim ip_n" + std::to_string(n)).code == 0; };
  write_service({});
  write_slice("web", addresses);
  start_proxy();
  wait_endpoints("web", {addresses.begin(), addresses.end()});
  for (int n : {1, 16, 18}) EXPECT_TRUE(there(n)) << n << " came with the table";
  EXPECT_FALSE(there(19));
  addresses.emplace_back("10.42.9.15");
  write_slice("web", addresses);
  wait_until([&] { return there(19); });
  EXPECT_TRUE(there(19)) << "in a quiet moment after the change";
  sleep_ms(700);
  EXPECT_FALSE(there(20));
  EXPECT_EQ(log().find("changed by somebody else"), std::string::npos) << "our own change is no foreign one";
}

TEST_F(ChangeTest, AOneWayUdpSenderFollowsTheEndpoints) {
  write_service({.name = "dns", .vip = "10.43.0.10", .protocol = "UDP", .port = 53});
  write_slice("dns", {backends[0]}, "UDP");
  start_proxy();
  wait_endpoints("dns", {backends[0]});
  Fd fd;  // one socket: one flow, whatever the table says; it stays in the client's namespace
  in("client", [&] { fd = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); });
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(53);
  ::inet_pton(AF_INET, "10.43.0.10", &a.sin_addr);
  ASSERT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
  char buffer[256];
  // Sends until `name` answers (or, for "", a refusal comes).
  auto expect_answer = [&](const std::string& name, const std::string& what) {
    auto answers = [&] {
      ::send(fd.get(), "?", 1, 0);
      pollfd p{fd.get(), POLLIN, 0};
      ::poll(&p, 1, 5);
      auto n = ::recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (n < 0) return errno == ECONNREFUSED && name.empty();
      return std::string(buffer, static_cast<std::size_t>(n)).starts_with(name + " ");
    };
    expect_within_a_second(answers, what);
  };
  expect_answer("b0", "the first one");
  write_slice("dns", {backends[1]}, "UDP");
  expect_answer("b1", "replaced");
  write_slice("dns", {}, "UDP");
  expect_answer("", "scaled to zero");
  write_slice("dns", {backends[2]}, "UDP");
  expect_answer("b2", "from zero");
  stop_proxy();
  write_slice("dns", {backends[0]}, "UDP");
  start_proxy();
  expect_answer("b0", "changed while nobody watched");
  remove_file("dns.json");
  remove_file("dns-slice.json");
  wait_until([&] {
    auto now = status();
    const auto* services = now.find("services");
    return services != nullptr && services->find("default/dns") == nullptr;
  });
  sleep_ms(20);
  while (::recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT) >= 0 || errno == ECONNREFUSED) {
  }
  for (int i = 0; i < 20; i++) {
    ::send(fd.get(), "?", 1, 0);
    sleep_ms(5);
  }
  EXPECT_LT(::recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT), 0) << "a deleted Service still delivers";
  // And a Service that comes takes over the flow that nobody translated.
  write_service({.name = "dns", .vip = "10.43.0.10", .protocol = "UDP", .port = 53});
  write_slice("dns", {backends[1]}, "UDP");
  expect_answer("b1", "made again under a running sender");
}

TEST_F(ChangeTest, UdpFlowsThatAreRightSurviveARestart) {
  write_service({.name = "dns", .vip = "10.43.0.10", .protocol = "UDP", .port = 53, .node_port = 30053});
  write_slice("dns", {backends[0], backends[1]}, "UDP");
  start_proxy();
  wait_endpoints("dns", {backends[0], backends[1]});
  in("client", [&] {
    for (int i = 0; i < 50; i++) ask_udp("10.43.0.10", 53);
  });
  for (int i = 0; i < 20; i++) udp_from("out", "192.0.2.1", 30053);
  auto entries = [] { return sh("conntrack -L -p udp 2>/dev/null | wc -l").text; };
  auto before = entries();
  ASSERT_GE(std::stoi(before), 60) << "of 70 questions; few may share a source port";
  stop_proxy();
  start_proxy();
  sleep_ms(500);  // the second look too
  EXPECT_EQ(entries(), before);
}

}  // namespace
}  // namespace podshim::test
