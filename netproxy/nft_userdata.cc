#include "netproxy/nft_userdata.h"

#include <algorithm>
#include <cstring>

namespace podshim::netproxy {
namespace {

// libnftnl/udata.h: what a comment and the parts of a set's description are numbered.
constexpr std::uint8_t kComment = 0;
constexpr std::uint8_t kSetKeyByteorder = 0, kSetDataByteorder = 1, kSetKeyTypeof = 3, kSetDataTypeof = 4,
                       kSetDataInterval = 6, kSetComment = 7;
constexpr std::uint8_t kTypeofExpression = 0, kTypeofData = 1;
constexpr std::size_t kMaxComment = 127;

// nft's own numbers (its expression.h, proto.h, datatype.h), stable because nft reads them back from older tables.
constexpr std::uint32_t kByteorderHost = 1, kByteorderNetwork = 2, kByteorderNone = 0;
constexpr std::uint32_t kExprPayload = 7, kExprMeta = 9, kExprConcat = 13, kExprNumgen = 23;
constexpr std::uint32_t kProtoTh = 11, kProtoIp = 12, kProtoIp6 = 13;
constexpr std::uint32_t kThDport = 2, kIpDaddr = 12, kIp6Daddr = 9;
constexpr std::uint32_t kMetaL4proto = 16, kNumgenRandom = 1;
constexpr std::uint32_t kSlotModulus = 65535;  // printed as `numgen random mod 65535`; any modulus has the type

using Data = std::vector<std::uint8_t>;

void put(Data& out, std::uint8_t type, const Data& value) {
  out.push_back(type);
  out.push_back(static_cast<std::uint8_t>(value.size()));
  out.insert(out.end(), value.begin(), value.end());
}

void put(Data& out, std::uint8_t type, std::uint32_t value) {
  Data raw(sizeof value);
  std::memcpy(raw.data(), &value, sizeof value);
  put(out, type, raw);
}

// {expression, {0: a, 1: b, ...}}
Data expression(std::uint32_t kind, std::initializer_list<std::uint32_t> parameters) {
  Data inner, out;
  std::uint8_t i = 0;
  for (auto p : parameters) put(inner, i++, p);
  put(out, kTypeofExpression, kind);
  put(out, kTypeofData, inner);
  return out;
}

Data field_expression(Field field, Family f) {
  switch (field) {
    case Field::daddr:
      return f == Family::v4 ? expression(kExprPayload, {kProtoIp, kIpDaddr})
                             : expression(kExprPayload, {kProtoIp6, kIp6Daddr});
    case Field::l4proto:
      return expression(kExprMeta, {kMetaL4proto});
    case Field::dport:
      return expression(kExprPayload, {kProtoTh, kThDport});
    case Field::slot:
      return expression(kExprNumgen, {kNumgenRandom, kSlotModulus, 0});
    default:
      return {};
  }
}

Data concat(const std::vector<Field>& fields, Family f) {
  Data inner, out;
  std::uint8_t i = 0;
  for (auto field : fields) put(inner, i++, field_expression(field, f));
  put(out, kTypeofExpression, kExprConcat);
  put(out, kTypeofData, inner);
  return out;
}

std::uint32_t byteorder(const std::vector<Field>& fields) {
  if (fields.size() != 1) return kByteorderNone;
  return fields.front() == Field::klass ? kByteorderHost : kByteorderNetwork;
}

Data text(const std::string& s) {
  Data out(s.begin(), s.begin() + static_cast<std::ptrdiff_t>(std::min(s.size(), kMaxComment)));
  out.push_back(0);
  return out;
}

}  // namespace

std::vector<std::uint8_t> comment_userdata(const std::string& comment) {
  Data out;
  put(out, kComment, text(comment));
  return out;
}

std::vector<std::uint8_t> set_userdata(const SetDecl& s) {
  Data out;
  put(out, kSetKeyByteorder, byteorder(s.key));
  if (!s.data.empty()) put(out, kSetDataByteorder, byteorder(s.data));
  // A plain `type` cannot name the integer of a slot: such sets are told by expressions.
  if (std::ranges::find(s.key, Field::slot) != s.key.end()) {
    put(out, kSetKeyTypeof, concat(s.key, s.id.family));
    put(out, kSetDataTypeof, concat(s.data, s.id.family));
    put(out, kSetDataInterval, 0);
  }
  if (!s.comment.empty()) put(out, kSetComment, text(s.comment));
  return out;
}

}  // namespace podshim::netproxy
