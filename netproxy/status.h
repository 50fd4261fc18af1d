// status: what the kernel has acknowledged, as a JSON file replaced by rename, so that scripts can wait for a change:
//   {"generation": 7, "acknowledged": "2026-01-02T03:04:05.678Z", "nodePortAddresses": ["192.0.2.1/32"], "services": {
//     "default/web": {"generation": 7, "acknowledged": "…", "latencyMs": 1.234, "endpoints": {"http":
//     ["10.42.0.2:8080"]}}}}
// `generation` counts acknowledged changes of this process; `quarantined` and `conflict` say why a Service is not as it
// asks to be. `nodePortAddresses`: where node ports are served; []: on every local address. Written at once while it is
// small, else at most once a second: the figures inside are of the change, not of the writing. One thread.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "common/result.h"
#include "netproxy/topology.h"
#include "netproxy/tracker.h"

namespace podshim::netproxy {

class Status {
 public:
  // An empty path writes nothing.
  explicit Status(std::string path, const std::vector<Cidr>& node_port_addresses = {});

  void acknowledged(const ServiceModel& model, double latency_ms);
  void removed(const std::string& key);
  void trouble(const std::string& key, std::string what, std::string why);
  // A change was acknowledged; what comes next has another number.
  void next_generation();

  // When write() is due; nothing when all is written.
  std::optional<Clock::time_point> due() const;
  Result<> write(Clock::time_point now);
  std::string text() const;
  std::uint64_t generation() const { return generation_; }

 private:
  struct Entry {
    std::string text;  // the members of the Service's object
    std::string trouble;
  };
  std::string path_;
  std::string head_;  // the members that stay
  std::map<std::string, Entry> services_;
  std::uint64_t generation_ = 0;
  std::string stamp_;
  bool dirty_ = true;  // what an earlier netproxy wrote is of other options
  Clock::time_point written_{};
};

}  // namespace podshim::netproxy
