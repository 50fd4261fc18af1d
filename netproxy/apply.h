// apply: the kernel's side of the table. One socket, kept open (closing one after a delete waits for RCU, 8-15 ms); a
// batch is one sendmsg(2) and one transaction, all or nothing. No acknowledgement is asked for: the kernel works in the
// sender's context, so when send returns every refusal is in the queue already, and an empty queue is the
// acknowledgement.
//
// Needs CAP_NET_ADMIN in the network namespace that open() runs in. One thread.
#pragma once

#include <span>

#include "common/fd.h"
#include "netproxy/netlink_reply.h"
#include "netproxy/render_netlink.h"

namespace podshim::netproxy {

struct Outcome {
  std::vector<Refusal> refusals;  // empty: accepted
  bool unknown = false;           // replies were lost (ENOBUFS): refused, but not known why
  bool accepted() const { return refusals.empty() && !unknown; }
};

class Kernel {
 public:
  static Result<Kernel> open();

  // The Result is about the sending; what the kernel said of the batch is the Outcome.
  Result<Outcome> commit(netlink::Batch& batch);
  // Our table as the kernel has it; nothing when there is none.
  Result<std::optional<TableIdentity>> table();
  // The clients that one map remembers; none when there is no such map. Reads that map alone.
  Result<std::vector<Remembered>> remembered(SetId map);
  std::uint32_t port() const { return port_; }

 private:
  // False: the map changed its shape meanwhile, the dump has to be made again.
  Result<bool> dump(SetId map, std::vector<Remembered>& out);
  Kernel(Fd fd, std::uint32_t port) : fd_(std::move(fd)), port_(port), buffer_(65536) {}
  void size_buffers(std::size_t bytes, std::size_t requests);
  Result<> send(netlink::Batch& batch);

  Fd fd_;
  std::uint32_t port_ = 0;
  std::uint32_t seq_ = 0;
  std::vector<std::uint8_t> buffer_;
};

// Notifications of nf_tables changes in this namespace, to see others touch our table.
class Watch {
 public:
  static Result<Watch> open(std::uint32_t own_port);
  int fd() const { return fd_.get(); }
  // Reads all that is waiting. Yes: somebody else changed our table, or notifications were lost.
  enum class Seen { nothing, foreign, lost };
  Result<Seen> read();
  // While away, the kernel does not build the notifications of a large batch of our own, and none of others comes.
  void leave();
  void join();

 private:
  Watch(Fd fd, std::uint32_t own_port) : fd_(std::move(fd)), own_port_(own_port), buffer_(65536) {}
  Fd fd_;
  std::uint32_t own_port_ = 0;
  std::vector<std::uint8_t> buffer_;
};

}  // namespace podshim::netproxy
