// Any bytes as an upstream's response: what the client gets of it fits, is under its id, and ldns can read it when it
// was put together anew.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "netproxy/dns/ldns.h"
#include "netproxy/dns/records.h"
#include "netproxy/dns/response.h"

using namespace podshim::netproxy::dns;

namespace {
void check(bool ok) {
  if (!ok) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string name = *wire_name("e.n.svc.c.l"), target = *wire_name("x.y");
  std::vector<std::uint8_t> asked(kMaxQuery), sent(kMaxQuery);
  asked.resize(make_query(name, LDNS_RR_TYPE_A, size % 2 == 0, false, asked));
  sent.resize(make_query(target, LDNS_RR_TYPE_A, true, false, sent));
  Query query;
  check(parse_query(asked, query).verdict == Verdict::take);
  Bytes response(data, size);
  answers_to(response, sent);
  if (size < kHeader) return 0;  // answers_to() said no

  std::vector<std::uint8_t> out(kMaxTcp);
  for (std::size_t limit : {kPlainUdp, kMaxTcp}) {
    if (size <= kMaxTcp) {
      auto n = relay(response, query, limit, out);
      check(n <= limit && ldns_read_uint16(out.data()) == query.id);
    }
    std::vector<std::uint8_t> partial(kPlainUdp);
    Reply reply(query, partial, kPlainUdp);
    reply.name(Section::answer, kQuestionName, LDNS_RR_TYPE_CNAME, target, 5);
    auto n = join(reply.partial(), reply.answers(), response, query, limit, out);
    check(n <= limit);
    ldns_pkt* packet = nullptr;
    check(ldns_wire2pkt(&packet, out.data(), n) == LDNS_STATUS_OK);
    check(ldns_pkt_id(packet) == query.id);
    ldns_pkt_free(packet);
  }
  return 0;
}
