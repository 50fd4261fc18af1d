// upstream: whom to ask for names that are not ours. Given by the config, or the name servers of the node's
// resolv.conf, read again when that file changed (looked at when a question is forwarded, at most every 5 s). This
// server itself is never among them. One that did not answer is asked last for a while. One thread.
#pragma once

#include <sys/stat.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "common/config.h"

namespace podshim::netproxy::dns {

using Clock = std::chrono::steady_clock;

// The name servers in the text of a resolv.conf(5), at most three. Scoped addresses (fe80::1%eth0) are passed over.
std::vector<DnsUpstream> parse_resolv_conf(const std::string& text);

class Upstreams {
 public:
  // `fixed` empty: `resolv_conf` is read. `self`: addresses and port of this server.
  Upstreams(std::vector<DnsUpstream> fixed, std::string resolv_conf, std::vector<DnsUpstream> self);

  // Nothing: there is nobody to ask. `last` = who was asked before, and did not help.
  std::optional<DnsUpstream> choose(Clock::time_point now, const DnsUpstream* last);
  void failed(const DnsUpstream& upstream, Clock::time_point now);
  void answered(const DnsUpstream& upstream);
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    DnsUpstream upstream;
    std::optional<Clock::time_point> ill_until;
  };
  void take(const std::vector<DnsUpstream>& list);
  void refresh(Clock::time_point now);

  std::string resolv_conf_;  // "" = not used
  std::vector<DnsUpstream> self_;
  std::vector<Entry> entries_;
  std::optional<Clock::time_point> looked_;
  timespec changed_{};
};

}  // namespace podshim::netproxy::dns
