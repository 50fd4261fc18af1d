#include "common/kube/quantity.h"

#include <charconv>

namespace podshim::kube {
namespace {

__extension__ using Wide = __int128;

constexpr Wide kNano = 1'000'000'000;
constexpr Wide kLimit = static_cast<Wide>(INT64_MAX) * kNano;

struct Suffix {
  std::string_view text;
  int base2 = 0;   // power of two
  int base10 = 0;  // power of ten
};

constexpr Suffix kSuffixes[] = {{"", 0, 0},    {"n", 0, -9},  {"u", 0, -6},  {"m", 0, -3}, {"k", 0, 3},   {"M", 0, 6},
                                {"G", 0, 9},   {"T", 0, 12},  {"P", 0, 15},  {"E", 0, 18}, {"Ki", 10, 0}, {"Mi", 20, 0},
                                {"Gi", 30, 0}, {"Ti", 40, 0}, {"Pi", 50, 0}, {"Ei", 60, 0}};

std::unexpected<Error> refuse(std::string_view text) {
  return fail(Error::invalid(
      "quantity",
      "\"" + std::string(text) + "\" is not a quantity: a number and one of n u m k M G T P E Ki Mi Gi Ti Pi Ei"));
}

// "e3", "E-2": a decimal exponent where a suffix may stand.
bool parse_exponent(std::string_view text, int* out) {
  if (text.size() < 2 || (text[0] != 'e' && text[0] != 'E')) return false;
  text.remove_prefix(text[1] == '+' ? 2 : 1);
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return ec == std::errc{} && end == text.data() + text.size() && *out >= -18 && *out <= 18;
}

// value * 2^base2 * 10^base10, rounded up, saturated.
Wide scale(Wide value, int base2, int base10, bool* inexact) {
  for (; base2 > 0 && value < kLimit; base2--) value *= 2;
  for (; base10 > 0 && value < kLimit; base10--) value *= 10;
  for (; base10 < 0; base10++) {
    *inexact = *inexact || value % 10 != 0;
    value /= 10;
  }
  if (*inexact) value += 1;
  return value > kLimit ? kLimit : value;
}

std::int64_t round_up(Wide nano, Wide unit) {
  Wide q = nano / unit;
  if (nano % unit > 0) q += 1;
  if (q > INT64_MAX) return INT64_MAX;
  return q < -static_cast<Wide>(INT64_MAX) ? -INT64_MAX : static_cast<std::int64_t>(q);
}

}  // namespace

Result<Quantity> Quantity::parse(std::string_view text) {
  std::string_view rest = text;
  bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  Wide digits = 0;
  int fraction = 0;
  bool any = false, point = false, inexact = false;
  for (; !rest.empty(); rest.remove_prefix(1)) {
    char c = rest.front();
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    any = true;
    if (digits > kLimit || fraction >= 18) {  // further digits only say whether the value is a little more
      if (!point) return refuse(text);
      inexact = inexact || c != '0';
      continue;
    }
    digits = digits * 10 + (c - '0');
    if (point) fraction++;
  }
  if (!any) return refuse(text);
  int base2 = 0, base10 = 0;
  if (!parse_exponent(rest, &base10)) {
    const Suffix* found = nullptr;
    for (const auto& s : kSuffixes)
      if (s.text == rest) found = &s;
    if (found == nullptr) return refuse(text);
    base2 = found->base2;
    base10 = found->base10;
  }
  Quantity out;
  out.nano_ = scale(digits, base2, base10 + 9 - fraction, &inexact);
  if (negative) out.nano_ = -out.nano_;
  return out;
}

Result<Quantity> Quantity::from(const json::Value& value) {
  if (value.is_string()) return parse(value.as_string());
  if (value.is_number()) return parse(json::dump(value));
  return fail(Error::invalid("quantity", std::string("is ") + value.type_name() + ", a quantity is expected"));
}

Quantity Quantity::of_whole(std::int64_t n) {
  Quantity out;
  out.nano_ = static_cast<Wide>(n) * kNano;
  return out;
}

std::int64_t Quantity::whole() const { return round_up(nano_, kNano); }
std::int64_t Quantity::milli() const { return round_up(nano_, kNano / 1000); }

}  // namespace podshim::kube
