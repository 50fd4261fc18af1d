#include "cni/bridge/apply.h"

#include <fcntl.h>
#include <sys/file.h>

#include <chrono>
#include <thread>

#include "cni/rules/ruleset.h"
#include "common/sys/file.h"
#include "common/sys/netns.h"
#include "common/sys/retry.h"

namespace podshim::cni::bridge {
namespace {

using netlink::Batch;
using netlink::Socket;

constexpr std::chrono::microseconds kPortPoll{200};
constexpr std::chrono::seconds kPortTimeout{1};

// A read-only /proc/sys with the right value in it is fine. One writer at a time: of two that write ip_forward at once
// both can find it set, and nobody turns the links on (devinet_sysctl_forward restarts without its lock).
Result<> write_sysctl(const Sysctl& s) {
  const std::string path = "/proc/sys/" + s.key;
  auto now = sys::read_file(path);
  if (now && *now == s.value + "\n") return {};
  Fd file = TRY(sys::open(path, O_WRONLY));
  if (sys::retry([&] { return ::flock(file.get(), LOCK_EX); }) != 0) return fail(Error::sys("flock", path));
  return sys::write_all(file, s.value, path);
}

Result<> write_sysctls(const std::vector<Sysctl>& all) {
  for (const auto& s : all) TRY(write_sysctl(s));
  return {};
}

// Of a network namespace that is the Pod's alone, and new.
Result<> write_pod_sysctls(const std::vector<Sysctl>& all) {
  for (const auto& s : all) {
    const std::string path = "/proc/sys/" + s.key;
    auto file = sys::open(path, O_WRONLY);
    if (!file) {
      TRY(write_sysctl(s));
    } else {
      TRY(sys::write_all(*file, s.value, path));
    }
  }
  return {};
}

Result<> execute_unless(Socket& socket, Batch& batch, int harmless) {
  auto answers = TRY(socket.outcomes(batch));
  for (auto& answer : answers)
    if (!answer && !answer.error().is(harmless)) return answer;
  return {};
}

Result<int> ensure_bridge(const AddPlan& plan, Socket& node) {
  int index = plan.bridge_index;
  if (plan.create) {
    Batch make;
    netlink::add_bridge(make, {.name = plan.bridge, .mtu = plan.bridge_mtu, .mac = plan.bridge_mac, .up = false});
    TRY(execute_unless(node, make, EEXIST));  // another ADD made it
    TRY(write_sysctls(plan.bridge_sysctls));
    index = TRY(netlink::get_link(node, plan.bridge)).index;
  }
  Batch change;
  netlink::LinkChange c{.index = index};
  if (plan.bridge_nf_call) c.nf_call = true;
  if (plan.bridge_up) c.up = true;
  if (plan.bridge_promisc) c.promisc = true;
  // A bridge that got its MAC from a port would lose it with that port.
  if (!plan.gateways.empty()) c.mac = plan.bridge_mac;
  if (plan.bridge_nf_call || plan.bridge_up || plan.bridge_promisc || c.mac) netlink::change_link(change, c);
  for (const auto& a : plan.wrong_addresses) netlink::delete_address(change, index, a, plan.bridge);
  for (const auto& a : plan.gateways) netlink::add_address(change, index, a, plan.bridge);
  TRY(execute_unless(node, change, EEXIST));
  return index;
}

Error veth_exists(const AddPlan& plan, Socket& node) {
  if (auto link = netlink::get_link(node, plan.host_name))
    return Error::of(ErrorKind::already_exists, "attachment exists", plan.host_name,
                     "its link is there, of " + (link->alias.empty() ? "an unknown owner" : link->alias) +
                         "; DEL comes before a second ADD");
  return Error::of(ErrorKind::already_exists, "interface exists", plan.pod_name,
                   "the Pod's network namespace has it already");
}

Result<> make_veth(const AddPlan& plan, int bridge, Socket& node, const Fd& netns, Rollback& rollback) {
  Batch b;
  netlink::add_veth(b,
                    {.name = plan.host_name,
                     .mac = plan.host_mac,
                     .mtu = plan.mtu,
                     .master = bridge,
                     .peer_name = plan.pod_name,
                     .peer_mac = plan.pod_mac},
                    netns);
  netlink::change_link(b, {.name = plan.host_name,
                           .up = true,
                           .alias = plan.alias,
                           .ipv6_link_local = false,
                           .hairpin = plan.hairpin,
                           .isolated = plan.isolated});
  auto answers = TRY(node.outcomes(b));
  if (!answers.front() && answers.front().error().is(EEXIST)) return fail(veth_exists(plan, node));
  if (!answers.front()) return answers.front();
  rollback.add("delete veth " + plan.host_name, [&node, name = plan.host_name]() -> Result<> {
    TRY(remove_link(node, name, false));
    return {};
  });
  for (auto& answer : answers) TRY(answer);
  return {};
}

Result<> make_neighbours(const AddPlan& plan, int bridge, Socket& node, Rollback& rollback) {
  Batch b;
  for (const auto& ip : plan.neighbours)
    netlink::replace_neighbour(b, {.link = bridge, .address = ip, .mac = plan.pod_mac}, plan.bridge);
  for (const auto& ip : plan.proxied)
    netlink::replace_neighbour(b, {.link = bridge, .address = ip, .proxy = true}, plan.bridge);
  rollback.add("forget neighbours",
               [&node, name = plan.bridge, all = plan.neighbours] { return forget_neighbours(node, name, all); });
  return node.execute(b);
}

Result<> configure_pod(const AddPlan& plan, Socket& pod, int link) {
  Batch b;
  // IPv4 first: setting the link up announces what it has. IPv6 after: its addresses want a link that is up.
  for (const auto& a : plan.addresses)
    if (a.address.is_v4()) netlink::add_address(b, link, a, plan.pod_name);
  netlink::change_link(b, {.index = link, .up = true});
  for (const auto& a : plan.addresses)
    if (!a.address.is_v4()) netlink::add_address(b, link, a, plan.pod_name);
  for (auto route : plan.routes) {
    route.link = link;
    netlink::add_route(b, route, plan.pod_name);
  }
  return execute_unless(pod, b, EEXIST);  // of two equal routes the first one counts
}

// The kernel learns of the carrier on a work queue; until then the port drops what it gets. Asking for the link makes
// newer kernels (6.8) catch up at once, an older one needs some hundred microseconds.
Result<> wait_for_port(Socket& node, const std::string& name) {
  auto deadline = std::chrono::steady_clock::now() + kPortTimeout;
  for (;;) {
    auto link = TRY(netlink::get_link(node, name));
    if (link.oper_up()) return {};
    if (std::chrono::steady_clock::now() > deadline)
      return fail(Error::of(ErrorKind::unavailable, "wait for bridge port", name, "it has no carrier after a second"));
    std::this_thread::sleep_for(kPortPoll);
  }
}

}  // namespace

Result<> apply(const AddPlan& plan, Socket& node, const Fd& netns, Rollback& rollback) {
  int bridge = TRY(ensure_bridge(plan, node));
  if (plan.rules) {
    auto nft = TRY(Socket::open(netlink::Protocol::netfilter));
    TRY(rules::ensure(nft, plan.network, plan.masquerade));
  }
  TRY(write_sysctls(plan.sysctls));  // after the rules: route_localnet needs its guard
  TRY(make_veth(plan, bridge, node, netns, rollback));
  std::optional<Result<Socket>> opened;
  TRY(sys::in_netns_here(netns, [&]() -> Result<> {
    opened = Socket::open(netlink::Protocol::route);
    return write_pod_sysctls(plan.pod_sysctls);
  }));
  Socket pod = TRY(*std::move(opened));
  auto link = TRY(netlink::get_link(pod, plan.pod_name));
  TRY(configure_pod(plan, pod, link.index));
  TRY(wait_for_port(node, plan.host_name));
  TRY(make_neighbours(plan, bridge, node, rollback));
  // The same MAC again: the kernel sends gratuitous ARP and unsolicited neighbour advertisements (arp_notify,
  // ndisc_notify).
  Batch announce;
  netlink::change_link(announce, {.index = link.index, .mac = plan.pod_mac});
  return pod.execute(announce);
}

Result<bool> remove_link(Socket& node, const std::string& host_name, bool drops_netns) {
  Batch b;
  if (drops_netns) {
    netlink::change_link(b, {.name = host_name, .up = false, .master = 0});
  } else {
    netlink::delete_link(b, host_name);
  }
  auto done = node.execute(b);
  if (!done && done.error().is(ENODEV)) return false;
  TRY(done);
  return true;
}

Result<> forget_neighbours(Socket& node, const std::string& bridge, const std::vector<IpAddress>& addresses) {
  if (addresses.empty()) return {};
  auto found = netlink::get_link(node, bridge);
  if (!found && found.error().is(ENODEV)) return {};
  auto link = TRY(std::move(found));
  Batch b;
  for (const auto& ip : addresses) {
    netlink::delete_neighbour(b, {.link = link.index, .address = ip}, bridge);
    if (!ip.is_v4()) netlink::delete_neighbour(b, {.link = link.index, .address = ip, .proxy = true}, bridge);
  }
  return execute_unless(node, b, ENOENT);
}

}  // namespace podshim::cni::bridge
