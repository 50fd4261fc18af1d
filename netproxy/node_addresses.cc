#include "netproxy/node_addresses.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <memory>

namespace podshim::netproxy {

Result<std::vector<IpAddress>> node_addresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return fail(Error::sys("getifaddrs", "this node"));
  std::unique_ptr<ifaddrs, decltype([](ifaddrs* l) { ::freeifaddrs(l); })> owner(list);
  std::vector<IpAddress> out;
  for (auto* i = list; i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr == nullptr) continue;
    if (i->ifa_addr->sa_family == AF_INET) {
      const auto* a = reinterpret_cast<const sockaddr_in*>(i->ifa_addr);
      out.push_back(IpAddress::from_bytes(Family::v4, {reinterpret_cast<const std::uint8_t*>(&a->sin_addr), 4}));
    } else if (i->ifa_addr->sa_family == AF_INET6) {
      const auto* a = reinterpret_cast<const sockaddr_in6*>(i->ifa_addr);
      out.push_back(IpAddress::from_bytes(Family::v6, {reinterpret_cast<const std::uint8_t*>(&a->sin6_addr), 16}));
    }
  }
  return out;
}

}  // namespace podshim::netproxy
