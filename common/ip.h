// IpAddress and Cidr, IPv4 and IPv6 in one value. Bytes are in network order. Pure; any thread.
// An IPv4-mapped IPv6 text stays IPv6: nothing is folded.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/result.h"

namespace podshim {

enum class Family : std::uint8_t { v4, v6 };

class IpAddress {
 public:
  IpAddress() = default;  // 0.0.0.0
  static Result<IpAddress> parse(std::string_view text);
  static IpAddress v4(std::uint32_t host_order);
  static IpAddress from_bytes(Family family, std::span<const std::uint8_t> bytes);

  Family family() const { return family_; }
  bool is_v4() const { return family_ == Family::v4; }
  int bits() const { return is_v4() ? 32 : 128; }
  std::span<const std::uint8_t> bytes() const { return {bytes_.data(), is_v4() ? std::size_t{4} : std::size_t{16}}; }
  std::uint32_t v4_host_order() const;
  std::string str() const;
  bool is_loopback() const;
  bool is_unspecified() const;
  // The address `n` further on; wraps at the end of the family's space.
  IpAddress plus(std::uint64_t n) const;
  auto operator<=>(const IpAddress&) const = default;

 private:
  Family family_ = Family::v4;
  std::array<std::uint8_t, 16> bytes_{};
};

struct Cidr {
  IpAddress address;  // as written: 10.0.0.5/24 keeps the 5
  int prefix = 0;

  static Result<Cidr> parse(std::string_view text);
  IpAddress network() const;
  IpAddress last() const;
  bool contains(const IpAddress& ip) const;
  bool overlaps(const Cidr& other) const;
  std::string str() const { return address.str() + "/" + std::to_string(prefix); }
  auto operator<=>(const Cidr&) const = default;
};

}  // namespace podshim
