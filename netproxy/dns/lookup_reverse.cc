// The names of addresses: 4.3.2.1.in-addr.arpa (RFC 1035 3.5), nibbles under ip6.arpa (RFC 3596 2.5).
#include <array>
#include <charconv>

#include "netproxy/dns/ldns.h"
#include "netproxy/dns/lookup.h"

namespace podshim::netproxy::dns {
namespace {

// The addresses whose names are at or below a reverse name.
struct ReverseName {
  Cidr range;
  std::size_t bits_per_label = 8;
  bool whole = true;  // every label says a part of the address
};

std::optional<int> octet(std::string_view label) {
  int value = 0;
  auto [end, ec] = std::from_chars(label.begin(), label.end(), value);
  bool plain = label == "0" || !label.starts_with('0');
  if (ec != std::errc{} || end != label.end() || value < 0 || value > 255 || !plain) return std::nullopt;
  return value;
}

std::optional<int> nibble(std::string_view label) {
  int value = 0;
  auto [end, ec] = std::from_chars(label.begin(), label.end(), value, 16);
  if (label.size() != 1 || ec != std::errc{} || end != label.end()) return std::nullopt;
  return value;
}

std::optional<ReverseName> parse(const Name& name) {
  std::size_t n = name.labels();
  if (n < 3 || name.label(n - 1) != "arpa") return std::nullopt;
  bool v4 = name.label(n - 2) == "in-addr";
  if (!v4 && name.label(n - 2) != "ip6") return std::nullopt;
  std::array<std::uint8_t, 16> bytes{};
  std::size_t taken = 0, most = v4 ? 4 : 32;
  for (; taken < most && taken < n - 2; taken++) {
    auto label = name.label(n - 3 - taken);
    auto part = v4 ? octet(label) : nibble(label);
    if (!part) break;
    if (v4) {
      bytes[taken] = static_cast<std::uint8_t>(*part);
    } else {
      bytes[taken / 2] |= static_cast<std::uint8_t>(taken % 2 == 0 ? *part << 4 : *part);
    }
  }
  std::size_t bits = v4 ? 8 : 4;
  auto address = IpAddress::from_bytes(v4 ? Family::v4 : Family::v6, std::span(bytes).first(v4 ? 4 : 16));
  return ReverseName{.range = {.address = address, .prefix = static_cast<int>(taken * bits)},
                     .bits_per_label = bits,
                     .whole = taken == n - 2};
}

}  // namespace

std::optional<Found> Lookup::reverse(const Name& name) {
  auto parsed = parse(name);
  if (!parsed) return std::nullopt;
  const auto& range = parsed->range;
  const Cidr* zone = nullptr;
  for (const auto& cidr : p_.facts.reverse)
    if (cidr.address.family() == range.address.family() && cidr.prefix <= range.prefix && cidr.contains(range.address))
      zone = &cidr;
  bool one = parsed->whole && range.prefix == range.address.bits();
  const auto* owners = one ? p_.zone.owners(range.address) : nullptr;
  bool asked = owners != nullptr && asks(LDNS_RR_TYPE_PTR) && pointers(*owners, kQuestionName);
  if (zone == nullptr) return asked ? std::optional(Found{.what = Found::data}) : std::nullopt;

  std::size_t apex_labels = static_cast<std::size_t>(zone->prefix) / parsed->bits_per_label + 2;
  Found out{.target = static_cast<Ref>(kQuestionName + name.suffix_offset(apex_labels))};
  bool at_apex = name.labels() == apex_labels;
  if (asked || (at_apex && apex(kQuestionName).what == Found::data)) {
    out.what = Found::data;
  } else if (parsed->whole && (!one || owners != nullptr)) {
    out.what = Found::no_data;
  }
  return out;
}

}  // namespace podshim::netproxy::dns
