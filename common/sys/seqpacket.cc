#include "common/sys/seqpacket.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <thread>

#include "common/fault.h"
#include "common/sys/retry.h"

namespace podshim::sys {
namespace {

constexpr std::size_t kMaxParts = 8;
constexpr std::chrono::milliseconds kConnectPause{5};

Result<Fd> make_socket(int flags) {
  int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
  if (fd < 0) return fail(Error::sys("socket", "AF_UNIX SOCK_SEQPACKET"));
  return Fd(fd);
}

Result<sockaddr_un> address_in(const Fd& dir, const std::string& name) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::string path = "/proc/self/fd/" + std::to_string(dir.get()) + "/" + name;
  if (path.size() >= sizeof address.sun_path) return fail(Error::sys("socket path", path, {}, ENAMETOOLONG));
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

const sockaddr* as_sockaddr(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

void take_fds(msghdr& message, std::vector<Fd>& out) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; i++) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      out.push_back(Fd(fd));
    }
  }
}

}  // namespace

Result<Fd> seqpacket_listen(const Fd& dir, const std::string& name, int backlog) {
  Fd fd = TRY(make_socket(SOCK_NONBLOCK));
  auto address = TRY(address_in(dir, name));
  fault_point("replace socket");
  if (::unlinkat(dir.get(), name.c_str(), 0) != 0 && errno != ENOENT) return fail(Error::sys("unlink", name));
  // The mode of the unbound socket's inode becomes the mode of the file (unix_bind in the kernel).
  if (::fchmod(fd.get(), 0600) != 0) return fail(Error::sys("fchmod", name));
  if (::bind(fd.get(), as_sockaddr(address), sizeof address) != 0) return fail(Error::sys("bind", name));
  if (::listen(fd.get(), backlog) != 0) return fail(Error::sys("listen", name));
  return fd;
}

Result<Fd> seqpacket_connect(const Fd& dir, const std::string& name, std::chrono::steady_clock::time_point deadline) {
  Fd fd = TRY(make_socket(SOCK_NONBLOCK));
  auto address = TRY(address_in(dir, name));
  // A full backlog is EAGAIN, and nothing tells when it has room again (unix(7)): ask again.
  while (retry([&] { return ::connect(fd.get(), as_sockaddr(address), sizeof address); }) != 0) {
    if (errno != EAGAIN) return fail(Error::sys("connect", name));
    if (std::chrono::steady_clock::now() >= deadline) return fail(Error::sys("connect", name, {}, ETIMEDOUT));
    std::this_thread::sleep_for(kConnectPause);
  }
  return fd;
}

Result<std::pair<Fd, Fd>> seqpacket_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
    return fail(Error::sys("socketpair", "AF_UNIX SOCK_SEQPACKET"));
  return std::pair(Fd(fds[0]), Fd(fds[1]));
}

Result<Fd> seqpacket_accept(const Fd& listener) {
  int fd = static_cast<int>(
      retry([&] { return ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); }));
  if (fd < 0) return fail(Error::sys("accept", "socket"));
  return Fd(fd);
}

Result<uid_t> peer_uid(const Fd& socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return fail(Error::sys("getsockopt", "SO_PEERCRED"));
  return peer.uid;
}

Result<> send_packet(const Fd& socket, std::span<const std::string_view> parts, std::span<const int> fds) {
  if (parts.size() > kMaxParts || fds.size() > kMaxPacketFds) return fail(Error::sys("sendmsg", "socket", {}, E2BIG));
  iovec vector[kMaxParts];
  for (std::size_t i = 0; i < parts.size(); i++) vector[i] = {const_cast<char*>(parts[i].data()), parts[i].size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxPacketFds * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = vector;
  message.msg_iovlen = parts.size();
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
  }
  if (retry([&] { return ::sendmsg(socket.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT); }) < 0)
    return fail(Error::sys("sendmsg", "socket"));
  return {};
}

Result<> send_packet_wait(const Fd& socket, std::span<const std::string_view> parts, std::span<const int> fds,
                          std::chrono::steady_clock::time_point deadline) {
  for (;;) {
    auto sent = send_packet(socket, parts, fds);
    if (sent || !sent.error().is(EAGAIN)) return sent;
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return fail(Error::sys("sendmsg", "socket", {}, ETIMEDOUT));
    pollfd p{.fd = socket.get(), .events = POLLOUT, .revents = 0};
    if (::poll(&p, 1, static_cast<int>(left.count())) < 0 && errno != EINTR) return fail(Error::sys("poll", "socket"));
  }
}

Result<Packet> receive_packet(const Fd& socket) {
  // The size first: MSG_TRUNC with MSG_PEEK gives it without taking the packet (recv(2)).
  const auto waiting = [&] {
    return retry([&] { return ::recv(socket.get(), nullptr, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT); });
  };
  ssize_t size = waiting();
  // The end can be told before the last packets (net/unix/af_unix.c): the kernel looks into the queue first and at the
  // other end second, which may have sent and closed in between; and one that closes with packets unread leaves
  // ECONNRESET, once, before those it sent. Whatever was sent is there at the second look.
  if (size == 0 || (size < 0 && errno == ECONNRESET)) size = waiting();
  if (size < 0) return fail(Error::sys("recv", "socket"));
  Packet packet;
  if (size == 0) return packet;  // not one byte is taken: nobody sends packets of none
  packet.bytes.resize(static_cast<std::size_t>(size));
  iovec vector{packet.bytes.data(), packet.bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxPacketFds * sizeof(int))];
  msghdr message{};
  const auto take = [&] {
    message = {.msg_name = nullptr,
               .msg_namelen = 0,
               .msg_iov = &vector,
               .msg_iovlen = 1,
               .msg_control = control,
               .msg_controllen = sizeof control,
               .msg_flags = 0};
    return retry([&] { return ::recvmsg(socket.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC); });
  };
  ssize_t n = take();
  if (n < 0 && errno == ECONNRESET) n = take();
  if (n < 0) return fail(Error::sys("recvmsg", "socket"));
  take_fds(message, packet.fds);
  packet.bytes.resize(static_cast<std::size_t>(n));
  if ((message.msg_flags & MSG_CTRUNC) != 0) return fail(Error::sys("recvmsg", "file descriptors", {}, EMFILE));
  return packet;
}

}  // namespace podshim::sys
