// The table inet podshim_cni of the node's network namespace: masquerade of networks with ipMasq, host ports, and the
// guard that keeps 127.0.0.0/8 off the wire while route_localnet is on. The rules never change: networks and Pods are
// set and map elements. Whoever first needs the table makes the whole of it in one transaction; text:
// tests/golden/cni/podshim_cni.nft, which nft lists for it.
//
// An element's comment names its owner, "<network>/<container id>/<interface>", so that DEL needs no more than the id.
// Needs CAP_NET_ADMIN. One thread. A refused transaction leaves nothing.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cni/skel/request.h"
#include "common/netlink/nft.h"

namespace podshim::cni::rules {

inline constexpr const char* kTable = "podshim_cni";

// Names of the sets; every one exists for both families.
std::string pod_nets(Family family);       // {subnet}: what leaves it is masqueraded
std::string host_ports(Family family);     // proto . port -> address . port, on every address of the node
std::string host_ip_ports(Family family);  // address . proto . port -> address . port, on that address alone
std::string hairpins(Family family);       // {address . address}: a Pod that reaches itself through its host port

// "<network>/<container id>/<interface>"; long parts are cut and get a hash, so that it fits a comment.
std::string owner_comment(const std::string& network, const Attachment& attachment);
// What all comments of a network begin with.
std::string owner_prefix(const std::string& network);

std::vector<nft::Element> subnet_elements(const Cidr& subnet, const std::string& comment);

// Adds the whole table to a transaction; EEXIST at commit when another made it meanwhile.
void add_ruleset(nft::Transaction& transaction);
// Commits what `fill` adds, with the table first when it is missing.
Result<> commit(netlink::Socket& socket, const std::function<void(nft::Transaction&)>& fill);

// Makes sure that the table is there and holds these subnets. One read when it does.
Result<> ensure(netlink::Socket& socket, const std::string& network, const std::vector<Cidr>& subnets);
// Those of the subnets that are missing; all of them when the table is.
Result<std::vector<Cidr>> missing_subnets(netlink::Socket& socket, const std::vector<Cidr>& subnets);

}  // namespace podshim::cni::rules
