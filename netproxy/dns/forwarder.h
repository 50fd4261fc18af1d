// forwarder: questions under way to an upstream. Each has a socket of its own, so that a forger must guess port and id,
// and a refusal (ICMP, RST) is known to be of that question. A question that came over TCP goes on over TCP; one that
// came by UDP gets the upstream's TC when the answer is too long, and comes again over TCP.
//
// A third of the time is given to each of three tries, each with another upstream where there is one; then SERVFAIL. A
// query of our own that an upstream finds malformed is sent to it once more without EDNS (RFC 6891, 7).
// Bounded: at most kMaxExchanges at once, beyond them SERVFAIL at once. One thread: the server's.
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "netproxy/dns/answer.h"
#include "netproxy/dns/response.h"
#include "netproxy/dns/socket.h"
#include "netproxy/dns/upstream.h"

namespace podshim::netproxy::dns {

inline constexpr std::size_t kMaxExchanges = 640;  // with all else below the usual 1024 descriptors

// Who asked, and where the answer goes.
struct Client {
  bool tcp = false;
  std::uint32_t slot = 0;        // the listening socket, or the connection
  std::uint32_t generation = 0;  // of the connection
  SocketAddress peer;            // of a datagram
};

class Forwarder {
 public:
  using Deliver = std::function<void(const Client&, Bytes)>;
  struct Counters {
    std::uint64_t forwarded = 0, failed = 0, refused_full = 0;
  };

  Forwarder(EpollSet& epoll, Upstreams upstreams, std::chrono::milliseconds timeout, Deliver deliver);

  // Sends `wire`, a query that parse_query() took, as it is.
  void forward(const Client& client, Bytes wire, Clock::time_point now);
  // Asks for the target of our CNAME; `partial` as answer() left it, `outcome` what it said.
  void chase(const Client& client, Bytes wire, Bytes partial, std::uint16_t answers, Ref target, Clock::time_point now);

  void on_event(Tag tag, std::uint32_t events, Clock::time_point now);
  void expire(Clock::time_point now);
  std::optional<Clock::time_point> due() const { return due_; }
  std::size_t under_way() const { return used_; }
  const Counters& counters() const { return counters_; }

 private:
  struct Exchange {
    bool used = false, sent_tcp = false;
    bool our_edns = false;  // the query is ours and has EDNS
    std::uint32_t slot = 0, generation = 0;
    Client client;
    Fd fd;
    DnsUpstream upstream;
    int tries = 0;
    Clock::time_point due;
    std::array<std::uint8_t, kMaxQuery> asked;  // as it came
    std::size_t asked_size = 0;
    std::array<std::uint8_t, 2 + kMaxQuery> sent;  // as it goes, behind its length
    std::size_t sent_size = 0;
    std::vector<std::uint8_t> partial;  // of a chase
    std::uint16_t answers = 0;
    Ref target = 0;                    // in `partial`
    std::vector<std::uint8_t> stream;  // what came over TCP so far
    Bytes question() const { return {asked.data(), asked_size}; }
    Bytes query() const { return {sent.data() + 2, sent_size}; }
  };

  Exchange* open(const Client& client, Bytes wire);
  void begin(Exchange& e, Clock::time_point now);
  void write_query(Exchange& e, bool edns);  // of a chase
  bool start_try(Exchange& e, Clock::time_point now);
  bool ask(Exchange& e, Clock::time_point now);
  // The next try, or SERVFAIL. `ill`: the upstream did not answer at all.
  void give_up_try(Exchange& e, Clock::time_point now, bool ill = true);
  void on_datagram(Exchange& e, Clock::time_point now);
  void on_stream(Exchange& e, std::uint32_t events, Clock::time_point now);
  void on_response(Exchange& e, Bytes response, Clock::time_point now);
  void finish(Exchange& e, Bytes answer);
  void fail_with(const Client& client, Bytes wire);
  std::uint16_t random_id();

  EpollSet& epoll_;
  Upstreams upstreams_;
  std::chrono::milliseconds per_try_;
  Deliver deliver_;
  std::deque<Exchange> exchanges_;  // grows to what was needed at once
  std::vector<std::uint32_t> free_;
  std::size_t used_ = 0;
  std::optional<Clock::time_point> due_;  // not later than the first one
  std::vector<std::uint8_t> in_, out_;
  std::array<std::uint16_t, 128> ids_{};
  std::size_t ids_left_ = 0;
  Counters counters_;
};

}  // namespace podshim::netproxy::dns
