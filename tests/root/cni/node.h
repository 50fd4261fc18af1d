// A node for one test: a network namespace of its own that this process enters, a mount namespace so that no bind mount
// can be left on the machine, a directory, and Pods as further network namespaces. Everything goes with the test. Needs
// root; without it every test skips and says so. Addresses: Pods 10.42.0.0/24 and fd00:42::/64, outside 192.0.2.0/24.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "common/fd.h"
#include "common/json.h"

namespace podshim::test {

struct Output {
  int rc = -1;
  std::string out;  // stdout
};
// Through /bin/sh, stderr goes to this test's own.
Output sh(const std::string& command);
// In a network namespace given by path.
Output in(const std::string& netns, const std::string& command);

class Node : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  std::string make_pod(const std::string& name);  // gives the path of its network namespace
  void drop_pod(const std::string& name);
  std::string pod(const std::string& name) const { return dir_ + "/" + name; }
  // A namespace on a veth, 192.0.2.2/24; the node is 192.0.2.1 and its default route goes there.
  void make_outside(int mtu = 1500);

  Output plugin(const std::string& program, const std::string& command, const std::string& pod_name,
                const std::string& config, const std::string& more_env = {});
  // ADD that must succeed: its result.
  json::Value add(const std::string& program, const std::string& pod_name, const std::string& config,
                  const std::string& more_env = {});
  // The code of the failure that was printed.
  static int code(const Output& output);
  static std::string text(const Output& output);
  static std::string with_prev(const std::string& config, const json::Value& result);
  std::string bridge_conf(const std::string& more = {}, const std::string& version = "1.1.0") const;
  std::string address(const json::Value& result, std::size_t index = 0) const;  // without the prefix

  // A child that answers on TCP (HTTP, with its name) and UDP (its name) in a namespace until the test ends.
  void serve(const std::string& netns, int port, const std::string& name);
  // One UDP datagram from a fixed source port; "" when nothing comes back.
  static std::string ask_udp(const std::string& netns, const std::string& ip, int port, int source_port);

  std::string dir_;
  std::string cni_ = PODSHIM_BUILD_DIR "/cni";

 private:
  std::vector<pid_t> children_;
  std::vector<std::string> mounts_;
};

}  // namespace podshim::test
