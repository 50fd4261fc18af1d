#include "cni/ipam/range.h"

namespace podshim::cni::ipam {
namespace {

// The address before; only asked for addresses that are not the first of their family.
IpAddress before(const IpAddress& ip) {
  auto in = ip.bytes();
  std::vector<std::uint8_t> raw(in.begin(), in.end());
  for (std::size_t i = raw.size(); i-- > 0;)
    if (raw[i]-- != 0) break;
  return IpAddress::from_bytes(ip.family(), raw);
}

std::uint64_t distance(const IpAddress& from, const IpAddress& to) {
  auto a = from.bytes();
  auto b = to.bytes();
  unsigned __int128 low = 0;
  unsigned __int128 high = 0;
  for (std::size_t i = 0; i < a.size(); i++) {
    low = low << 8 | a[i];
    high = high << 8 | b[i];
  }
  unsigned __int128 d = high - low;
  return d > UINT64_MAX - 1 ? UINT64_MAX - 1 : static_cast<std::uint64_t>(d);
}

}  // namespace

std::uint64_t Range::capacity() const { return distance(start, end) + (contains(gateway) ? 0 : 1); }

std::string Range::str() const { return subnet.str() + " (" + start.str() + "-" + end.str() + ")"; }

std::string print(const RangeSet& set) {
  std::string out;
  for (const auto& r : set) out += (out.empty() ? "" : ", ") + r.str();
  return out;
}

bool overlap(const Range& a, const Range& b) {
  return a.contains(b.start) || a.contains(b.end) || b.contains(a.start) || b.contains(a.end);
}

Result<Range> make_range(const std::string& field, const Cidr& subnet, std::optional<IpAddress> start,
                         std::optional<IpAddress> end, std::optional<IpAddress> gateway) {
  auto bad = [&](const char* name, std::string why) {
    return fail(Error::invalid(field + "." + name, std::move(why)));
  };
  if (subnet.address != subnet.network()) return bad("subnet", subnet.str() + " has host bits set");
  if (subnet.address.bits() - subnet.prefix < 2) return bad("subnet", subnet.str() + " is too small to allocate from");
  Range out{
      .subnet = subnet, .start = subnet.network().plus(1), .end = subnet.last(), .gateway = subnet.network().plus(1)};
  if (subnet.address.is_v4()) out.end = before(out.end);  // the last one is the broadcast address
  struct Part {
    const char* name;
    const std::optional<IpAddress>& given;
    IpAddress* to;
  };
  for (const auto& part : {Part{"rangeStart", start, &out.start}, Part{"rangeEnd", end, &out.end},
                           Part{"gateway", gateway, &out.gateway}}) {
    if (!part.given) continue;
    if (!subnet.contains(*part.given)) return bad(part.name, part.given->str() + " is not in " + subnet.str());
    *part.to = *part.given;
  }
  if (out.end < out.start) return bad("rangeEnd", out.end.str() + " is before rangeStart " + out.start.str());
  return out;
}

}  // namespace podshim::cni::ipam
