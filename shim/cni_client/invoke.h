// Runs one CNI plugin: a program that gets its verb in the environment and its configuration on stdin, and answers
// JSON.
//
// PluginRunner is the border to the machine; ExecRunner the real one: posix_spawn (vfork class: the daemon's image is
// not copied) in a process group of its own, in the caller's namespaces, one poll loop on the calling thread. At the
// deadline the whole group is killed. stdout is cut off at 1 MiB (an error), of stderr the last 4 KiB are kept for the
// message. Any thread; blocks. Leaves no process and no fd.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "common/result.h"

namespace podshim::cni {

struct PluginCall {
  std::string program;                   // path
  std::vector<std::string> environment;  // CNI_*; PATH is added
  std::string input;
  std::chrono::milliseconds timeout{60000};
};

struct PluginAnswer {
  int wait_status = 0;
  std::string out, err;
};

class PluginRunner {
 public:
  virtual ~PluginRunner() = default;
  // Errors: os (the program could not be started), deadline_exceeded, resource_exhausted (too much output).
  virtual Result<PluginAnswer> run(const PluginCall& call) = 0;
};

class ExecRunner : public PluginRunner {
 public:
  Result<PluginAnswer> run(const PluginCall& call) override;
};

}  // namespace podshim::cni
