// Performs single HTTP and TCP probes: one thread, nonblocking sockets, one poll(2). exec probes are the caller's
// (ExecSync). HTTP: GET with Connection: close; 200..399 is success, as the kubelet has it; redirects are not followed
// (they count as success). The thread runs in the network namespace of the caller of the constructor. start(): any
// thread. `done` is called on the prober's thread and must not block.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/ip.h"
#include "podlet/probe_book.h"

namespace podshim::podlet {

struct ProbeTarget {
  bool http = false;  // else: connect only
  IpAddress address;
  int port = 0;
  std::string request;  // http: the whole request
  Duration timeout{};
};

// The request text of an HTTP probe.
std::string http_request(const kube::HttpAction& action, const std::string& host, int port);
// First line of the answer -> result. `body` is what came after the headers, shown in the message.
ProbeResult judge_http(std::string_view answer);

class ProbeRunner {
 public:
  using Done = std::function<void(ProbeResult)>;
  virtual ~ProbeRunner() = default;
  virtual void start(ProbeTarget target, Done done) = 0;
};

class Prober : public ProbeRunner {
 public:
  Prober();
  ~Prober() override;  // ends the thread; open probes are dropped without an answer
  void start(ProbeTarget target, Done done) override;

 private:
  struct Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace podshim::podlet
