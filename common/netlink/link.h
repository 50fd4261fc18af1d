// Links: veth pairs and bridges made, changed, removed and read over rtnetlink. The functions that take a Batch only
// add a message to it; what they need when it is sent: CAP_NET_ADMIN in the socket's network namespace, and for
// add_veth() in the peer's too. A refused message leaves nothing of itself behind. rtnetlink(7),
// include/uapi/linux/if_link.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/netlink/mac.h"
#include "common/netlink/socket.h"

namespace podshim::netlink {

struct BridgeCreate {
  std::string name;
  std::uint32_t mtu = 0;   // 0 = the kernel's default
  std::optional<Mac> mac;  // set = pinned: it stays whatever ports come and go
  bool vlan_filtering = false;
  bool nf_call = false;  // this bridge's frames pass the IP hooks (needs br_netfilter), whatever the sysctl says
  bool up = true;
};

struct VethCreate {
  std::string name;
  Mac mac;
  std::uint32_t mtu = 0;  // of both ends
  int master = 0;         // index of the bridge
  std::string peer_name;
  Mac peer_mac;
};

// Only what is set is changed.
struct LinkChange {
  std::string name;  // or
  int index = 0;
  std::optional<bool> up;
  std::optional<bool> promisc;
  std::optional<int> master;  // 0 = none
  std::optional<std::uint32_t> mtu;
  std::optional<Mac> mac;
  std::optional<std::string> alias;     // at most 255 bytes
  std::optional<bool> ipv6_link_local;  // false: the kernel makes no link-local address of its own
  // A bridge port's; the link must be one already.
  std::optional<bool> hairpin;
  std::optional<bool> isolated;
  // A bridge's.
  std::optional<bool> nf_call;
};

struct Link {
  int index = 0;
  std::string name;
  std::string kind;  // "veth", "bridge", ""
  std::string alias;
  Mac mac;
  std::uint32_t mtu = 0;
  int master = 0;
  int peer = 0;  // index of the other end, in its own namespace
  bool up = false;
  bool running = false;  // has carrier
  bool promisc = false;
  bool loopback = false;
  bool hairpin = false;
  bool isolated = false;
  bool nf_call = false;  // a bridge's
  std::uint8_t operstate = 0;

  bool oper_up() const { return operstate == 6; }  // IF_OPER_UP: the port forwards
};

void add_bridge(Batch& batch, const BridgeCreate& bridge);
// The peer is made in `peer_netns` at once, under its final name.
void add_veth(Batch& batch, const VethCreate& veth, const Fd& peer_netns);
void change_link(Batch& batch, const LinkChange& change);
void delete_link(Batch& batch, const std::string& name);

Result<Link> get_link(Socket& socket, const std::string& name);  // ENODEV
Result<Link> get_link(Socket& socket, int index);
Result<std::vector<Link>> list_links(Socket& socket, int master = 0);  // master: only that bridge's ports

std::optional<Link> parse_link(const Message& message);

}  // namespace podshim::netlink
