// socket: the few socket calls of the server, and the tags by which its epoll(7) set tells them apart. All sockets are
// close-on-exec and never block. Any thread.
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/config.h"
#include "common/fd.h"
#include "common/result.h"

namespace podshim::netproxy::dns {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};
SocketAddress to_socket_address(const DnsUpstream& at);

// Bound to that one address: the kernel answers from where it was asked. EADDRINUSE says that the port is taken.
Result<Fd> listen_udp(const DnsUpstream& at);
Result<Fd> listen_tcp(const DnsUpstream& at);
// A socket of its own port (the kernel's random one) that takes packets of `to` alone; a TCP one may be connecting
// still.
Result<Fd> connect_to(const DnsUpstream& to, bool tcp);

// Right now. What accept4(2) of a full descriptor table does not tell: it looks at the limit before the queue.
bool readable(const Fd& fd);

// A slot is used again: the generation tells a late event from one of its successor.
struct Tag {
  enum Kind : std::uint8_t { wake, udp, tcp, connection, exchange } kind = wake;
  std::uint32_t generation = 0;  // 24 bits of it
  std::uint32_t slot = 0;
  std::uint64_t pack() const { return std::uint64_t{kind} << 56 | std::uint64_t{generation & 0xffffff} << 32 | slot; }
  static Tag unpack(std::uint64_t v) {
    return {static_cast<Kind>(v >> 56), static_cast<std::uint32_t>(v >> 32) & 0xffffff, static_cast<std::uint32_t>(v)};
  }
};

class EpollSet {
 public:
  static Result<EpollSet> open();
  int get() const { return fd_.get(); }
  Result<> add(const Fd& fd, std::uint32_t events, Tag tag);
  void change(const Fd& fd, std::uint32_t events, Tag tag);

 private:
  explicit EpollSet(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace podshim::netproxy::dns
