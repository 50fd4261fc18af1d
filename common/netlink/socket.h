// One netlink socket. It keeps speaking to the network namespace it was opened in, whichever thread uses it; open_in()
// makes one in another namespace, so that only the opening needs a switch of namespace: there and back on the calling
// thread (in_netns_here()).
//
//   execute()   sends a Batch in one sendmsg(2); every request asks for an acknowledgement and these are matched by
//               sequence number. The kernel goes on after a refused request; the result is the first refusal in order,
//               with the kernel's own message (extended ack) as detail.
//   outcomes()  the same with the answer to each request.
//   transact()  for nfnetlink batches (nft.h): all or nothing, errors arrive without being asked for.
//   dump()      one request, every reply; starts over when the kernel says that the table changed meanwhile.
//   query()     one request, one reply.
//
// Needs CAP_NET_ADMIN for changes. One thread at a time. Nothing is left behind by a failure but what the kernel had
// done.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "common/fd.h"
#include "common/netlink/message.h"
#include "common/result.h"

namespace podshim::netlink {

enum class Protocol { route, netfilter };

class Socket {
 public:
  static Result<Socket> open(Protocol protocol);
  static Result<Socket> open_in(const Fd& netns, Protocol protocol);

  Result<> execute(Batch& batch);
  Result<std::vector<Result<>>> outcomes(Batch& batch);
  Result<> transact(Batch& batch);
  Result<> dump(Batch& request, const std::function<void(const Message&)>& each);
  Result<> query(Batch& request, const std::function<void(const Message&)>& reply);

 private:
  explicit Socket(Fd fd);
  Result<> send(Batch& batch, std::uint16_t extra_flags);
  // One datagram; its messages go to `each`. Returns false when none is waiting and `wait` is not set.
  Result<bool> receive(bool wait, const std::function<void(const Message&)>& each);
  Result<> dump_once(Batch& request, const std::function<void(const Message&)>& each, bool* interrupted);

  Fd fd_;
  std::uint32_t seq_ = 0;
  std::unique_ptr<std::uint8_t[]> buffer_;  // not cleared: only what arrives is touched
};

}  // namespace podshim::netlink
