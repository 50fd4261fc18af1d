// The configuration of bridge. decode() is pure; an error names the field, and a field that is known but not supported
// is refused with its value rather than left out.
#pragma once

#include <optional>

#include "cni/skel/request.h"
#include "common/netlink/mac.h"

namespace podshim::cni::bridge {

struct NetConf {
  std::string network;
  std::string bridge = "cni0";
  bool is_gateway = false;
  bool is_default_gateway = false;
  bool force_address = false;
  bool ip_masq = false;
  bool hairpin = false;
  bool promisc = false;
  bool port_isolation = false;
  std::uint32_t mtu = 0;  // 0 = the bridge's; for a new bridge that of the default route's link
  std::optional<netlink::Mac> mac;
  std::string ipam_type;  // "" = layer 2 only
  Dns dns;
  bool operator==(const NetConf&) const = default;
};

Result<NetConf> decode(const Request& request);

// For DEL and GC, which must work with a configuration that has changed or broken meanwhile.
std::string bridge_of(const Request& request);
std::string ipam_type_of(const Request& request);

}  // namespace podshim::cni::bridge
