// Which address an attachment gets. Pure: State in, State changed; the store (store.h) keeps it.
//
// Order: never one of the last 1,024 freed addresses while another is free; those are then taken oldest first. Among
// the others the search goes on cyclically from the last one handed out. So an address whose former Pod may still be
// dying is the last choice, whatever the size of the range, and the state stays small: live leases and at most 1,024
// more. A failure changes nothing.
#pragma once

#include <string>
#include <vector>

#include "cni/ipam/range.h"
#include "cni/skel/request.h"

namespace podshim::cni::ipam {

inline constexpr std::size_t kRemembered = 1024;

struct Lease {
  Attachment owner;
  std::vector<IpAddress> addresses;
  bool operator==(const Lease&) const = default;
};

struct State {
  std::string boot_id;
  std::vector<Lease> leases;
  std::vector<IpAddress> freed;  // oldest first
  std::vector<IpAddress> last;   // last one handed out of each range set; unspecified = none
  bool lost = false;             // there may be living leases that are not among these
  bool operator==(const State&) const = default;
};

struct Assigned {
  Cidr address;
  IpAddress gateway;
  bool operator==(const Assigned&) const = default;
};

// One address from each set. `requested` ones are taken as they are and must all lie in some set. None is given while
// leases are lost: it could be a living one.
Result<std::vector<Assigned>> allocate(State& state, const std::string& network, const std::vector<RangeSet>& sets,
                                       const Attachment& owner, const std::vector<IpAddress>& requested);
// What it held; nothing when it held nothing.
std::vector<IpAddress> release(State& state, const Attachment& owner);
// Frees what is held by none of `valid`; gives what was freed. When each valid one holds a lease, nothing is lost any
// more.
std::vector<IpAddress> collect(State& state, const std::vector<Attachment>& valid);
// After a reboot no lease is alive: all go. Nothing when the boot is the same.
void renew(State& state, const std::string& boot_id);

const Lease* find(const State& state, const Attachment& owner);
std::uint64_t free_in(const State& state, const RangeSet& set);
Error lost_leases(const std::string& network);

}  // namespace podshim::cni::ipam
