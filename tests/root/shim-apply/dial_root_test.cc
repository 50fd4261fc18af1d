// Connections into a network namespace that this test makes and holds by one of its threads.
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <thread>

#include "common/sys/file.h"
#include "shim/apply/dial.h"

namespace podshim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

bool loopback_up() {
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::snprintf(request.ifr_name, sizeof request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  return ::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0;
}

class Dial : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "NOT RUN: needs root";
    std::unique_lock lock(mutex_);
    holder_ = std::thread([this] { hold(); });
    changed_.wait(lock, [&] { return made_; });
    ASSERT_TRUE(v4_ && v6_) << strerror(errno);
  }
  void TearDown() override {
    if (!holder_.joinable()) return;
    {
      std::lock_guard lock(mutex_);
      done_ = true;
    }
    changed_.notify_all();
    holder_.join();
  }
  std::string netns() const { return "/proc/self/task/" + std::to_string(holder_tid_) + "/ns/net"; }
  static constexpr std::uint16_t kV4Port = 8004, kV6Port = 8006, kNobody = 8000;
  Fd v4_, v6_;

 private:
  // Two sockets that listen, one a family, each on a port of its own.
  void hold() {
    std::unique_lock lock(mutex_);
    if (::unshare(CLONE_NEWNET) == 0 && loopback_up()) {
      const sockaddr_in v4{
          .sin_family = AF_INET, .sin_port = htons(kV4Port), .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
      sockaddr_in6 v6{};
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(kV6Port);
      v6.sin6_addr = in6addr_loopback;
      v4_ = listener(AF_INET, &v4, sizeof v4);
      v6_ = listener(AF_INET6, &v6, sizeof v6);
    }
    holder_tid_ = ::gettid();
    made_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return done_; });
  }
  static Fd listener(int family, const void* address, socklen_t size) {
    Fd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::bind(fd.get(), static_cast<const sockaddr*>(address), size) != 0 || ::listen(fd.get(), 1) != 0) return Fd();
    return fd;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool made_ = false, done_ = false;
  pid_t holder_tid_ = 0;
  std::thread holder_;
};

// The connection is one between the two, and ours does not block.
void expect_talks(const Fd& ours, const Fd& listener) {
  EXPECT_NE(::fcntl(ours.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(ours.get(), F_GETFD) & FD_CLOEXEC, 0);
  Fd theirs(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(theirs);
  ASSERT_EQ(::write(ours.get(), "ping", 4), 4);
  char text[8] = {};
  EXPECT_EQ(::read(theirs.get(), text, sizeof text), 4);
  EXPECT_STREQ(text, "ping");
}

TEST_F(Dial, EitherFamily) {
  auto v4 = dial_local(netns(), kV4Port, seconds(5));
  ASSERT_TRUE(v4) << v4.error().text();
  expect_talks(*v4, v4_);
  auto v6 = dial_local(netns(), kV6Port, seconds(5));
  ASSERT_TRUE(v6) << v6.error().text();
  expect_talks(*v6, v6_);
}

TEST_F(Dial, NobodyListens) {
  auto refused = dial_local(netns(), kNobody, seconds(5));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(ECONNREFUSED)) << refused.error().text();
  EXPECT_NE(refused.error().text().find("127.0.0.1:8000"), std::string::npos) << refused.error().text();
}

TEST_F(Dial, OnlyInsideThatNamespace) {
  auto outside = dial_local("", kV4Port, milliseconds(500));
  EXPECT_FALSE(outside) << "the caller's own namespace has nobody there";
  EXPECT_TRUE(dial_local(netns(), kV4Port, seconds(5)));
}

// The queue of a listener that accepts nobody is full: a SYN is dropped.
TEST_F(Dial, AListenerThatHangsHasALimit) {
  std::vector<Fd> waiting;
  Result<Fd> last = Fd();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 8 && last; i++) {
    last = dial_local(netns(), kV4Port, milliseconds(200));
    if (last) waiting.push_back(*std::move(last)), last = Fd();
  }
  ASSERT_FALSE(last);
  EXPECT_TRUE(last.error().is(ETIMEDOUT)) << last.error().text();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(30));
}

TEST_F(Dial, WhatIsNoNamespace) {
  EXPECT_TRUE(dial_local("/proc/self/status", kV4Port, seconds(1)).error().is(EINVAL));
  EXPECT_TRUE(dial_local("/run/no-such-netns", kV4Port, seconds(1)).error().is(ENOENT));
}

}  // namespace
}  // namespace podshim
