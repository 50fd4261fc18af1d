// Netlink messages: Batch builds requests back to back, as one sendmsg(2) takes them; Message and Attributes read
// replies with every length checked, so that no reply can lead outside its buffer.
//
// A Batch keeps for each request what it does and on what, for the Error of a refusal. An attribute that does not fit
// its 16-bit length marks the Batch as too large; Socket refuses such a Batch with EMSGSIZE. Values; one thread.
// Layouts: netlink(7), include/uapi/linux/netlink.h.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace podshim::netlink {

using Bytes = std::span<const std::uint8_t>;

class Batch {
 public:
  struct Request {
    std::size_t offset;
    std::uint32_t seq = 0;  // set by Socket
    const char* op;
    std::string subject;
    std::string subject2;
  };

  template <typename Header>
  void begin(const char* op, std::string subject, std::string subject2, std::uint16_t type, std::uint16_t flags,
             const Header& header) {
    begin_raw(op, std::move(subject), std::move(subject2), type, flags,
              {reinterpret_cast<const std::uint8_t*>(&header), sizeof header});
  }

  void put(std::uint16_t type, Bytes payload);
  void put_u8(std::uint16_t type, std::uint8_t v) { put(type, {&v, 1}); }
  void put_u16(std::uint16_t type, std::uint16_t v) { put_value(type, v); }
  void put_u32(std::uint16_t type, std::uint32_t v) { put_value(type, v); }
  void put_be16(std::uint16_t type, std::uint16_t v);
  void put_be32(std::uint16_t type, std::uint32_t v);
  void put_be64(std::uint16_t type, std::uint64_t v);
  void put_string(std::uint16_t type, std::string_view v);  // with the closing NUL
  void put_flag(std::uint16_t type) { put(type, {}); }
  // A fixed structure inside a nest, without an attribute header (veth's peer carries an ifinfomsg).
  void put_raw(Bytes bytes);

  template <typename Fill>
  void nest(std::uint16_t type, Fill fill) {
    std::size_t at = open_nest(type);
    fill();
    close_nest(at);
  }

  std::vector<Request>& requests() { return requests_; }
  const std::vector<Request>& requests() const { return requests_; }
  bool empty() const { return requests_.empty(); }
  bool too_large() const { return too_large_; }
  nlmsghdr* header(const Request& r) { return reinterpret_cast<nlmsghdr*>(buffer_.data() + r.offset); }
  std::span<std::uint8_t> buffer() { return buffer_; }
  Bytes bytes() const { return buffer_; }

 private:
  template <typename T>
  void put_value(std::uint16_t type, T v) {
    put(type, {reinterpret_cast<const std::uint8_t*>(&v), sizeof v});
  }
  void begin_raw(const char* op, std::string subject, std::string subject2, std::uint16_t type, std::uint16_t flags,
                 Bytes header);
  std::size_t open_nest(std::uint16_t type);
  void close_nest(std::size_t at);
  void grow(Bytes bytes);

  std::vector<std::uint8_t> buffer_;
  std::vector<Request> requests_;
  bool too_large_ = false;
};

struct Attribute {
  std::uint16_t type = 0;  // without the nested and byte-order bits
  Bytes payload;
};

// The attributes in a stretch of bytes. A broken length ends the walk.
class Attributes {
 public:
  Attributes() = default;
  explicit Attributes(Bytes bytes) : bytes_(bytes) {}

  std::optional<Bytes> find(std::uint16_t type) const;
  bool has(std::uint16_t type) const { return find(type).has_value(); }
  std::optional<std::uint8_t> u8(std::uint16_t type) const { return value<std::uint8_t>(type); }
  std::optional<std::uint16_t> u16(std::uint16_t type) const { return value<std::uint16_t>(type); }
  std::optional<std::uint32_t> u32(std::uint16_t type) const { return value<std::uint32_t>(type); }
  std::optional<std::uint16_t> be16(std::uint16_t type) const;
  std::optional<std::uint32_t> be32(std::uint16_t type) const;
  std::string string(std::uint16_t type) const;  // up to the first NUL; "" when absent
  Attributes nested(std::uint16_t type) const { return Attributes(find(type).value_or(Bytes{})); }

  template <typename Each>
  void each(Each visit) const {
    Bytes rest = bytes_;
    while (auto attribute = next(rest)) visit(*attribute);
  }

 private:
  template <typename T>
  std::optional<T> value(std::uint16_t type) const {
    auto bytes = find(type);
    if (!bytes || bytes->size() < sizeof(T)) return std::nullopt;
    T v;
    std::memcpy(&v, bytes->data(), sizeof v);
    return v;
  }
  static std::optional<Attribute> next(Bytes& rest);
  Bytes bytes_;
};

struct Message {
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t seq = 0;
  std::uint32_t port = 0;  // of a notification: the socket whose request made the change
  Bytes payload;

  // The fixed header that this type of message begins with; nothing when the message is shorter.
  template <typename Header>
  std::optional<Header> header() const {
    if (payload.size() < sizeof(Header)) return std::nullopt;
    Header h;
    std::memcpy(&h, payload.data(), sizeof h);
    return h;
  }
  template <typename Header>
  Attributes attributes() const {
    constexpr std::size_t skip = NLMSG_ALIGN(sizeof(Header));
    return payload.size() > skip ? Attributes(payload.subspan(skip)) : Attributes();
  }
};

// Takes the next message off the front of `rest`; nothing at the end or when its length is broken.
std::optional<Message> next_message(Bytes& rest);

}  // namespace podshim::netlink
