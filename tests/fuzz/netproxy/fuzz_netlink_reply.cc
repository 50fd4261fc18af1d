// Any bytes as a reply or a notification of the kernel.
#include <cstdint>

#include "common/netlink/conntrack.h"
#include "netproxy/netlink_reply.h"
#include "netproxy/render_netlink.h"

using namespace podshim;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto batch = [] {
    auto b = netproxy::render_delete().batch;
    std::uint32_t seq = 1;
    for (auto& r : b.requests()) r.seq = seq++;
    return b;
  }();
  netlink::Bytes bytes(data, size);
  netproxy::parse_refusals(bytes, batch);
  netproxy::touches_our_table(bytes, 1);
  while (auto message = netlink::next_message(bytes)) {
    netproxy::parse_table(*message);
    std::vector<netproxy::Remembered> clients;
    netproxy::parse_remembered(*message, {netproxy::SetKind::aff, Family::v4, 60}, clients);
    netproxy::AffinityCheck check;
    for (const auto& client : clients) check(client, {});
    netlink::parse_flow(*message);
  }
  return 0;
}
