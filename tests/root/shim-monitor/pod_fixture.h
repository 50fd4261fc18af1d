// A Pod without a daemon: a monitor in a temporary directory, a busybox root, programs written by hand.
// Everything is removed at the end; the monitor's process is checked to be gone.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "shim/apply/monitor_process.h"

namespace podshim::test {

using namespace std::chrono_literals;

// Free slots of the programs here.
inline constexpr int kScratchSlot = 20;

class RecordedEvents final : public MonitorEvents {
 public:
  void container_exited(const SandboxId&, const ExitRecord& record) override;
  void pause_exited(const SandboxId&, int wait_status) override;
  void monitor_gone(const SandboxId&) override;
  std::function<void(const SandboxId&)> on_gone;  // first, on the loop's thread; before the first monitor

  std::optional<ExitRecord> wait_exit(const ContainerId& id, std::chrono::milliseconds timeout = 20s);
  bool wait_gone(std::chrono::milliseconds timeout = 20s);
  std::optional<int> wait_pause(std::chrono::milliseconds timeout = 20s);
  int gone() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<ContainerId, ExitRecord> exits_;
  std::optional<int> pause_;
  int gone_ = 0;
};

struct TestContainer {
  std::vector<std::string> command;
  std::vector<std::string> env = {"PATH=/bin"};
  ContainerStdio stdio = {};
  std::uint64_t namespaces = 0;  // 0: mnt and pid of its own
  bool join_sandbox_pid = false;
  std::string join_pid_of;
  std::vector<ProgramStep> before_exec;  // steps of the test, after enter_root
  std::vector<ProgramStep> below_root;   // steps of the test, before enter_root
  std::string oom_file;
};

std::string make_temp_dir();
ContainerId new_container_id();
std::vector<std::string> shell(const std::string& script);
ProgramStep exec_step(const std::vector<std::string>& command, const std::vector<std::string>& env);
// Reads until `predicate` is true of the text; "" when it never was.
std::string wait_file(const std::string& path, const std::function<bool(const std::string&)>& predicate,
                      std::chrono::milliseconds timeout = 10s);
// CRI log text without timestamps: "stdout F hello\n".
std::string without_times(const std::string& log);
std::vector<int> children_of(int pid);

class PodTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  void launch();  // the monitor alone
  void launch_with_pause();
  Program pause_program() const;
  Program container_program(const TestContainer& c) const;
  Program exec_program(const std::vector<std::string>& command, std::vector<ProgramStep> before_exec = {}) const;
  Fd root_mount() const;
  std::string log_path(const ContainerId& id) const { return dir_ + "/logs/" + id.brief() + ".log"; }
  std::string exit_path(const ContainerId& id) const { return dir_ + "/exits/" + id.str(); }

  // Created and started; a failure is the start's error.
  Result<ContainerId> run(const TestContainer& c);
  std::string log_of(const ContainerId& id) const;
  struct ExecOutcome {
    Result<int> exit_code;
    std::string out;
  };
  ExecOutcome exec(const ContainerId& id, const std::vector<std::string>& command,
                   std::vector<ProgramStep> before_exec = {});

  std::string dir_, sandbox_dir_, rootfs_, staging_;
  SandboxId sandbox_;
  RecordedEvents events_;
  std::unique_ptr<MonitorLoop> loop_;
  std::shared_ptr<MonitorProcess> monitor_;
};

}  // namespace podshim::test
