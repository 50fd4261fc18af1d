// Makes an AddPlan so. Decides nothing: each action of the plan is a message or a write. Needs CAP_NET_ADMIN on the
// node and in the Pod's network namespace, CAP_SYS_ADMIN to enter it. The veth pair hangs on the Rollback until the
// caller commits; the bridge, its address, the nftables table and the sysctls are the network's and stay.
#pragma once

#include "cni/bridge/plan.h"
#include "common/rollback.h"

namespace podshim::cni::bridge {

Result<> apply(const AddPlan& plan, netlink::Socket& node, const Fd& netns, Rollback& rollback);

// Takes an attachment's link away. `drops_netns`: the link is only set down and taken out of the bridge, and goes with
// its network namespace; else it is deleted, which waits for RCU (7-33 ms). Gone already is success; says whether it
// was there.
Result<bool> remove_link(netlink::Socket& node, const std::string& host_name, bool drops_netns);
Result<> forget_neighbours(netlink::Socket& node, const std::string& bridge, const std::vector<IpAddress>& addresses);

}  // namespace podshim::cni::bridge
