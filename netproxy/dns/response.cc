#include "netproxy/dns/response.h"

#include <memory>

#include "netproxy/dns/ldns.h"

namespace podshim::netproxy::dns {
namespace {

std::uint8_t lower(std::uint8_t c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; }

// The question of a message of one; empty when it cannot be read.
Bytes question_of(Bytes message) {
  if (message.size() < kHeader || ldns_read_uint16(&message[4]) != 1) return {};
  Name name;
  std::size_t size = name.read(message.subspan(kHeader));
  if (size == 0 || message.size() < kHeader + size + 4) return {};
  return message.subspan(kHeader, size + 4);
}

struct Free {
  void operator()(ldns_pkt* p) const { ldns_pkt_free(p); }
  void operator()(ldns_buffer* b) const { ldns_buffer_free(b); }
};

// False: no room.
bool add(Reply& reply, Section section, const ldns_rr* rr, ldns_buffer* scratch) {
  ldns_buffer_clear(scratch);
  if (ldns_rr_rdata2buffer_wire(scratch, rr) != LDNS_STATUS_OK) return true;
  const auto* owner = ldns_rr_owner(rr);
  const auto* data = reinterpret_cast<const char*>(ldns_buffer_begin(scratch));
  return reply.raw(section, {reinterpret_cast<const char*>(ldns_rdf_data(owner)), ldns_rdf_size(owner)},
                   static_cast<std::uint16_t>(ldns_rr_get_type(rr)), static_cast<std::uint16_t>(ldns_rr_get_class(rr)),
                   ldns_rr_ttl(rr), {data, ldns_buffer_position(scratch)});
}

void add_all(Reply& reply, Section section, const ldns_rr_list* list, ldns_buffer* scratch) {
  for (std::size_t i = 0; i < ldns_rr_list_rr_count(list); i++)
    if (!add(reply, section, ldns_rr_list_rr(list, i), scratch)) return;
}

}  // namespace

bool answers_to(Bytes response, Bytes sent) {
  if (response.size() < kHeader || sent.size() < kHeader || !LDNS_QR_WIRE(response.data())) return false;
  if (LDNS_ID_WIRE(response.data()) != LDNS_ID_WIRE(sent.data())) return false;
  // One that understands nothing of EDNS may give the header back alone.
  if (response.size() == kHeader && code_of(response) == LDNS_RCODE_FORMERR) return true;
  auto got = question_of(response), want = question_of(sent);
  if (got.empty() || got.size() != want.size()) return false;
  for (std::size_t i = 0; i < got.size(); i++) {
    bool in_name = i + 4 < got.size();
    if (in_name ? lower(got[i]) != lower(want[i]) : got[i] != want[i]) return false;
  }
  return true;
}

std::uint8_t code_of(Bytes response) { return LDNS_RCODE_WIRE(response.data()); }

std::size_t relay(Bytes response, const Query& query, std::size_t limit, std::span<std::uint8_t> out) {
  if (response.size() <= std::min(limit, out.size())) {
    std::memcpy(out.data(), response.data(), response.size());
    ldns_write_uint16(out.data(), query.id);
    return response.size();
  }
  Reply reply(query, out, limit);
  reply.set_rcode(code_of(response));
  reply.set_truncated();
  return reply.finish();
}

std::size_t join(Bytes partial, std::uint16_t answers, Bytes response, const Query& query, std::size_t limit,
                 std::span<std::uint8_t> out) {
  Reply reply(query, out, limit);
  reply.resume(partial, answers);
  reply.set_authoritative();
  ldns_pkt* raw = nullptr;
  auto status = ldns_wire2pkt(&raw, response.data(), response.size());
  std::unique_ptr<ldns_pkt, Free> packet(status == LDNS_STATUS_OK ? raw : nullptr);
  std::unique_ptr<ldns_buffer, Free> scratch(ldns_buffer_new(kMaxTcp));
  if (!packet || !scratch) {
    reply.set_rcode(LDNS_RCODE_SERVFAIL);
    return reply.finish();
  }
  reply.set_rcode(code_of(response));
  if (ldns_pkt_tc(packet.get())) reply.set_truncated();
  add_all(reply, Section::answer, ldns_pkt_answer(packet.get()), scratch.get());
  // What makes an empty answer one to be kept: the other zone's SOA.
  add_all(reply, Section::authority, ldns_pkt_authority(packet.get()), scratch.get());
  return reply.finish();
}

std::size_t make_query(std::string_view name, std::uint16_t type, bool edns, bool checking_disabled,
                       std::span<std::uint8_t> out) {
  std::size_t size = 0;
  auto put16 = [&](std::uint16_t v) {
    ldns_write_uint16(&out[size], v);
    size += 2;
  };
  put16(0);  // the id is given with each try
  put16(static_cast<std::uint16_t>(LDNS_RD_MASK << 8 | (checking_disabled ? LDNS_CD_MASK : 0)));
  put16(1);
  put16(0);
  put16(0);
  put16(edns ? 1 : 0);
  std::memcpy(&out[size], name.data(), name.size());
  size += name.size();
  put16(type);
  put16(LDNS_RR_CLASS_IN);
  if (!edns) return size;
  out[size++] = 0;
  put16(LDNS_RR_TYPE_OPT);
  put16(kOurUdp);
  for (int i = 0; i < 3; i++) put16(0);  // code, version, flags, no data
  return size;
}

}  // namespace podshim::netproxy::dns
