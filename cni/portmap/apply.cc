#include "cni/portmap/apply.h"

#include <algorithm>
#include <set>

#include "cni/portmap/flows.h"
#include "cni/rules/ruleset.h"
#include "common/log.h"
#include "common/sys/file.h"

namespace podshim::cni::portmap {
namespace {

using netlink::Socket;

nft::Element hairpin_element(const IpAddress& ip) {
  return nft::element(nft::Fields().bytes(ip.bytes()).bytes(ip.bytes()));
}

// The same port on every address and on one address is the same port.
bool collide(const HostPort& a, const HostPort& b) {
  return a.family == b.family && a.protocol == b.protocol && a.host_port == b.host_port &&
         (!a.host_ip || !b.host_ip || a.host_ip == b.host_ip);
}

Error taken(const HostPort& wanted, const Held& holder) {
  return Error::of(
      ErrorKind::already_exists, "host port in use", wanted.str(),
      "held by " + (holder.comment.empty() ? "an unknown owner" : holder.comment) + " (" + holder.port.str() + ")");
}

Result<> check_free(const Plan& plan, Socket& socket) {
  auto held = TRY(list(socket));
  for (const auto& wanted : plan.ports)
    for (const auto& h : held)
      if (collide(wanted, h.port)) return fail(taken(wanted, h));
  return {};
}

Result<std::vector<nft::Element>> elements_of(Socket& socket, const std::string& set) {
  auto out = nft::list_elements(socket, rules::kTable, set);
  if (!out && out.error().is(ENOENT)) return std::vector<nft::Element>{};
  return out;
}

}  // namespace

Result<std::vector<Held>> list(Socket& socket) {
  std::vector<Held> out;
  for (auto family : {Family::v4, Family::v6}) {
    for (bool single : {false, true}) {
      auto elements = TRY(elements_of(socket, single ? rules::host_ip_ports(family) : rules::host_ports(family)));
      for (const auto& e : elements)
        if (auto port = from_element(e, family, single)) out.push_back({*port, e.comment});
    }
  }
  return out;
}

Result<> apply(const Plan& plan, Socket& socket) {
  TRY(check_free(plan, socket));
  auto fill = [&](nft::Transaction& t) {
    for (const auto& p : plan.ports) t.add_elements(p.set(), {to_element(p, plan.comment)}, true);
    for (const auto& ip : plan.hairpins) t.add_elements(rules::hairpins(ip.family()), {hairpin_element(ip)}, false);
  };
  auto done = rules::commit(socket, fill);
  // Another ADD was between the look and the commit: now its element can be seen.
  if (!done && done.error().is(EEXIST)) TRY(check_free(plan, socket));
  TRY(done);
  if (!plan.loopback_link.empty())
    TRY(sys::write_file("/proc/sys/net/ipv4/conf/" + plan.loopback_link + "/route_localnet", "1"));
  // Flows are only forgotten so that the next packet takes the new way; the ports are open either way.
  if (auto flushed = drop_stale_flows(plan.ports, socket); !flushed)
    log::warn("stale UDP flows may live on", {{"error", flushed.error().text()}});
  return {};
}

Result<> remove(Socket& socket, const std::vector<Held>& ports) {
  if (ports.empty()) return {};
  std::set<IpAddress> targets;
  for (const auto& h : ports) targets.insert(h.port.target);
  nft::Transaction t(rules::kTable);
  for (const auto& h : ports) t.delete_elements(h.port.set(), {to_element(h.port)});
  for (const auto& ip : targets) {
    auto key = hairpin_element(ip);
    if (TRY(nft::find_element(socket, rules::kTable, rules::hairpins(ip.family()), key)))
      t.delete_elements(rules::hairpins(ip.family()), {key});
  }
  auto done = t.commit(socket);
  if (!done && !done.error().is(ENOENT)) return done;  // another DEL of the same was faster
  std::vector<HostPort> gone;
  for (const auto& h : ports) gone.push_back(h.port);
  return drop_flows_to(gone, socket);
}

Result<> verify(const Plan& plan, Socket& socket) {
  for (const auto& p : plan.ports) {
    auto wanted = to_element(p, plan.comment);
    auto found = TRY(nft::find_element(socket, rules::kTable, p.set(), wanted));
    if (found && found->data == wanted.data && found->comment == wanted.comment) continue;
    return fail(Error::of(ErrorKind::failed_precondition, "check host port", p.str(),
                          found ? "the table has it for " + found->comment : "it is not in table podshim_cni"));
  }
  for (const auto& ip : plan.hairpins) {
    if (!TRY(nft::find_element(socket, rules::kTable, rules::hairpins(ip.family()), hairpin_element(ip))))
      return fail(Error::of(ErrorKind::failed_precondition, "check host port", ip.str(), "its hairpin entry is gone"));
  }
  return {};
}

}  // namespace podshim::cni::portmap
