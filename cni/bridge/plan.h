// What ADD will do, as a value: pure function of the configuration, the request, the IPAM's answer and the facts.
// print() gives one action a line; the golden tests compare it.
//
// Traffic between two Pods of one bridge through a Service's address must pass connection tracking both ways. Where
// br_netfilter is there, the bridge hands its frames to the IP hooks by an option of its own (the host-wide sysctl is
// left alone). Where it is not, ports are isolated from each other and the bridge answers for every Pod
// (proxy_arp_pvlan, proxy neighbours), so that all such traffic is routed. tests/root/cni has both with the sysctl at
// 0.
#pragma once

#include "cni/bridge/facts.h"
#include "cni/bridge/netconf.h"
#include "cni/skel/result.h"
#include "common/netlink/route.h"

namespace podshim::cni::bridge {

struct Sysctl {
  std::string key;  // a path below /proc/sys
  std::string value;
  bool operator==(const Sysctl&) const = default;
};

struct AddPlan {
  std::string network;
  // The bridge.
  std::string bridge;
  bool create = false;
  int bridge_index = 0;                // of one that is there
  std::uint32_t bridge_mtu = 0;        // of a bridge to be made
  netlink::Mac bridge_mac;             // of the bridge, there or to be made
  bool bridge_nf_call = false;         // to be switched on
  bool bridge_up = false;              // to be set up
  bool bridge_promisc = false;         // to be switched on
  std::vector<Sysctl> bridge_sysctls;  // before it is up; needed only when it is made
  std::vector<Cidr> gateways;          // addresses the bridge lacks
  std::vector<Cidr> wrong_addresses;   // those forceAddress replaces
  // The node.
  bool rules = false;  // the nftables table is needed
  std::vector<Cidr> masquerade;
  std::vector<Sysctl> sysctls;
  // The veth pair.
  std::string host_name;
  netlink::Mac host_mac;
  std::string alias;
  std::string pod_name;
  netlink::Mac pod_mac;
  std::uint32_t mtu = 0;
  bool hairpin = false;
  bool isolated = false;
  std::vector<IpAddress> neighbours;  // of the Pod, on the bridge
  std::vector<IpAddress> proxied;     // the bridge answers for these (IPv6, when isolated)
  // Inside the Pod.
  std::vector<Sysctl> pod_sysctls;
  std::vector<Cidr> addresses;
  std::vector<netlink::Route> routes;

  AddResult result;
};

std::string host_veth_name(const Attachment& attachment);
netlink::Mac mac_for(const IpAddress& ip);  // the same address has the same MAC, always

Result<AddPlan> plan_add(const NetConf& conf, const Request& request, const Facts& facts, const AddResult& ipam);
std::string print(const AddPlan& plan);

// The path of a setting of one interface below /proc/sys; a dot in a name is a plain character there.
std::string conf_path(const char* family, const std::string& link, const char* key);

}  // namespace podshim::cni::bridge
