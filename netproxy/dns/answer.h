// answer: one question and the zone in, one message out (or: forward it). Authoritative for the cluster domain and for
// the reverse names of Pod and Service addresses; what is asked there is never forwarded.
//
// Search paths are why the negative answers must be exact: some resolvers (musl) go on to the next suffix only after
// NXDOMAIN and stop at an empty NOERROR, so a name that merely has children gets the one, and a name that is not there
// the other; both with the zone's SOA.
//
//   <svc>.<ns>.svc.<domain>                     A, AAAA: cluster IPs; headless: ready endpoints; CNAME: ExternalName
//   <hostname or dashed ip>.<svc>.<ns>.svc...   A, AAAA of an endpoint of a headless Service
//   _<port>._<tcp|udp|sctp>.<svc>.<ns>.svc...   SRV, with the targets' addresses
//   <dashed ip>.<ns>.pod.<domain>               A, AAAA for addresses in cluster-cidr, in a namespace with Services
//   dns-version.<domain>                        TXT "1.1.0"
//   ns.dns.<domain>                             A, AAAA: this server
//   4.3.2.1.in-addr.arpa, ip6.arpa              PTR
//
// Pure but for `spin`, the place where a list of endpoints begins; no allocation. One thread at a time.
#pragma once

#include "netproxy/dns/reply.h"
#include "netproxy/dns/zone.h"

namespace podshim::netproxy::dns {

struct ZoneFacts {
  Name domain;
  std::string domain_wire, primary, mailbox;  // wire format
  std::vector<IpAddress> servers;             // where this server is asked
  std::vector<Cidr> pods;
  std::vector<Cidr> reverse;  // whose PTR names are ours

  static Result<ZoneFacts> make(const std::string& domain, std::vector<IpAddress> servers, std::vector<Cidr> pods,
                                const Cidr& services);
};

enum class Next : std::uint8_t {
  drop,
  reply,    // out[0, size) is the answer
  forward,  // nothing of ours: the query as it came goes upstream
  chase,    // out[0, size) is a Reply::partial() that ends with a CNAME; its target, at `target`, is not ours
};

struct Outcome {
  Next next = Next::drop;
  std::size_t size = 0;
  Ref target = 0;
  std::uint16_t answers = 0;
};

// `query` is filled from `wire` and points into it. `out` holds kMaxTcp bytes, or reply_limit() of a datagram.
Outcome answer(Bytes wire, bool tcp, const Zone& zone, const ZoneFacts& facts, std::uint32_t spin,
               std::span<std::uint8_t> out, Query& query);

// An answer without records.
std::size_t answer_code(const Query& query, std::uint16_t rcode, std::span<std::uint8_t> out);

}  // namespace podshim::netproxy::dns
