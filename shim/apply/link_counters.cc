#include "shim/apply/link_counters.h"

#include <fcntl.h>

#include "common/sys/file.h"

namespace podshim {
namespace {

LinkUse use_of(const netlink::LinkStats& s) {
  return {.name = s.name,
          .rx_bytes = s.rx_bytes,
          .rx_packets = s.rx_packets,
          .rx_errors = s.rx_errors,
          .rx_dropped = s.rx_dropped,
          .tx_bytes = s.tx_bytes,
          .tx_packets = s.tx_packets,
          .tx_errors = s.tx_errors,
          .tx_dropped = s.tx_dropped};
}

}  // namespace

Result<std::vector<NodeLink>> LinkCounters::of_node() {
  auto socket = TRY(netlink::Socket::open(netlink::Protocol::route));
  std::vector<NodeLink> out;
  for (const auto& link : TRY(netlink::list_link_stats(socket)))
    out.push_back({.kind = link.kind, .use = use_of(link)});
  return out;
}

Result<std::unique_ptr<LinkCounters>> LinkCounters::open_in(const std::string& netns_path) {
  const Fd netns = TRY(sys::open(netns_path, O_RDONLY));
  auto socket = TRY(netlink::Socket::open_in(netns, netlink::Protocol::route));
  return std::unique_ptr<LinkCounters>(new LinkCounters(std::move(socket)));
}

Result<std::vector<LinkUse>> LinkCounters::read() {
  std::unique_lock one(reading_, std::try_to_lock);
  if (!one) {
    std::lock_guard lock(mutex_);
    return last_;
  }
  std::vector<LinkUse> now;
  for (const auto& link : TRY(netlink::list_link_stats(socket_)))
    if (!link.loopback) now.push_back(use_of(link));
  std::lock_guard lock(mutex_);
  last_ = now;
  return now;
}

LinkUse other_end(const LinkUse& use, std::string name) {
  return {.name = std::move(name),
          .rx_bytes = use.tx_bytes,
          .rx_packets = use.tx_packets,
          .rx_errors = use.tx_errors,
          .rx_dropped = use.tx_dropped,
          .tx_bytes = use.rx_bytes,
          .tx_packets = use.rx_packets,
          .tx_errors = use.rx_errors,
          .tx_dropped = use.rx_dropped};
}

}  // namespace podshim
