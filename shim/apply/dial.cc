#include "shim/apply/dial.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "common/sys/netns.h"
#include "common/sys/retry.h"

namespace podshim {
namespace {

using Clock = std::chrono::steady_clock;

Result<> wait_connected(const Fd& socket, const std::string& address, Clock::time_point deadline) {
  pollfd p{.fd = socket.get(), .events = POLLOUT, .revents = 0};
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return fail(Error::sys("connect", address, {}, ETIMEDOUT));
    const int ready = ::poll(&p, 1, static_cast<int>(left));
    if (ready < 0 && errno != EINTR) return fail(Error::sys("poll", address));
    if (ready > 0) break;
  }
  int err = 0;
  socklen_t length = sizeof err;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &err, &length) != 0) return fail(Error::sys("connect", address));
  if (err != 0) return fail(Error::sys("connect", address, {}, err));
  return {};
}

template <typename Address>
Result<Fd> connect_to(Fd socket, const Address& to, const std::string& address, Clock::time_point deadline) {
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) return socket;
  // A connect that a signal interrupted goes on (connect(2)).
  if (errno != EINPROGRESS && errno != EINTR) return fail(Error::sys("connect", address));
  TRY(wait_connected(socket, address, deadline));
  return socket;
}

Result<Fd> make_socket(int family) {
  Fd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail(Error::sys("socket", family == AF_INET ? "inet" : "inet6"));
  return fd;
}

bool absent(const Error& error) {
  return error.is(ECONNREFUSED) || error.is(EADDRNOTAVAIL) || error.is(ENETUNREACH) || error.is(EAFNOSUPPORT);
}

}  // namespace

Result<Fd> dial_local(const std::string& netns_path, std::uint16_t port, std::chrono::milliseconds patience) {
  Result<Fd> v4 = Fd(), v6 = Fd();
  auto make = [&]() -> Result<> {
    v4 = make_socket(AF_INET);
    v6 = make_socket(AF_INET6);
    return {};
  };
  if (netns_path.empty())
    TRY(make());
  else
    TRY(sys::in_netns(TRY(sys::open_netns(netns_path)), make));

  const std::string suffix = ":" + std::to_string(port);
  const auto deadline = Clock::now() + patience;
  const sockaddr_in to_v4{
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  if (v4) v4 = connect_to(*std::move(v4), to_v4, "127.0.0.1" + suffix, deadline);
  if (v4) return v4;
  sockaddr_in6 to_v6{};
  to_v6.sin6_family = AF_INET6;
  to_v6.sin6_port = htons(port);
  to_v6.sin6_addr = in6addr_loopback;
  if (v6) v6 = connect_to(*std::move(v6), to_v6, "[::1]" + suffix, deadline);
  if (v6) return v6;
  return absent(v4.error()) && !absent(v6.error()) ? std::move(v6) : std::move(v4);
}

}  // namespace podshim
