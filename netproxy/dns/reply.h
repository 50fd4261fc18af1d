// reply: writes one answer into a buffer of the caller's. What does not fit within the limit is left out as a whole
// record: in the answer section that sets TC, and the client asks again over TCP; what did fit stays, for resolvers
// that know no TCP. Records of other sections are extras. No allocation. Pure; any thread.
//
// An owner name is a Ref: the place of a name in the message that is already there, which the record points to
// (RFC 1035 4.1.4). The question's name is at kQuestionName, its parents behind it.
#pragma once

#include <cstring>
#include <string_view>

#include "common/ip.h"
#include "netproxy/dns/query.h"

namespace podshim::netproxy::dns {

using Ref = std::uint16_t;
inline constexpr Ref kQuestionName = kHeader;

enum class Section : std::uint8_t { answer, authority, additional };

class Reply {
 public:
  // `limit`: what the client takes; at most out.size(). The question is repeated when it could be read.
  Reply(const Query& query, std::span<std::uint8_t> out, std::size_t limit);

  void set_rcode(std::uint16_t rcode) { rcode_ = rcode; }
  void set_authoritative() { authoritative_ = true; }
  void set_truncated() { truncated_ = true; }

  // False: no room; nothing was written.
  bool address(Section section, Ref owner, const IpAddress& ip, std::uint32_t ttl);
  bool text(Ref owner, std::string_view text, std::uint32_t ttl);
  // A record of one name (CNAME, PTR, NS), in wire format. `where` gets the place of the name.
  bool name(Section section, Ref owner, std::uint16_t type, std::string_view target, std::uint32_t ttl,
            Ref* where = nullptr);
  bool service(Ref owner, std::uint16_t weight, std::uint16_t port, std::string_view target, std::uint32_t ttl,
               Ref* where = nullptr);
  // `primary` and `mailbox` in wire format.
  bool soa(Section section, Ref owner, std::string_view primary, std::string_view mailbox, std::uint32_t serial,
           std::uint32_t ttl);
  // A record whose data is given whole, its names uncompressed; `owner` in wire format.
  bool raw(Section section, std::string_view owner, std::uint16_t type, std::uint16_t klass, std::uint32_t ttl,
           std::string_view data);

  // Where the next record begins: beyond 16 kB nothing can be pointed to.
  std::size_t size() const { return size_; }
  bool truncated() const { return truncated_; }
  // Writes header and OPT record; the size of the whole.
  std::size_t finish();
  // The message so far, to be gone on with by resume().
  Bytes partial() const { return out_.first(size_); }
  // Takes over the records of a partial() of the same query.
  void resume(Bytes partial, std::uint16_t answers);
  std::uint16_t answers() const { return counts_[0]; }

 private:
  bool open(Section section, std::string_view owner, std::uint16_t type, std::uint16_t klass, std::uint32_t ttl,
            std::size_t data_size);
  bool open(Section section, Ref owner, std::uint16_t type, std::uint32_t ttl, std::size_t data_size);
  void put8(std::uint8_t v) { out_[size_++] = v; }
  void put16(std::uint16_t v);
  void put32(std::uint32_t v);
  void put(std::string_view bytes);

  const Query& query_;
  std::span<std::uint8_t> out_;
  std::size_t limit_;  // without the OPT record
  std::size_t size_ = 0;
  std::uint16_t counts_[3] = {};
  std::uint16_t rcode_ = 0;
  bool authoritative_ = false, truncated_ = false;
};

// What a client takes in one message.
std::size_t reply_limit(const Query& query, bool tcp, std::size_t ours = kOurUdp);

}  // namespace podshim::netproxy::dns
