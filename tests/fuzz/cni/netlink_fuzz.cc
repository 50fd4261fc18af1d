// Replies of the kernel, as bytes: every parser of common/netlink.
#include <cstdint>

#include "common/netlink/address.h"
#include "common/netlink/conntrack.h"
#include "common/netlink/link.h"
#include "common/netlink/nft.h"
#include "common/netlink/route.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace podshim;
  netlink::Bytes rest(data, size);
  while (auto m = netlink::next_message(rest)) {
    netlink::parse_link(*m);
    netlink::parse_address(*m);
    netlink::parse_route(*m);
    netlink::parse_flow(*m);
    nft::parse_elements(*m);
  }
  return 0;
}
