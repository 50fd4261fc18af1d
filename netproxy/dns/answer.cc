#include "netproxy/dns/answer.h"

#include "netproxy/dns/ldns.h"
#include "netproxy/dns/lookup.h"

namespace podshim::netproxy::dns {
namespace {

constexpr int kMaxChain = 8;  // of ExternalName Services that name each other

bool is_meta_type(std::uint16_t type) {  // TKEY, TSIG, IXFR, AXFR, MAILB, MAILA: never a question to be passed on
  return type >= 249 && type <= 254;
}

Outcome finished(Reply& reply) { return {.next = Next::reply, .size = reply.finish()}; }

void negative(Reply& reply, const ZoneFacts& facts, std::uint32_t serial, Ref apex) {
  reply.soa(Section::authority, apex, facts.primary, facts.mailbox, serial, kTtl);
}

Outcome in_domain(Reply& reply, Lookup& lookup, const Query& q, const Zone& zone, const ZoneFacts& facts) {
  reply.set_authoritative();
  Name name = q.name;
  Ref owner = kQuestionName;
  for (int step = 0; step < kMaxChain; step++) {
    auto found = lookup.in_domain(name, owner);
    auto apex = static_cast<Ref>(owner + name.suffix_offset(facts.domain.labels()));
    if (found.what == Found::alias) {
      if (q.type == LDNS_RR_TYPE_CNAME || q.type == LDNS_RR_TYPE_ANY || reply.truncated()) return finished(reply);
      owner = found.target;
      name.read(reply.partial().subspan(owner));
      if (name.ends_with(facts.domain)) continue;
      if (!q.recursion_desired) return finished(reply);
      return {.next = Next::chase, .size = reply.size(), .target = owner, .answers = reply.answers()};
    }
    if (found.what == Found::no_name) reply.set_rcode(LDNS_RCODE_NXDOMAIN);
    if (found.what != Found::data) negative(reply, facts, zone.serial(), apex);
    return finished(reply);
  }
  reply.set_rcode(LDNS_RCODE_SERVFAIL);
  return finished(reply);
}

}  // namespace

Result<ZoneFacts> ZoneFacts::make(const std::string& domain, std::vector<IpAddress> servers, std::vector<Cidr> pods,
                                  const Cidr& services) {
  ZoneFacts out{.servers = std::move(servers), .pods = pods, .reverse = std::move(pods)};
  out.reverse.push_back(services);
  auto wire = wire_name(domain), primary = wire_name("ns.dns." + domain), mailbox = wire_name("hostmaster." + domain);
  if (!wire || !primary || !mailbox || wire->size() == 1)
    return fail(Error::invalid("cluster-domain", "\"" + domain + "\" is no DNS name, or too long a one"));
  out.domain.read({reinterpret_cast<const std::uint8_t*>(wire->data()), wire->size()});
  out.domain_wire = *std::move(wire);
  out.primary = *std::move(primary);
  out.mailbox = *std::move(mailbox);
  return out;
}

std::size_t answer_code(const Query& query, std::uint16_t rcode, std::span<std::uint8_t> out) {
  Reply reply(query, out, out.size());
  reply.set_rcode(rcode);
  return reply.finish();
}

Outcome answer(Bytes wire, bool tcp, const Zone& zone, const ZoneFacts& facts, std::uint32_t spin,
               std::span<std::uint8_t> out, Query& q) {
  auto parsed = parse_query(wire, q);
  if (parsed.verdict == Verdict::drop) return {};
  auto code = [&](std::uint16_t rcode) { return Outcome{.next = Next::reply, .size = answer_code(q, rcode, out)}; };
  if (parsed.verdict == Verdict::refuse) return code(parsed.rcode);
  if (q.klass != LDNS_RR_CLASS_IN || is_meta_type(q.type)) return code(LDNS_RCODE_REFUSED);

  Reply reply(q, out, reply_limit(q, tcp));
  Lookup lookup({.zone = zone, .facts = facts, .reply = reply, .type = q.type, .spin = spin});
  if (q.name.ends_with(facts.domain)) return in_domain(reply, lookup, q, zone, facts);
  if (auto found = lookup.reverse(q.name)) {
    reply.set_authoritative();
    if (found->what == Found::no_name) reply.set_rcode(LDNS_RCODE_NXDOMAIN);
    if (found->what != Found::data) negative(reply, facts, zone.serial(), found->target);
    return finished(reply);
  }
  if (!q.recursion_desired) return code(LDNS_RCODE_REFUSED);
  return {.next = Next::forward};
}

}  // namespace podshim::netproxy::dns
