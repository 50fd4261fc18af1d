// Where does this packet end? Runs the first packet of a flow through a Ruleset value as the kernel would: the nat
// hooks in order, chains, look-ups, verdicts. A small honest interpreter: it knows every term, keeps the packet's
// priority and what packets before it wrote into maps, and nothing else is assumed.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "netproxy/ruleset.h"

namespace podshim::test {

struct TracedPacket {
  std::string from, to;  // "10.42.0.100", "10.43.0.1"
  int port = 80;
  netproxy::Protocol protocol = netproxy::Protocol::tcp;
  bool by_node = false;                                                      // enters at output, else at prerouting
  std::vector<std::string> local = {"192.0.2.1", "10.42.0.1", "127.0.0.1"};  // addresses of the node
  std::uint32_t priority = 0;                                                // what others left in it
};

// "10.42.0.2:8080", with " masqueraded" when the source is; "reset", "unreachable", "dropped"; "as sent".
std::string trace(netproxy::Ruleset& ruleset, const TracedPacket& packet,
                  const std::function<std::uint32_t(std::uint32_t modulus)>& random);

}  // namespace podshim::test
