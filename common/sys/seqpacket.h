// SOCK_SEQPACKET unix sockets: whole messages with file descriptors (SCM_RIGHTS). unix(7).
// Paths are bound and reached through the fd of their directory, so sun_path's 108 bytes do not limit them.
// All fds close-on-exec. Sending and receiving may happen on different threads at once: the kernel keeps messages
// whole.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/fd.h"
#include "common/result.h"

namespace podshim::sys {

inline constexpr std::size_t kMaxPacketFds = 20;

// A stale socket of that name is replaced; the new one has mode 0600 from its first moment and accepts without
// blocking.
Result<Fd> seqpacket_listen(const Fd& dir, const std::string& name, int backlog);
// Waits for room among the listener's waiting connections until the deadline (ETIMEDOUT). The socket is non-blocking.
Result<Fd> seqpacket_connect(const Fd& dir, const std::string& name, std::chrono::steady_clock::time_point deadline);
Result<std::pair<Fd, Fd>> seqpacket_pair();
Result<Fd> seqpacket_accept(const Fd& listener);  // non-blocking socket; EAGAIN when nobody waits
Result<uid_t> peer_uid(const Fd& socket);

// Never blocks: EAGAIN when the receiver's buffer is full. EMSGSIZE above SO_SNDBUF (200 kB).
Result<> send_packet(const Fd& socket, std::span<const std::string_view> parts, std::span<const int> fds);
// As above, but waits for room until the deadline (ETIMEDOUT).
Result<> send_packet_wait(const Fd& socket, std::span<const std::string_view> parts, std::span<const int> fds,
                          std::chrono::steady_clock::time_point deadline);

struct Packet {
  std::string bytes;  // empty: the other end is closed
  std::vector<Fd> fds;
};
// Never blocks: EAGAIN when nothing waits. A packet of any size is taken whole. What was sent before the other end was
// closed comes before the empty packet, however it was closed.
Result<Packet> receive_packet(const Fd& socket);

}  // namespace podshim::sys
