// Metrics: what podshim counts about itself, and its text form for Prometheus (0.0.4).
//
// rpc() and stage() are called on the way of every call: a look-up under a short mutex and one observation, 0.1 us
// together. What is a state and not an event is asked for when somebody scrapes. metrics.cc is the one file with
// prometheus-cpp. Any thread.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace podshim {

// One family of numbers as they are now.
struct Gauge {
  struct Value {
    std::map<std::string, std::string> labels;
    double value = 0;
  };
  std::string name, help;
  std::vector<Value> values;
  bool counter = false;  // only grows; its name ends in _total
};

class Metrics {
 public:
  Metrics();
  ~Metrics();

  void rpc(std::string_view method, std::string_view code, std::chrono::nanoseconds took);
  void stage(std::string_view operation, std::string_view stage, std::chrono::nanoseconds took);
  std::string text(const std::vector<Gauge>& now) const;

 private:
  struct Families;
  const std::unique_ptr<Families> families_;
};

}  // namespace podshim
