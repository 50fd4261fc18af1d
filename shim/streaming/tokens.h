// Tokens: what an RPC has ordered, until the client comes for it. A token is 128 random bits, is taken once, and ends
// after a while; the number kept is bounded. The clock is the caller's. Any thread; a short mutex.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/result.h"
#include "shim/lifecycle/stream.h"

namespace podshim::streaming {

enum class Kind { exec, attach, port_forward };
std::string_view kind_path(Kind kind);  // "exec", "attach", "portforward": the first part of the URL's path

struct Order {
  Kind kind = Kind::exec;
  std::string id;            // of the container, resp. the sandbox
  std::string sandbox = {};  // the container's; "" = each container for itself
  std::vector<std::string> command;
  StreamRequest streams;
  std::vector<std::uint16_t> ports;  // plain WebSocket port-forward has no other way to name them
};

class Tokens {
 public:
  using Clock = std::chrono::steady_clock;
  Tokens(std::chrono::milliseconds life, std::size_t capacity) : life_(life), capacity_(capacity) {}

  Result<std::string> issue(Order order, Clock::time_point now);  // resource_exhausted
  // not_found with the reason: never issued, of another kind, used, expired. A token is spent by the first try.
  Result<Order> take(Kind kind, const std::string& token, Clock::time_point now);
  std::size_t size() const;

 private:
  struct Entry {
    Order order;
    Clock::time_point issued;
    bool used = false;
  };
  void forget(Clock::time_point older_than, bool used);  // with mutex_ held

  const std::chrono::milliseconds life_;
  const std::size_t capacity_;
  mutable std::mutex mutex_;  // guards entries_
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace podshim::streaming
