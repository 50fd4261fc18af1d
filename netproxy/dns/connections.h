// connections: questions over TCP (RFC 7766): each behind its length, answered one after another. Bounded:
// kMaxConnections at once, beyond them the one that has been silent longest is closed; a client has kIdle to send a
// whole question and to take an answer, however many bytes trickle meanwhile. One thread: the server's.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "netproxy/dns/forwarder.h"

namespace podshim::netproxy::dns {

inline constexpr std::size_t kMaxConnections = 128;
inline constexpr std::chrono::milliseconds kIdle{10000};

class Connections {
 public:
  // Must answer through deliver(), now or later.
  using Ask = std::function<void(const Client&, Bytes)>;
  Connections(EpollSet& epoll, std::chrono::milliseconds idle, Ask ask);

  // Takes every connection that waits at the listener.
  void accept_from(const Fd& listener, Clock::time_point now);
  void on_event(Tag tag, std::uint32_t events);
  void deliver(const Client& client, Bytes answer, Clock::time_point now);
  void expire(Clock::time_point now);
  std::optional<Clock::time_point> due() const { return due_; }
  std::uint64_t accepted() const { return accepted_; }

 private:
  struct Connection {
    Fd fd;  // none: the slot is free
    std::uint32_t slot = 0, generation = 0;
    bool waiting = false;  // for an answer
    bool pumping = false;
    Clock::time_point deadline;
    std::uint64_t turn = 0;  // the order of the clocks' starts: a burst is accepted at one time, and so ends at one
    std::array<std::uint8_t, 2 + kMaxQuery> in;
    std::size_t in_size = 0;
    std::vector<std::uint8_t> out;
    std::size_t out_done = 0;
  };

  Connection* slot_for_new();
  Connection* close_oldest();  // nullptr: there is none
  void close(Connection& c);
  void start_clock(Connection& c, Clock::time_point now);
  void listen_for(Connection& c, std::uint32_t events);
  void read(Connection& c);
  void write(Connection& c);
  // Asks what has arrived, as long as nothing is being answered.
  void pump(Connection& c);

  std::uint64_t turns_ = 0;
  EpollSet& epoll_;
  std::chrono::milliseconds idle_;
  Ask ask_;
  std::vector<std::unique_ptr<Connection>> all_;
  std::optional<Clock::time_point> due_;  // not later than the first one
  std::uint64_t accepted_ = 0;
};

}  // namespace podshim::netproxy::dns
