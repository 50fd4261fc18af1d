// response: what a client gets of an upstream's response. The response is anybody's bytes: it counts only when it
// repeats id and question, and it is taken apart by ldns where it is put together anew. Pure; any thread.
#pragma once

#include "netproxy/dns/reply.h"

namespace podshim::netproxy::dns {

// `sent` is the query as it went out. Names may come back in another case, and a FORMERR without the question.
bool answers_to(Bytes response, Bytes sent);

// The code of a response, without its EDNS part.
std::uint8_t code_of(Bytes response);

// The response under the client's id; cut to header and question, with TC, where it is more than `limit`.
std::size_t relay(Bytes response, const Query& query, std::size_t limit, std::span<std::uint8_t> out);

// Our CNAME records (a Reply::partial()) and behind them the upstream's records about their target.
std::size_t join(Bytes partial, std::uint16_t answers, Bytes response, const Query& query, std::size_t limit,
                 std::span<std::uint8_t> out);

// A query of our own for `name`, in wire format. At most kMaxQuery bytes; gives the size.
std::size_t make_query(std::string_view name, std::uint16_t type, bool edns, bool checking_disabled,
                       std::span<std::uint8_t> out);

}  // namespace podshim::netproxy::dns
