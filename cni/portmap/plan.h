// Which map elements an attachment's host ports are. Pure. print() gives one element a line.
#pragma once

#include "cni/portmap/netconf.h"
#include "common/netlink/nft.h"

namespace podshim::cni::portmap {

// One element of one of the four port maps of the table (cni/rules).
struct HostPort {
  Protocol protocol = Protocol::tcp;
  Family family = Family::v4;
  std::optional<IpAddress> host_ip;  // set = in the map of single addresses
  std::uint16_t host_port = 0;
  IpAddress target;
  std::uint16_t target_port = 0;
  auto operator<=>(const HostPort&) const = default;

  std::string set() const;
  std::string str() const;  // "tcp 192.0.2.1:8080 -> 10.42.0.5:80"
};

nft::Element to_element(const HostPort& port, const std::string& comment = {});
// Nothing when the element is none of ours by its shape.
std::optional<HostPort> from_element(const nft::Element& element, Family family, bool single_address);

struct Plan {
  std::vector<HostPort> ports;
  std::vector<IpAddress> hairpins;  // Pod addresses that must reach themselves
  std::string comment;              // the owner
  std::string loopback_link;        // 127.0.0.1:hostPort leaves through it; "" = none
};

// Each mapping for each family of which the Pod has an address. The Pod's addresses are those of `prev` on its
// interface.
Result<Plan> plan_add(const NetConf& conf, const Attachment& attachment, const AddResult& prev);
std::string print(const Plan& plan);

}  // namespace podshim::cni::portmap
