#include "netproxy/dns/query.h"

#include <cstring>

#include "netproxy/dns/ldns.h"

namespace podshim::netproxy::dns {
namespace {

char lower(std::uint8_t c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c); }

constexpr std::uint16_t kDnssecOk = 0x8000;  // RFC 3225, in the OPT record's TTL
constexpr int kBadVersion = 16;              // RFC 6891 6.1.3
constexpr std::size_t kPointer = 0xc0,
                      kFixed = 10;  // RFC 1035 4.1.4; what stands between a record's owner and its data
constexpr int kMaxHops = 8;
constexpr std::uint16_t kQuestions = 4, kAnswers = 6, kAuthorities = 8, kAdditionals = 10;  // header offsets

Parsed refuse(int rcode) { return {.verdict = Verdict::refuse, .rcode = static_cast<std::uint16_t>(rcode)}; }

// The end of a record's owner, 0 when it is none. Each pointer leads before the piece it stands in, and there are few:
// a loop of them would cost 65,535 steps in ldns, which is therefore not asked.
std::size_t skip_owner(Bytes wire, std::size_t at) {
  std::size_t end = 0, piece = at;
  for (int hops = 0; at < wire.size();) {
    std::size_t length = wire[at];
    if (length >= kPointer) {
      if (at + 2 > wire.size() || ++hops > kMaxHops) return 0;
      if (end == 0) end = at + 2;
      at = ldns_read_uint16(&wire[at]) & 0x3fff;
      if (at < kHeader || at >= piece) return 0;
      piece = at;
      continue;
    }
    if (length > LDNS_MAX_LABELLEN) return 0;
    at += 1 + length;
    if (length == 0) return end == 0 ? at : end;
  }
  return 0;
}

// The records behind the question; of them only OPT (RFC 6891) says something to us.
Parsed read_records(Bytes wire, std::size_t at, Query& out) {
  std::size_t count = std::size_t{0} + ldns_read_uint16(&wire[kAnswers]) + ldns_read_uint16(&wire[kAuthorities]) +
                      ldns_read_uint16(&wire[kAdditionals]);
  std::uint8_t version = 0;
  for (; count > 0; count--) {
    std::size_t fixed = skip_owner(wire, at);  // type, class, TTL, length of the data
    if (fixed == 0 || fixed + kFixed > wire.size()) return refuse(LDNS_RCODE_FORMERR);
    bool is_opt = ldns_read_uint16(&wire[fixed]) == LDNS_RR_TYPE_OPT;
    bool at_root = fixed == at + 1;
    std::uint16_t size = ldns_read_uint16(&wire[fixed + 2]);
    std::uint32_t ttl = ldns_read_uint32(&wire[fixed + 4]);
    at = fixed + kFixed + ldns_read_uint16(&wire[fixed + 8]);
    if (at > wire.size()) return refuse(LDNS_RCODE_FORMERR);
    if (!is_opt) continue;
    if (!at_root || out.edns) return refuse(LDNS_RCODE_FORMERR);
    out.edns = true;
    out.udp_size = std::max<std::uint16_t>(size, kPlainUdp);
    out.dnssec_ok = (ttl & kDnssecOk) != 0;
    version = static_cast<std::uint8_t>(ttl >> 16);
  }
  if (version != 0) return refuse(kBadVersion);
  return {.verdict = Verdict::take};
}

}  // namespace

std::size_t Name::read(Bytes wire) {
  count_ = size_ = 0;
  for (std::size_t at = 0; at < wire.size();) {
    std::size_t length = wire[at];
    // A pointer has nothing to point at in a question, and the label types between are of no standard in use.
    if (length > LDNS_MAX_LABELLEN || at + 1 + length > wire.size() || size_ + 1 + length > kMaxName) return 0;
    if (length != 0) offsets_[count_++] = static_cast<std::uint8_t>(size_);
    wire_[size_++] = static_cast<char>(length);
    for (std::size_t i = 1; i <= length; i++) wire_[size_++] = lower(wire[at + i]);
    at += 1 + length;
    if (length == 0) return at;
  }
  return 0;
}

bool Name::ends_with(const Name& suffix) const {
  return count_ >= suffix.count_ && wire().substr(suffix_offset(suffix.count_)) == suffix.wire();
}

Parsed parse_query(Bytes wire, Query& out) {
  out = Query();
  if (wire.size() < kHeader || LDNS_QR_WIRE(wire.data())) return {};
  out.id = LDNS_ID_WIRE(wire.data());
  out.opcode = LDNS_OPCODE_WIRE(wire.data());
  out.recursion_desired = LDNS_RD_WIRE(wire.data()) != 0;
  out.checking_disabled = LDNS_CD_WIRE(wire.data()) != 0;
  if (out.opcode != LDNS_PACKET_QUERY) return refuse(LDNS_RCODE_NOTIMPL);
  if (ldns_read_uint16(&wire[kQuestions]) != 1 || wire.size() > kMaxQuery) return refuse(LDNS_RCODE_FORMERR);
  std::size_t name = out.name.read(wire.subspan(kHeader));
  if (name == 0 || wire.size() < kHeader + name + 4) return refuse(LDNS_RCODE_FORMERR);
  out.question = wire.subspan(kHeader, name + 4);
  out.type = ldns_read_uint16(&out.question[name]);
  out.klass = ldns_read_uint16(&out.question[name + 2]);
  return read_records(wire, kHeader + name + 4, out);
}

}  // namespace podshim::netproxy::dns
