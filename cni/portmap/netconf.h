// The configuration of portmap: runtimeConfig.portMappings and snat. decode() is pure; errors name the field.
#pragma once

#include <optional>

#include "cni/skel/request.h"

namespace podshim::cni::portmap {

enum class Protocol : std::uint8_t { tcp = 6, udp = 17, sctp = 132 };
const char* name_of(Protocol p);

struct PortMapping {
  Protocol protocol = Protocol::tcp;
  std::optional<IpAddress> host_ip;  // unset or 0.0.0.0 or :: = every address (of that family)
  std::uint16_t host_port = 0;
  std::uint16_t container_port = 0;
  bool operator==(const PortMapping&) const = default;
};

struct NetConf {
  std::string network;
  std::vector<PortMapping> mappings;
  bool snat = true;  // masquerade where the answer would not come back: the Pod to itself
  bool operator==(const NetConf&) const = default;
};

Result<NetConf> decode(const Request& request);

}  // namespace podshim::cni::portmap
