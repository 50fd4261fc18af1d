// Fault: a node whose daemon and monitors are the fault-injection build (common/fault.h, tests/support/fault_kill.cc),
// with a registry and an image of its own (fault_image.h), and a CNI DEL that fails while told to.
//
// A round: prepare what the operation needs, arm one point, call, start the daemon again, look, call again, look,
// remove all, look what is left.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/support/node_suite.h"

namespace podshim::test {

using Status = grpc::Status;

// What one round works on.
struct World {
  cri::PodSandboxConfig pod;
  cri::ContainerConfig container;
  std::string sandbox_id, container_id;
  std::string other;  // a second sandbox, where an operation wants one
  int serial = 0;     // another one each round
};

struct Operation {
  const char* name;
  int depth;  // what is there before: 0 nothing, 1 a sandbox, 2 a created container, 3 a running one
  std::function<Status(Node&, World&)> act;             // repeated until it succeeds
  std::function<std::string(Node&, World&)> wrong;      // after it did; "" = as it should be
  std::function<void(Node&, World&)> before = {};       // what else is there before
  std::function<std::string(Node&, World&)> torn = {};  // what must hold after the restart, before the repetition
};

// The n-th passing of a name.
struct Point {
  std::string name;
  int passing = 1;
};
std::vector<Point> points_of(const std::vector<std::string>& trace);

const std::vector<Operation>& operations();

Status run_sandbox(Node& node, World& w);
Status create_container(Node& node, World& w);
std::size_t count_sandboxes(Node& node);
std::size_t count_containers(Node& node);
// The operation again and again, until `limit`: "" at last, else what was still wrong.
std::string at_last(std::chrono::seconds limit, const std::function<std::string()>& wrong);
// Whose addresses are taken.
bool has_lease(Node& node, const std::string& sandbox_id);
std::vector<std::string> debts(Node& node);

class Fault : public ::testing::Test {
 public:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  static void fail_del(bool on);  // of every Pod, from now on
  // The daemon, or with "monitor-" a monitor, ends at the point from now on.
  static void arm(Node& node, const Point& point, const std::string& whose = "");
  static void disarm(Node& node);

 protected:
  World prepare(const Operation& operation);
  void clear();
  std::vector<std::string> left();
  // The names of the points that the operation passes: the daemon's, or with "monitor-" its monitors'.
  std::vector<std::string> trace(const Operation& operation, const std::string& whose = "");
  void expect_nothing_left();

  static inline std::unique_ptr<Node> node;
};

}  // namespace podshim::test
