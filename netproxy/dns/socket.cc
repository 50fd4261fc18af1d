#include "netproxy/dns/socket.h"

#include <netinet/in.h>
#include <poll.h>

#include <cstring>

namespace podshim::netproxy::dns {
namespace {

constexpr int kBacklog = 128;
constexpr int kReceiveBuffer = 4 << 20;  // questions that come while a batch of changes is taken over

std::string text_of(const DnsUpstream& at, bool tcp) {
  auto host = at.address.is_v4() ? at.address.str() : "[" + at.address.str() + "]";
  return host + ":" + std::to_string(at.port) + (tcp ? "/tcp" : "/udp");
}

Result<Fd> make(const DnsUpstream& at, bool tcp) {
  int type = (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
  Fd fd(::socket(at.address.is_v4() ? AF_INET : AF_INET6, type, 0));
  if (!fd) return fail(Error::sys("socket", text_of(at, tcp)));
  return fd;
}

Result<> bind_to(const Fd& fd, const DnsUpstream& at, bool tcp) {
  auto address = to_socket_address(at);
  if (::bind(fd.get(), address.get(), address.size) == 0) return {};
  auto error = Error::sys("bind", text_of(at, tcp));
  if (error.is(EADDRINUSE)) error.detail = "another program serves there already; cluster-dns: none turns DNS off";
  return fail(std::move(error));
}

}  // namespace

SocketAddress to_socket_address(const DnsUpstream& at) {
  SocketAddress out;
  auto port = htons(static_cast<std::uint16_t>(at.port));
  auto bytes = at.address.bytes();
  if (at.address.is_v4()) {
    auto* in = reinterpret_cast<sockaddr_in*>(&out.storage);
    in->sin_family = AF_INET;
    in->sin_port = port;
    std::memcpy(&in->sin_addr, bytes.data(), bytes.size());
    out.size = sizeof *in;
  } else {
    auto* in = reinterpret_cast<sockaddr_in6*>(&out.storage);
    in->sin6_family = AF_INET6;
    in->sin6_port = port;
    std::memcpy(&in->sin6_addr, bytes.data(), bytes.size());
    out.size = sizeof *in;
  }
  return out;
}

Result<Fd> listen_udp(const DnsUpstream& at) {
  auto fd = TRY(make(at, false));
  // More than net.core.rmem_max is not given, and that is no error.
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer);
  TRY(bind_to(fd, at, false));
  return fd;
}

Result<Fd> listen_tcp(const DnsUpstream& at) {
  auto fd = TRY(make(at, true));
  int on = 1;  // connections of a server before us may linger
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  TRY(bind_to(fd, at, true));
  if (::listen(fd.get(), kBacklog) != 0) return fail(Error::sys("listen", text_of(at, true)));
  return fd;
}

Result<Fd> connect_to(const DnsUpstream& to, bool tcp) {
  auto fd = TRY(make(to, tcp));
  auto address = to_socket_address(to);
  if (::connect(fd.get(), address.get(), address.size) != 0 && errno != EINPROGRESS)
    return fail(Error::sys("connect", text_of(to, tcp)));
  return fd;
}

bool readable(const Fd& fd) {
  pollfd one{.fd = fd.get(), .events = POLLIN, .revents = 0};
  return ::poll(&one, 1, 0) > 0;
}

Result<EpollSet> EpollSet::open() {
  Fd fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!fd) return fail(Error::sys("epoll_create1", ""));
  return EpollSet(std::move(fd));
}

Result<> EpollSet::add(const Fd& fd, std::uint32_t events, Tag tag) {
  epoll_event e{.events = events, .data = {.u64 = tag.pack()}};
  if (::epoll_ctl(fd_.get(), EPOLL_CTL_ADD, fd.get(), &e) != 0) return fail(Error::sys("epoll_ctl", "add"));
  return {};
}

void EpollSet::change(const Fd& fd, std::uint32_t events, Tag tag) {
  epoll_event e{.events = events, .data = {.u64 = tag.pack()}};
  ::epoll_ctl(fd_.get(), EPOLL_CTL_MOD, fd.get(), &e);
}

}  // namespace podshim::netproxy::dns
