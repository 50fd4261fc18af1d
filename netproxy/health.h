// health: answers a load balancer that asks whether this node has endpoints of a Service under the Local policy: any
// HTTP request to its healthCheckNodePort, as kube-proxy has it: 200 when a ready endpoint is here, else 503, and JSON
//   {"service": {"namespace": "shop", "name": "web"}, "localEndpoints": 1, "serviceProxyHealthy": true}
// On every address where node ports are served; elsewhere the connection is closed. One that nobody answers in time, or
// sends more than a header should have, is closed; when there are too many, the oldest goes. A port that is taken is
// told and tried again; one beyond the bound of listeners is told and waits until another goes. Without descriptors,
// the oldest connection goes, or the listener rests for a while. Belongs to the loop: poll fd(), then handle(); nothing
// blocks. One thread.
#pragma once

#include <map>
#include <optional>
#include <set>

#include "common/fd.h"
#include "netproxy/layout.h"
#include "netproxy/tracker.h"

namespace podshim::netproxy {

struct HealthCheck {
  int port = 0;
  std::string name_space, name;
  std::size_t local = 0;  // ready endpoints of this node; a Pod of both families is one
  bool operator==(const HealthCheck&) const = default;
};
// Nothing for a Service that has no such port. Pure.
std::optional<HealthCheck> health_check_of(const kube::Service& service,
                                           const std::vector<const kube::EndpointSlice*>& slices,
                                           const NodeFacts& facts);
// The whole answer. `request` ends with its header's empty line. Pure.
std::string health_answer(const HealthCheck& check, std::string_view request);

class HealthServer {
 public:
  static constexpr std::size_t kMaxConnections = 64, kMaxHeader = 4096;
  static constexpr auto kPatience = std::chrono::seconds(5);

  // A descriptor each: what DNS and the rest of netproxy may need stays free.
  static std::size_t listeners_within(std::size_t descriptors);
  static Result<HealthServer> open(LayoutFacts layout, std::size_t max_listeners);

  int fd() const { return epoll_.get(); }
  // What a Service asks for now; nothing: its port is closed.
  void set(const std::string& key, std::optional<HealthCheck> check, Clock::time_point now);
  void handle(Clock::time_point now);
  std::optional<Clock::time_point> due() const;

 private:
  struct Connection {
    Fd fd;
    int port = 0;
    std::string request;
    Clock::time_point until;
  };
  HealthServer(LayoutFacts layout, Fd epoll, std::size_t max_listeners)
      : layout_(std::move(layout)), epoll_(std::move(epoll)), max_listeners_(max_listeners) {}
  void forget(const std::string& key, int port, Clock::time_point now);
  void listen(int port, Clock::time_point now);
  void retry(Clock::time_point now);
  void accept(int port, std::size_t& left, Clock::time_point now);
  void rest(int port, Clock::time_point now);
  void read(std::uint64_t id);

  LayoutFacts layout_;
  Fd epoll_;
  std::size_t max_listeners_;
  std::map<std::string, HealthCheck> checks_;        // by Service
  std::map<int, std::string> owners_;                // port -> Service; the first one has it
  std::map<int, Fd> listeners_;                      // by port
  std::set<int> told_;                               // ports that could not be had
  std::set<int> resting_;                            // listeners that are not watched: no descriptor for a client
  std::optional<Clock::time_point> retry_;           // of both
  std::map<std::uint64_t, Connection> connections_;  // by age
  std::uint64_t next_ = 65536;                       // below: a port's listener
};

}  // namespace podshim::netproxy
