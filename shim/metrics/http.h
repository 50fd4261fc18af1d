// MetricsServer: one page over HTTP/1.1, GET /metrics, from one thread of its own.
//
// At most 32 connections; one that does not ask, or does not take its answer, within kPatience is closed; a request
// is 8 KiB at most. start() binds and listens (port 0: any free one); the destructor ends all. `text` is called on the
// server's thread and must not throw. http.cc is the one file with Boost.Beast of this room.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/ip.h"
#include "common/result.h"

namespace podshim {

class MetricsServer {
 public:
  static constexpr std::chrono::seconds kPatience{75};  // longer than a usual scrape interval
  static constexpr std::size_t kConnections = 32;

  static Result<std::unique_ptr<MetricsServer>> start(const IpAddress& address, std::uint16_t port,
                                                      std::function<std::string()> text);
  virtual ~MetricsServer() = default;
  virtual std::uint16_t port() const = 0;
};

}  // namespace podshim
