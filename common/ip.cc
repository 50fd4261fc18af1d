#include "common/ip.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace podshim {

Result<IpAddress> IpAddress::parse(std::string_view text) {
  IpAddress out;
  std::string z(text);
  if (inet_pton(AF_INET, z.c_str(), out.bytes_.data()) == 1) return out;
  if (inet_pton(AF_INET6, z.c_str(), out.bytes_.data()) == 1) {
    out.family_ = Family::v6;
    return out;
  }
  return fail(Error::invalid("address", "\"" + z + "\" is not an IP address"));
}

IpAddress IpAddress::v4(std::uint32_t host_order) {
  IpAddress out;
  for (int i = 0; i < 4; i++) out.bytes_[i] = static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
  return out;
}

IpAddress IpAddress::from_bytes(Family family, std::span<const std::uint8_t> bytes) {
  IpAddress out;
  out.family_ = family;
  std::copy_n(bytes.begin(), std::min(bytes.size(), out.bytes().size()), out.bytes_.begin());
  return out;
}

std::uint32_t IpAddress::v4_host_order() const {
  return static_cast<std::uint32_t>(bytes_[0]) << 24 | static_cast<std::uint32_t>(bytes_[1]) << 16 |
         static_cast<std::uint32_t>(bytes_[2]) << 8 | bytes_[3];
}

std::string IpAddress::str() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), text, sizeof text);
  return text;
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes_[0] == 127;
  return std::all_of(bytes_.begin(), bytes_.begin() + 15, [](auto b) { return b == 0; }) && bytes_[15] == 1;
}

bool IpAddress::is_unspecified() const {
  auto b = bytes();
  return std::all_of(b.begin(), b.end(), [](auto x) { return x == 0; });
}

IpAddress IpAddress::plus(std::uint64_t n) const {
  IpAddress out = *this;
  for (int i = static_cast<int>(bytes().size()) - 1; i >= 0 && n != 0; i--) {
    n += out.bytes_[i];
    out.bytes_[i] = static_cast<std::uint8_t>(n);
    n >>= 8;
  }
  return out;
}

Result<Cidr> Cidr::parse(std::string_view text) {
  auto bad = [&](const char* why) { return fail(Error::invalid("cidr", "\"" + std::string(text) + "\" " + why)); };
  auto slash = text.find('/');
  if (slash == std::string_view::npos) return bad("has no /prefix");
  auto ip = IpAddress::parse(text.substr(0, slash));
  if (!ip) return bad("is not an address/prefix");
  Cidr out{.address = *ip};
  auto digits = text.substr(slash + 1);
  auto [end, ec] = std::from_chars(digits.begin(), digits.end(), out.prefix);
  if (ec != std::errc{} || end != digits.end() || out.prefix < 0 || out.prefix > ip->bits())
    return bad("has a bad prefix length");
  return out;
}

namespace {
IpAddress masked(const IpAddress& ip, int prefix, std::uint8_t fill) {
  std::array<std::uint8_t, 16> raw{};
  auto in = ip.bytes();
  for (std::size_t i = 0; i < in.size(); i++) {
    int keep = std::clamp(prefix - static_cast<int>(i) * 8, 0, 8);
    auto mask = static_cast<std::uint8_t>(0xff << (8 - keep));
    raw[i] = static_cast<std::uint8_t>((in[i] & mask) | (fill & ~mask));
  }
  return IpAddress::from_bytes(ip.family(), {raw.data(), in.size()});
}
}  // namespace

IpAddress Cidr::network() const { return masked(address, prefix, 0); }
IpAddress Cidr::last() const { return masked(address, prefix, 0xff); }

bool Cidr::contains(const IpAddress& ip) const {
  return ip.family() == address.family() && masked(ip, prefix, 0) == network();
}

bool Cidr::overlaps(const Cidr& other) const { return contains(other.network()) || other.contains(network()); }

}  // namespace podshim
