#include "netproxy/dns/reply.h"

#include <algorithm>

#include "netproxy/dns/ldns.h"

namespace podshim::netproxy::dns {
namespace {

constexpr std::size_t kOptSize = 11;        // root, type, class, TTL, no data
constexpr std::size_t kFixed = 10;          // type, class, TTL and length of a record
constexpr std::uint16_t kPointer = 0xc000;  // RFC 1035 4.1.4

}  // namespace

std::size_t reply_limit(const Query& query, bool tcp, std::size_t ours) {
  if (tcp) return kMaxTcp;
  return std::clamp<std::size_t>(query.udp_size, kPlainUdp, std::max(ours, kPlainUdp));
}

Reply::Reply(const Query& query, std::span<std::uint8_t> out, std::size_t limit)
    : query_(query), out_(out), limit_(std::min(limit, out.size()) - (query.edns ? kOptSize : 0)) {
  size_ = kHeader;
  put({reinterpret_cast<const char*>(query.question.data()), query.question.size()});
}

void Reply::put16(std::uint16_t v) {
  ldns_write_uint16(&out_[size_], v);
  size_ += 2;
}

void Reply::put32(std::uint32_t v) {
  ldns_write_uint32(&out_[size_], v);
  size_ += 4;
}

void Reply::put(std::string_view bytes) {
  if (bytes.empty()) return;
  std::memcpy(&out_[size_], bytes.data(), bytes.size());
  size_ += bytes.size();
}

bool Reply::open(Section section, std::string_view owner, std::uint16_t type, std::uint16_t klass, std::uint32_t ttl,
                 std::size_t data_size) {
  if (size_ + owner.size() + kFixed + data_size > limit_) {
    truncated_ = truncated_ || section == Section::answer;
    return false;
  }
  put(owner);
  put16(type);
  put16(klass);
  put32(ttl);
  put16(static_cast<std::uint16_t>(data_size));
  counts_[static_cast<std::size_t>(section)]++;
  return true;
}

bool Reply::open(Section section, Ref owner, std::uint16_t type, std::uint32_t ttl, std::size_t data_size) {
  std::uint8_t pointer[2];
  ldns_write_uint16(pointer, static_cast<std::uint16_t>(kPointer | owner));
  return open(section, {reinterpret_cast<const char*>(pointer), sizeof pointer}, type, LDNS_RR_CLASS_IN, ttl,
              data_size);
}

bool Reply::address(Section section, Ref owner, const IpAddress& ip, std::uint32_t ttl) {
  auto bytes = ip.bytes();
  auto type = ip.is_v4() ? LDNS_RR_TYPE_A : LDNS_RR_TYPE_AAAA;
  if (!open(section, owner, type, ttl, bytes.size())) return false;
  put({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  return true;
}

bool Reply::text(Ref owner, std::string_view text, std::uint32_t ttl) {
  if (!open(Section::answer, owner, LDNS_RR_TYPE_TXT, ttl, text.size() + 1)) return false;
  put8(static_cast<std::uint8_t>(text.size()));
  put(text);
  return true;
}

bool Reply::name(Section section, Ref owner, std::uint16_t type, std::string_view target, std::uint32_t ttl,
                 Ref* where) {
  if (!open(section, owner, type, ttl, target.size())) return false;
  if (where != nullptr) *where = static_cast<Ref>(size_);
  put(target);
  return true;
}

bool Reply::service(Ref owner, std::uint16_t weight, std::uint16_t port, std::string_view target, std::uint32_t ttl,
                    Ref* where) {
  if (!open(Section::answer, owner, LDNS_RR_TYPE_SRV, ttl, 6 + target.size())) return false;
  put16(0);  // one priority for all
  put16(weight);
  put16(port);
  if (where != nullptr) *where = static_cast<Ref>(size_);
  put(target);
  return true;
}

bool Reply::soa(Section section, Ref owner, std::string_view primary, std::string_view mailbox, std::uint32_t serial,
                std::uint32_t ttl) {
  if (!open(section, owner, LDNS_RR_TYPE_SOA, ttl, primary.size() + mailbox.size() + 20)) return false;
  put(primary);
  put(mailbox);
  put32(serial);
  put32(7200);  // refresh, retry, expire: of secondaries, and there are none
  put32(1800);
  put32(86400);
  put32(ttl);  // how long a negative answer may be kept (RFC 2308)
  return true;
}

bool Reply::raw(Section section, std::string_view owner, std::uint16_t type, std::uint16_t klass, std::uint32_t ttl,
                std::string_view data) {
  if (!open(section, owner, type, klass, ttl, data.size())) return false;
  put(data);
  return true;
}

void Reply::resume(Bytes partial, std::uint16_t answers) {
  size_ = 0;
  put({reinterpret_cast<const char*>(partial.data()), partial.size()});
  counts_[0] = answers;
}

std::size_t Reply::finish() {
  if (query_.edns) {
    put8(0);
    put16(LDNS_RR_TYPE_OPT);
    put16(kOurUdp);
    put8(static_cast<std::uint8_t>(rcode_ >> 4));
    put8(0);  // version
    put16(query_.dnssec_ok ? 0x8000 : 0);
    put16(0);
    counts_[2]++;
  }
  std::size_t end = size_;
  size_ = 0;
  put16(query_.id);
  put8(static_cast<std::uint8_t>(LDNS_QR_MASK | query_.opcode << LDNS_OPCODE_SHIFT |
                                 (authoritative_ ? LDNS_AA_MASK : 0) | (truncated_ ? LDNS_TC_MASK : 0) |
                                 (query_.recursion_desired ? LDNS_RD_MASK : 0)));
  put8(static_cast<std::uint8_t>(LDNS_RA_MASK | (query_.checking_disabled ? LDNS_CD_MASK : 0) |
                                 (rcode_ & LDNS_RCODE_MASK)));
  put16(query_.question.empty() ? 0 : 1);
  for (auto count : counts_) put16(count);
  size_ = end;
  return end;
}

}  // namespace podshim::netproxy::dns
