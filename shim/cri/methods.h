// The method table: full gRPC method name -> lane and function over bytes. What is not in it is UNIMPLEMENTED. No gRPC
// here.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"
#include "shim/cri/border.h"

namespace podshim::cri {

// Who runs a call. Calls of one lane can only delay each other, and lanes that wait for other programs are wide.
enum class Lane {
  inline_,    // on gRPC's thread: answered from snapshots
  sandbox,    // waits for CNI plugins and the monitor
  container,  // waits for the monitor
  wait,       // waits as long as the client asked: StopContainer, ExecSync, imports
  stats,      // reads cgroup files or the host
};
inline constexpr int kLanes = 5;

struct Method {
  std::string_view name;  // "/runtime.v1.RuntimeService/Version"
  Lane lane = Lane::inline_;
  bool changes = false;  // something: then every failure is worth a warning
  // `subject` becomes the id that the call is about, for the log.
  Result<std::string> (*call)(Border& border, std::string_view request, std::string* subject) = nullptr;
};

const Method* find_method(std::string_view name);  // nullptr: not served

}  // namespace podshim::cri
