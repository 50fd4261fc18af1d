#include "cni/bridge/verbs.h"

#include <algorithm>

#include "cni/bridge/apply.h"
#include "cni/bridge/ipam_call.h"
#include "cni/rules/ruleset.h"
#include "cni/skel/pod_netns.h"
#include "common/log.h"

namespace podshim::cni::bridge {
namespace {

using netlink::Protocol;
using netlink::Socket;

void log_undo(const std::string& step, const Error& e) {
  log::error("undo failed", {{"step", step}, {"error", e.text()}});
}

// The first error of several best efforts.
class FirstError {
 public:
  void take(const Result<>& r) {
    if (!r && !first_) first_ = r.error();
  }
  Result<> result() {
    if (first_) return fail(*first_);
    return {};
  }

 private:
  std::optional<Error> first_;
};

std::vector<IpAddress> addresses_of(const Request& request) {
  std::vector<IpAddress> out;
  auto prev = request.prev_result();
  if (!prev || !*prev) return out;
  for (const auto& ip : (*prev)->ips) out.push_back(ip.address.address);
  return out;
}

// A link that is not ours by name: one of another bridge plugin, from before the change to this one.
Result<> remove_foreign(const Request& request) {
  auto netns = open_pod_netns(request);
  if (!netns) return {};  // gone, and the link with it
  auto pod = TRY(Socket::open_in(*netns, Protocol::route));
  auto link = netlink::get_link(pod, request.attachment.ifname);
  if (!link || link->kind != "veth") return {};
  netlink::Batch b;
  netlink::delete_link(b, request.attachment.ifname);
  auto done = pod.execute(b);
  if (!done && done.error().is(ENODEV)) return {};
  return done;
}

}  // namespace

Result<AddResult> add(const Request& request, const std::string& boot_id) {
  auto conf = TRY(decode(request));
  auto netns = TRY(open_pod_netns(request));
  auto node = TRY(Socket::open(Protocol::route));
  auto facts = TRY(gather(node, conf));
  IpamCall ipam(request, conf.ipam_type, boot_id);
  Rollback rollback(log_undo);
  AddResult assigned;
  if (ipam.configured()) {
    assigned = TRY(ipam.add());
    rollback.add("release IP", [&]() -> Result<> {
      TRY(ipam.del());
      return {};
    });
    if (assigned.ips.empty())
      return fail(Error::of(ErrorKind::unavailable, "run plugin", conf.ipam_type, "it gave no address"));
  }
  auto plan = TRY(plan_add(conf, request, facts, assigned));
  TRY(apply(plan, node, netns, rollback));
  rollback.commit();
  return plan.result;
}

Result<> del(const Request& request, const std::string& boot_id) {
  auto node = TRY(Socket::open(Protocol::route));
  FirstError errors;
  // The link first: an address is free for another Pod only when nothing answers for it any more.
  auto removed = remove_link(node, host_veth_name(request.attachment), request.drops_netns());
  if (!removed) errors.take(fail(removed.error()));
  if (removed && !*removed && !request.netns.empty()) errors.take(remove_foreign(request));
  auto addresses = addresses_of(request);
  IpamCall ipam(request, ipam_type_of(request), boot_id);
  if (ipam.configured()) {
    auto freed = ipam.del();
    if (!freed) errors.take(fail(freed.error()));
    if (freed && !freed->empty()) addresses = *freed;
  }
  // Entries of a link that was not there any more may be those of the address's next holder.
  if (removed && *removed) errors.take(forget_neighbours(node, bridge_of(request), addresses));
  return errors.result();
}

Result<> status(const Request& request, const std::string& boot_id) {
  auto conf = TRY(decode(request));
  auto node = TRY(Socket::open(Protocol::route));
  TRY(gather(node, conf));
  IpamCall ipam(request, conf.ipam_type, boot_id);
  if (ipam.configured()) TRY(ipam.status());
  return {};
}

Result<> gc(const Request& request, const std::string& boot_id) {
  auto valid = TRY(request.valid_attachments());
  auto node = TRY(Socket::open(Protocol::route));
  FirstError errors;
  std::vector<std::string> keep;
  for (const auto& a : valid) keep.push_back(rules::owner_comment(request.network, a));
  auto bridge = netlink::get_link(node, bridge_of(request));
  if (bridge) {
    auto ports = TRY(netlink::list_links(node, bridge->index));
    for (const auto& port : ports) {
      bool ours = port.alias.starts_with(rules::owner_prefix(request.network));
      if (!ours || std::find(keep.begin(), keep.end(), port.alias) != keep.end()) continue;
      auto removed = remove_link(node, port.name, false);
      if (!removed) errors.take(fail(removed.error()));
    }
  }
  IpamCall ipam(request, ipam_type_of(request), boot_id);
  if (ipam.configured()) errors.take(ipam.gc());
  return errors.result();
}

}  // namespace podshim::cni::bridge
