// The listening socket: leftovers, foreign files and servers, other users.
#include "shim/cri/listen.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

namespace podshim::cri {
namespace {

class ListenTest : public testing::Test {
 protected:
  ListenTest() {
    char name[] = "/tmp/podshim-listen.XXXXXX";
    dir = ::mkdtemp(name);
    path = dir + "/s.sock";
  }
  ~ListenTest() override { std::filesystem::remove_all(dir); }
  sockaddr_un address() const {
    sockaddr_un out{};
    out.sun_family = AF_UNIX;
    std::snprintf(out.sun_path, sizeof out.sun_path, "%s", path.c_str());
    return out;
  }
  Fd bound() const {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto a = address();
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a), 0);
    return fd;
  }
  std::string dir, path;
};

TEST_F(ListenTest, ReplacesASocketNobodyServes) {
  bound();
  ASSERT_TRUE(std::filesystem::exists(path));
  EXPECT_TRUE(Listener::open(path).has_value());
}

TEST_F(ListenTest, LeavesASocketThatIsServed) {
  const Fd other = bound();
  ASSERT_EQ(::listen(other.get(), 1), 0);
  const auto listener = Listener::open(path);
  ASSERT_FALSE(listener.has_value());
  EXPECT_NE(listener.error().text().find("another program"), std::string::npos) << listener.error().text();
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(ListenTest, LeavesAFile) {
  std::ofstream(path) << "precious";
  EXPECT_FALSE(Listener::open(path).has_value());
  EXPECT_EQ(std::filesystem::file_size(path), 8u);
}

TEST_F(ListenTest, RefusesALongPath) {
  const auto listener = Listener::open(dir + "/" + std::string(120, 'x'));
  ASSERT_FALSE(listener.has_value());
  EXPECT_EQ(listener.error().kind, ErrorKind::invalid_argument);
}

TEST_F(ListenTest, RemovesItsSocketAndFreesTheLock) {
  {
    ASSERT_TRUE(Listener::open(path).has_value());
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(Listener::open(path).has_value());
}

// The permission bits would stop another user; a socket passed on by fd would not, so the peer is asked for its uid
// too.
TEST_F(ListenTest, RefusesAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  auto listener = Listener::open(path);
  ASSERT_TRUE(listener.has_value());
  ASSERT_EQ(::chmod(path.c_str(), 0666), 0);
  ASSERT_EQ(::chmod(dir.c_str(), 0755), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresuid(65534, 65534, 65534) != 0) ::_exit(3);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    const auto a = address();
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0) ::_exit(2);
    char byte = 0;
    ::_exit(::read(fd, &byte, 1) == 0 ? 0 : 1);  // closed
  }
  pollfd wait{.fd = listener->fd(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&wait, 1, 5000), 1);
  const auto fd = listener->accept();
  ASSERT_FALSE(fd.has_value());
  EXPECT_TRUE(fd.error().is(EPERM)) << fd.error().text();
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace podshim::cri
