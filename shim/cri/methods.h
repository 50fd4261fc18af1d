// The method table: full gRPC method name -> lane and function over bytes. What is not in it is UNIMPLEMENTED.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "common/result.h"
#include "shim/cri/border.h"
#include "shim/cri/message_source.h"

namespace podshim::cri {

// Who runs a call. Calls of one lane can only delay each other, and lanes that wait for other programs are wide.
enum class Lane {
  inline_,    // on the I/O thread: answered from snapshots, never waits
  sandbox,    // waits for CNI plugins and the monitor
  container,  // waits for the monitor
  pull,       // waits for registries
  wait,       // waits as long as the client asked: StopContainer, ExecSync, imports
  stats,      // reads cgroup files or the host; Status, which may wait for a plugin's first word
};
inline constexpr int kLanes = 6;

struct Method {
  std::string_view name;  // "/runtime.v1.RuntimeService/Version"
  Lane lane = Lane::inline_;
  bool changes = false;  // something: then every failure is worth a warning
  // `subject` becomes the id that the call is about, for the log.
  Result<std::string> (*call)(Border& border, std::string_view request, const std::stop_token& given_up,
                              std::string* subject) = nullptr;
  // In place of it: the answer is a stream. Runs in the lane; what it gives does not.
  Result<std::unique_ptr<MessageSource>> (*open)(Border& border, std::string_view request, Wake wake,
                                                 const std::stop_token& given_up, std::string* subject) = nullptr;
};

const Method* find_method(std::string_view name);  // nullptr: not served

}  // namespace podshim::cri
