#include "netproxy/dns/address.h"

#include <algorithm>

#include "common/log.h"
#include "common/netlink/address.h"
#include "common/netlink/link.h"

namespace podshim::netproxy::dns {
namespace {

constexpr std::uint8_t kOurs = 'n';  // IFA_PROTO: 1-3 are the kernel's, the rest is free (if_addr.h)
constexpr const char* kLink = "lo";

Cidr host(const IpAddress& ip) { return {.address = ip, .prefix = ip.bits()}; }

Result<> remove_address(netlink::Socket& socket, int link, const Cidr& cidr) {
  netlink::Batch b;
  netlink::delete_address(b, link, cidr, kLink);
  auto done = socket.execute(b);
  if (!done && (done.error().is(EADDRNOTAVAIL) || done.error().is(ENODEV))) return {};
  return done;
}

}  // namespace

Result<NodeAddress> NodeAddress::claim(const std::vector<IpAddress>& addresses) {
  auto socket = TRY(netlink::Socket::open(netlink::Protocol::route));
  auto link = TRY(netlink::get_link(socket, kLink));
  NodeAddress out(std::move(socket), link.index);
  if (!link.up) log::warn("the loopback link is down: nobody can ask there", {{"link", kLink}});
  for (const auto& address : addresses) TRY(out.take(address));
  return out;
}

Result<> NodeAddress::take(const IpAddress& address) {
  netlink::Batch b;
  netlink::add_address(b, link_, host(address), kLink, kOurs);
  auto done = socket_.execute(b);
  if (done) {
    ours_.push_back(host(address));
    return {};
  }
  if (!done.error().is(EEXIST)) return done;
  log::info("address was there already", {{"address", address.str()}, {"link", kLink}});
  return {};
}

Result<> NodeAddress::leave() {
  for (const auto& there : TRY(netlink::list_addresses(socket_, link_)))
    if (there.protocol == kOurs) std::erase(ours_, there.cidr);
  return {};
}

Result<> NodeAddress::remove() {
  Result<> out;
  for (const auto& cidr : ours_)
    if (auto done = remove_address(socket_, link_, cidr); !done && out) out = std::move(done);
  if (out) ours_.clear();
  return out;
}

NodeAddress::~NodeAddress() {
  if (auto done = remove(); !done) log::error("address not taken away", {{"error", done.error().text()}});
}

Result<> remove_left_addresses() {
  auto socket = TRY(netlink::Socket::open(netlink::Protocol::route));
  auto link = TRY(netlink::get_link(socket, kLink));
  for (const auto& there : TRY(netlink::list_addresses(socket, link.index)))
    if (there.protocol == kOurs) TRY(remove_address(socket, link.index, there.cidr));
  return {};
}

}  // namespace podshim::netproxy::dns
