// What comes back over nfnetlink: refusals of a batch's requests, and notifications of changes by anybody. Every length
// is checked; garbage is skipped. Pure; any thread.
#pragma once

#include <optional>

#include "common/netlink/message.h"
#include "netproxy/affinity.h"

namespace podshim::netproxy {

struct Refusal {
  std::size_t request = 0;  // index into Batch::requests()
  Error error;
};

// The refusals in one datagram, in order. `batch` has its sequence numbers set.
std::vector<Refusal> parse_refusals(netlink::Bytes datagram, const netlink::Batch& batch);

// True when the datagram tells of a change to our table that a socket other than `own_port` made.
bool touches_our_table(netlink::Bytes datagram, std::uint32_t own_port);

// Handle and use count of a table, from the reply to GETTABLE.
struct TableIdentity {
  std::uint64_t handle = 0;
  std::uint32_t use = 0;
  bool operator==(const TableIdentity&) const = default;
};
std::optional<TableIdentity> parse_table(const netlink::Message& message);

// The clients in one message of a dump of the map. One without an endpoint or a time is left out.
void parse_remembered(const netlink::Message& message, SetId map, std::vector<Remembered>& out);

}  // namespace podshim::netproxy
