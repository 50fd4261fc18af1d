// LinkCounters: what the links of a network namespace have carried. of_node() makes a socket for the one reading;
// open_in() keeps one in another namespace and reads through it: that socket holds the namespace, so whoever keeps it
// lets go before the namespace is to end. Any thread; while one thread reads, another gets what was read last.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/netlink/link_stats.h"
#include "common/result.h"
#include "shim/plan/usage.h"

namespace podshim {

struct NodeLink {
  std::string kind;  // "veth"
  LinkUse use;       // as the node sees it
};

class LinkCounters {
 public:
  static Result<std::vector<NodeLink>> of_node();
  static Result<std::unique_ptr<LinkCounters>> open_in(const std::string& netns_path);

  Result<std::vector<LinkUse>> read();  // without lo

 private:
  explicit LinkCounters(netlink::Socket socket) : socket_(std::move(socket)) {}

  std::mutex reading_;  // guards socket_
  netlink::Socket socket_;
  std::mutex mutex_;  // guards last_
  std::vector<LinkUse> last_;
};

// The other end of a veth pair: what one sends, the other receives.
LinkUse other_end(const LinkUse& use, std::string name);

}  // namespace podshim
