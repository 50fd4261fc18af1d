#include "cni/ipam/allocator.h"

#include <algorithm>
#include <functional>
#include <unordered_map>

namespace podshim::cni::ipam {
namespace {

struct HashAddress {
  std::size_t operator()(const IpAddress& ip) const {
    auto b = ip.bytes();
    return std::hash<std::string_view>{}({reinterpret_cast<const char*>(b.data()), b.size()});
  }
};

enum class Use { held, freed };
using Uses = std::unordered_map<IpAddress, Use, HashAddress>;

Uses uses_of(const State& state) {
  Uses out;
  out.reserve(state.leases.size() * 2 + state.freed.size());
  for (const auto& ip : state.freed) out[ip] = Use::freed;
  for (const auto& lease : state.leases)
    for (const auto& ip : lease.addresses) out[ip] = Use::held;
  return out;
}

const Range* range_of(const RangeSet& set, const IpAddress& ip) {
  for (const auto& r : set)
    if (r.contains(ip)) return &r;
  return nullptr;
}

void remember(State& state, const std::vector<IpAddress>& addresses) {
  state.freed.insert(state.freed.end(), addresses.begin(), addresses.end());
  if (state.freed.size() > kRemembered)
    state.freed.erase(state.freed.begin(), state.freed.end() - static_cast<std::ptrdiff_t>(kRemembered));
}

// The first address from `from` on, cyclically over the ranges, that is neither held nor freed of late.
std::optional<IpAddress> next_unused(const Uses& uses, const RangeSet& set, const IpAddress& last) {
  std::size_t at = 0;
  IpAddress ip = set.front().start;
  if (const auto* range = range_of(set, last)) {
    at = static_cast<std::size_t>(range - set.data());
    ip = last == range->end ? range->start : last.plus(1);
    if (last == range->end) at = (at + 1) % set.size(), ip = set[at].start;
  }
  // Every address in `uses` and each gateway may be met once; after that the next one is free or the circle is closed.
  std::size_t tries = uses.size() + set.size() + 1;
  std::uint64_t all = 0;
  for (const auto& r : set) all += std::min(r.capacity(), UINT64_MAX / 2 / set.size()) + 1;
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(tries, all); i++) {
    if (ip != set[at].gateway && !uses.contains(ip)) return ip;
    if (ip == set[at].end) {
      at = (at + 1) % set.size();
      ip = set[at].start;
    } else {
      ip = ip.plus(1);
    }
  }
  return std::nullopt;
}

std::optional<IpAddress> longest_freed(const State& state, const Uses& uses, const RangeSet& set) {
  for (const auto& ip : state.freed) {
    const auto* range = range_of(set, ip);
    if (range != nullptr && ip != range->gateway && uses.at(ip) == Use::freed) return ip;
  }
  return std::nullopt;
}

Error exhausted(const std::string& network, const RangeSet& set) {
  std::uint64_t all = 0;
  for (const auto& r : set) all += r.capacity();
  return Error::of(ErrorKind::resource_exhausted, "no free IP", "network " + network,
                   "all " + std::to_string(all) + " addresses of " + print(set) + " are in use");
}

Error taken(const State& state, const std::string& network, const IpAddress& ip) {
  std::string holder = "?";
  for (const auto& lease : state.leases)
    if (std::find(lease.addresses.begin(), lease.addresses.end(), ip) != lease.addresses.end())
      holder = lease.owner.str();
  return Error::of(ErrorKind::already_exists, "IP in use", ip.str(), "held by " + holder + " in network " + network);
}

Result<IpAddress> choose(const State& state, const Uses& uses, const std::string& network, const RangeSet& set,
                         std::size_t index, std::vector<IpAddress>& requested) {
  for (auto it = requested.begin(); it != requested.end(); ++it) {
    const auto* range = range_of(set, *it);
    if (range == nullptr) continue;
    IpAddress ip = *it;
    if (ip == range->gateway)
      return fail(Error::invalid("ips", ip.str() + " is the gateway of " + range->subnet.str()));
    if (auto use = uses.find(ip); use != uses.end() && use->second == Use::held) return fail(taken(state, network, ip));
    requested.erase(it);
    return ip;
  }
  auto last = index < state.last.size() ? state.last[index] : IpAddress();
  if (auto ip = next_unused(uses, set, last)) return *ip;
  if (auto ip = longest_freed(state, uses, set)) return *ip;
  return fail(exhausted(network, set));
}

}  // namespace

Error lost_leases(const std::string& network) {
  return Error::of(ErrorKind::internal, "hand out IP", "network " + network,
                   "leases of this boot were lost, and an address could be one that a living Pod has; a GC whose "
                   "valid attachments all hold one or a reboot ends this, and so does removing the network's directory "
                   "once none lives");
}

Result<std::vector<Assigned>> allocate(State& state, const std::string& network, const std::vector<RangeSet>& sets,
                                       const Attachment& owner, const std::vector<IpAddress>& requested) {
  if (state.lost) return fail(lost_leases(network));
  if (const auto* lease = find(state, owner)) {
    return fail(
        Error::of(ErrorKind::already_exists, "attachment has an IP already", owner.str(),
                  lease->addresses.front().str() + " in network " + network + "; DEL comes before a second ADD"));
  }
  auto uses = uses_of(state);
  auto open = requested;
  std::vector<Assigned> out;
  Lease lease{.owner = owner};
  for (const auto& set : sets) {
    auto ip = TRY(choose(state, uses, network, set, out.size(), open));
    const auto* range = range_of(set, ip);
    out.push_back({.address = {.address = ip, .prefix = range->subnet.prefix}, .gateway = range->gateway});
    lease.addresses.push_back(ip);
    uses[ip] = Use::held;
  }
  if (!open.empty()) return fail(Error::invalid("ips", open.front().str() + " is in no range of network " + network));
  state.last.resize(std::max(state.last.size(), sets.size()));
  for (std::size_t i = 0; i < out.size(); i++) state.last[i] = out[i].address.address;
  for (const auto& ip : lease.addresses) std::erase(state.freed, ip);
  state.leases.push_back(std::move(lease));
  return out;
}

std::vector<IpAddress> release(State& state, const Attachment& owner) {
  auto it = std::find_if(state.leases.begin(), state.leases.end(), [&](const Lease& l) { return l.owner == owner; });
  if (it == state.leases.end()) return {};
  auto out = std::move(it->addresses);
  state.leases.erase(it);
  remember(state, out);
  return out;
}

std::vector<IpAddress> collect(State& state, const std::vector<Attachment>& valid) {
  std::vector<Attachment> sorted = valid;
  std::sort(sorted.begin(), sorted.end());
  std::vector<IpAddress> out;
  std::erase_if(state.leases, [&](const Lease& l) {
    if (std::binary_search(sorted.begin(), sorted.end(), l.owner)) return false;
    out.insert(out.end(), l.addresses.begin(), l.addresses.end());
    return true;
  });
  remember(state, out);
  // Nobody lives of whom we know nothing.
  if (std::ranges::all_of(valid, [&](const Attachment& owner) { return find(state, owner) != nullptr; }))
    state.lost = false;
  return out;
}

void renew(State& state, const std::string& boot_id) {
  if (state.boot_id == boot_id) return;
  collect(state, {});
  state.boot_id = boot_id;
}

const Lease* find(const State& state, const Attachment& owner) {
  for (const auto& lease : state.leases)
    if (lease.owner == owner) return &lease;
  return nullptr;
}

std::uint64_t free_in(const State& state, const RangeSet& set) {
  std::uint64_t all = 0;
  std::uint64_t held = 0;
  for (const auto& r : set) all += std::min(r.capacity(), UINT64_MAX / set.size());
  for (const auto& lease : state.leases)
    for (const auto& ip : lease.addresses) held += range_of(set, ip) != nullptr ? 1 : 0;
  return held < all ? all - held : 0;
}

}  // namespace podshim::cni::ipam
