// A node in a network namespace of the test's own, with namespaces as Pods on a bridge and one as the outside
// (tests/addresses.md), in both families: 10.42.0.7 is 2001:db8:42::7 too. The test program lives in a private mount
// namespace too, so that nothing outlives it, whatever happens. Needs root. Pods serve HTTP and UDP on port 8080: each
// answer is "<name> <client's address>".
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/fd.h"
#include "common/json.h"

namespace podshim::test {

using SteadyClock = std::chrono::steady_clock;

struct Output {
  int code = -1;
  std::string text;  // stdout and stderr
};
// Through /bin/sh, in the node.
Output sh(const std::string& command);

struct Answer {
  std::string name, client;  // who answered, and whom it saw
  int error = 0;             // errno of a failure
  std::chrono::milliseconds took{0};
};
// One connection or datagram from the calling thread's namespace.
Answer ask_tcp(const std::string& address, int port, int timeout_ms = 2000);
Answer ask_udp(const std::string& address, int port, int timeout_ms = 1000);

class NetTest : public testing::Test {
 public:
  static void SetUpTestSuite();

 protected:
  void SetUp() override;
  void TearDown() override;

  // A namespace on the bridge, serving when `serves`. Returns its address.
  std::string add_pod(const std::string& name, const std::string& address, bool serves = true);
  void stop_pod(const std::string& name);
  // Runs in a Pod or in "out"; "" is the node.
  void in(const std::string& pod, const std::function<void()>& fn);
  Answer tcp_from(const std::string& pod, const std::string& address, int port);
  Answer udp_from(const std::string& pod, const std::string& address, int port);

  struct ServiceFile {
    std::string name = "web", vip = "10.43.0.1", protocol = "TCP";
    int port = 80, node_port = 0;
    std::string vip6;
    std::vector<std::string> load_balancer, external, ranges;
    bool external_local = false, internal_local = false;
    int affinity = 0, health_port = 0;
  };
  void write_service(const ServiceFile& s);
  void write_slice(const std::string& service, const std::vector<std::string>& addresses,
                   const std::string& protocol = "TCP", const std::map<std::string, std::string>& nodes = {});
  void remove_file(const std::string& name);

  void start_proxy();
  void stop_proxy(int signal = 15);
  bool has_endpoints(const std::string& service, const std::set<std::string>& addresses);  // acknowledged by the kernel
  // Waits until the kernel acknowledged exactly these addresses for the Service; returns when that was (status file).
  SteadyClock::time_point wait_endpoints(const std::string& service, const std::set<std::string>& addresses);
  json::Value status();
  std::string command() const;  // the program with its directories
  Output proxy_once(const std::string& arguments);
  std::string log();

  std::string dir;  // temporary; services in dir/services
  int proxy_pid = 0;
  std::map<std::string, int> servers;  // pid by Pod
  std::vector<std::string> pods;
};

// Three Pods that answer, and one that only asks.
class BackendsTest : public NetTest {
 protected:
  void SetUp() override;
  std::vector<std::string> backends;
};

}  // namespace podshim::test
