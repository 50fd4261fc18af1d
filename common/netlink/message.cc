#include "common/netlink/message.h"

#include <endian.h>

namespace podshim::netlink {
namespace {

constexpr std::size_t align(std::size_t n) { return (n + 3) & ~std::size_t{3}; }

template <typename T>
Bytes bytes_of(const T& v) {
  return {reinterpret_cast<const std::uint8_t*>(&v), sizeof v};
}

}  // namespace

void Batch::grow(Bytes bytes) {
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  buffer_.resize(align(buffer_.size()));
  if (!requests_.empty())
    header(requests_.back())->nlmsg_len = static_cast<std::uint32_t>(buffer_.size() - requests_.back().offset);
}

void Batch::begin_raw(const char* op, std::string subject, std::string subject2, std::uint16_t type,
                      std::uint16_t flags, Bytes fixed) {
  requests_.push_back(
      {.offset = buffer_.size(), .op = op, .subject = std::move(subject), .subject2 = std::move(subject2)});
  nlmsghdr h{};
  h.nlmsg_type = type;
  h.nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
  buffer_.insert(buffer_.end(), bytes_of(h).begin(), bytes_of(h).end());
  grow(fixed);
}

void Batch::put(std::uint16_t type, Bytes payload) {
  if (payload.size() + NLA_HDRLEN > UINT16_MAX) {
    too_large_ = true;
    return;
  }
  nlattr a{.nla_len = static_cast<std::uint16_t>(NLA_HDRLEN + payload.size()), .nla_type = type};
  buffer_.insert(buffer_.end(), bytes_of(a).begin(), bytes_of(a).end());
  grow(payload);
}

void Batch::put_be16(std::uint16_t type, std::uint16_t v) { put_value(type, htobe16(v)); }
void Batch::put_be32(std::uint16_t type, std::uint32_t v) { put_value(type, htobe32(v)); }
void Batch::put_be64(std::uint16_t type, std::uint64_t v) { put_value(type, htobe64(v)); }

void Batch::put_string(std::uint16_t type, std::string_view v) {
  std::string text(v);
  put(type, {reinterpret_cast<const std::uint8_t*>(text.c_str()), text.size() + 1});
}

void Batch::put_raw(Bytes bytes) { grow(bytes); }

std::size_t Batch::open_nest(std::uint16_t type) {
  std::size_t at = buffer_.size();
  put(static_cast<std::uint16_t>(type | NLA_F_NESTED), {});
  return at;
}

void Batch::close_nest(std::size_t at) {
  std::size_t length = buffer_.size() - at;
  if (length > UINT16_MAX) {
    too_large_ = true;
    return;
  }
  reinterpret_cast<nlattr*>(buffer_.data() + at)->nla_len = static_cast<std::uint16_t>(length);
}

std::optional<Attribute> Attributes::next(Bytes& rest) {
  nlattr a;
  if (rest.size() < sizeof a) return std::nullopt;
  std::memcpy(&a, rest.data(), sizeof a);
  if (a.nla_len < sizeof a || a.nla_len > rest.size()) return std::nullopt;
  Attribute out{.type = static_cast<std::uint16_t>(a.nla_type & NLA_TYPE_MASK),
                .payload = rest.subspan(sizeof a, a.nla_len - sizeof a)};
  rest = rest.subspan(std::min(align(a.nla_len), rest.size()));
  return out;
}

std::optional<Bytes> Attributes::find(std::uint16_t type) const {
  Bytes rest = bytes_;
  while (auto attribute = next(rest))
    if (attribute->type == type) return attribute->payload;
  return std::nullopt;
}

std::optional<std::uint16_t> Attributes::be16(std::uint16_t type) const {
  auto v = u16(type);
  if (!v) return std::nullopt;
  return be16toh(*v);
}

std::optional<std::uint32_t> Attributes::be32(std::uint16_t type) const {
  auto v = u32(type);
  if (!v) return std::nullopt;
  return be32toh(*v);
}

std::string Attributes::string(std::uint16_t type) const {
  auto bytes = find(type);
  if (!bytes) return {};
  std::string_view text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  return std::string(text.substr(0, text.find('\0')));
}

std::optional<Message> next_message(Bytes& rest) {
  nlmsghdr h;
  if (rest.size() < sizeof h) return std::nullopt;
  std::memcpy(&h, rest.data(), sizeof h);
  if (h.nlmsg_len < sizeof h || h.nlmsg_len > rest.size()) return std::nullopt;
  Message out{.type = h.nlmsg_type,
              .flags = h.nlmsg_flags,
              .seq = h.nlmsg_seq,
              .port = h.nlmsg_pid,
              .payload = rest.subspan(sizeof h, h.nlmsg_len - sizeof h)};
  rest = rest.subspan(std::min(align(h.nlmsg_len), rest.size()));
  return out;
}

}  // namespace podshim::netlink
