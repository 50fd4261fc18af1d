// address: the cluster DNS address on this node's loopback link (there may be no other link to carry it: a dummy one is
// a module that is not everywhere), as /32 or /128. Pods reach it by their default route, the node by itself.
//
// It is marked as ours (IFA_PROTO, Linux 5.18), so that remove_left_addresses() knows it; one that the administrator
// gave is used and left alone. Who serves on it leaves it at its stop, as the rules are left: the next process takes it
// over, and one that serves already is not robbed of it by a second that fails. Needs CAP_NET_ADMIN in the calling
// thread's network namespace, where it keeps working afterwards. One thread.
#pragma once

#include <vector>

#include "common/ip.h"
#include "common/netlink/socket.h"

namespace podshim::netproxy::dns {

class NodeAddress {
 public:
  static Result<NodeAddress> claim(const std::vector<IpAddress>& addresses);
  NodeAddress(NodeAddress&& o) noexcept = default;
  NodeAddress& operator=(NodeAddress&& o) = delete;
  ~NodeAddress();  // remove(), logged when it fails

  // From now on what carries our mark stays. On a kernel without the mark nothing does: nobody would find it again.
  Result<> leave();
  // What claim() added and leave() did not take out; what was there before never goes. Twice is once; gone already is
  // success.
  Result<> remove();

 private:
  NodeAddress(netlink::Socket socket, int link) : socket_(std::move(socket)), link_(link) {}
  Result<> take(const IpAddress& address);

  netlink::Socket socket_;
  int link_ = 0;
  std::vector<Cidr> ours_;  // to be removed
};

// What any process of ours left on the loopback link, whatever its address.
Result<> remove_left_addresses();

}  // namespace podshim::netproxy::dns
