// Any bytes as a question, over UDP and TCP: the answer fits, repeats id and question, and ldns can read it.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "netproxy/dns/answer.h"
#include "netproxy/dns/ldns.h"
#include "netproxy/dns/response.h"

using namespace podshim;
using namespace podshim::netproxy::dns;

namespace {

struct World {
  Zone zone;
  ZoneFacts facts;
  World() {
    facts = *ZoneFacts::make("c.l", {IpAddress::v4(0x0a2b000a)}, {*Cidr::parse("10.42.0.0/16")},
                             *Cidr::parse("10.43.0.0/16"));
    std::vector<Port> ports = {{.name = "p", .port = 80}};
    zone.apply({.key = "n/w", .records = ServiceRecords{.addresses = {IpAddress::v4(0x0a2b0001)}, .ports = ports}});
    ServiceRecords headless{.headless = true};
    for (std::uint32_t i = 0; i < 100; i++) {
      auto ip = IpAddress::v4(0x0a2a0001 + i);
      headless.endpoints.push_back({.name = dashed(ip), .addresses = {ip}, .ports = ports});
    }
    std::ranges::sort(headless.endpoints, {}, &Endpoint::name);
    zone.apply({.key = "n/h", .records = headless});
    zone.apply({.key = "n/e", .records = ServiceRecords{.external_name = *wire_name("x.y")}});
    zone.apply({.key = "n/i", .records = ServiceRecords{.external_name = *wire_name("w.n.svc.c.l")}});
    zone.apply({.key = "n/r", .records = ServiceRecords{.external_name = *wire_name("r.n.svc.c.l")}});
  }
};

void check(bool ok) {
  if (!ok) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const World world;
  Bytes wire(data, size);
  for (bool tcp : {false, true}) {
    std::vector<std::uint8_t> out(tcp ? kMaxTcp : kOurUdp);
    Query query;
    auto outcome = answer(wire, tcp, world.zone, world.facts, static_cast<std::uint32_t>(size), out, query);
    if (outcome.next == Next::drop) continue;
    if (outcome.next == Next::reply) {
      check(outcome.size >= kHeader && outcome.size <= (tcp ? kMaxTcp : reply_limit(query, false)));
      ldns_pkt* packet = nullptr;
      check(ldns_wire2pkt(&packet, out.data(), outcome.size) == LDNS_STATUS_OK);
      check(ldns_pkt_id(packet) == query.id && ldns_pkt_qr(packet));
      ldns_pkt_free(packet);
    } else if (outcome.next == Next::chase) {
      Name target;
      check(target.read(Bytes(out).first(outcome.size).subspan(outcome.target)) != 0);
      std::vector<std::uint8_t> sent(kMaxQuery);
      sent.resize(make_query(target.wire(), query.type, true, false, sent));
      Query again;
      check(parse_query(sent, again).verdict == Verdict::take);
    } else {
      check(size <= kMaxQuery);
    }
  }
  return 0;
}
