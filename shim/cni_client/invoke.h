// Runs one CNI plugin: a program that gets its verb in the environment and its configuration on stdin, and answers
// JSON.
//
// PluginRunner is the border to the machine; ExecRunner the real one: posix_spawn (vfork class: the daemon's image is
// not copied) in a process group of its own, in the caller's namespaces, one poll loop on the calling thread. At the
// deadline the whole group is killed. stdout is cut off at 1 MiB (an error), of stderr the last 4 KiB are kept for the
// message. Any thread; blocks; wants SIGPIPE handled. Leaves no fd, and no process but one that SIGKILL does not end at
// once (it is reaped by a later call).
//
// start() is for plugins that are known to do nothing before they have read their configuration to its end: loading a
// program takes as long as most of what it then does, and can go on beside the work that comes before it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <mutex>
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

// A plugin that has started and waits for its configuration. One that never gets it finds the end of its stdin, prints
// an error that nobody reads, and is gone when the destructor returns.
class WaitingPlugin {
 public:
  virtual ~WaitingPlugin() = default;
  virtual void give(std::string input) = 0;                                    // once; does not block
  virtual Result<PluginAnswer> answer(std::chrono::milliseconds timeout) = 0;  // after it; blocks
};

class PluginRunner {
 public:
  virtual ~PluginRunner() = default;
  // Errors: os (the program could not be started), deadline_exceeded, resource_exhausted (too much output).
  virtual Result<PluginAnswer> run(const PluginCall& call) = 0;
  // `call.input` and `call.timeout` come with give() and answer(). The runner outlives what it started.
  virtual Result<std::unique_ptr<WaitingPlugin>> start(const PluginCall& call) = 0;
};

struct PluginProcess;  // invoke.cc

class ExecRunner : public PluginRunner {
 public:
  Result<PluginAnswer> run(const PluginCall& call) override;
  Result<std::unique_ptr<WaitingPlugin>> start(const PluginCall& call) override;

 private:
  class Waiting;

  Result<PluginAnswer> finish(PluginProcess& process, std::chrono::milliseconds timeout);
  void reap();

  std::mutex mutex_;  // guards unreaped_
  std::vector<pid_t> unreaped_;
};

}  // namespace podshim::cni
