// MonitorProcess: one Pod's monitor as the daemon sees it. Speaks shim/monitor/protocol.h over SOCK_SEQPACKET.
//
// All calls block the calling thread until the monitor answered or the deadline passed; they may come from any number
// of threads at once (requests are matched by id). Events arrive on the one thread of MonitorLoop. A monitor that died
// makes every call fail with ErrorKind::unavailable and yields one `gone` event. What a failed call leaves behind: nothing in
// the monitor (a container whose start failed stays created).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/fd.h"
#include "common/ids.h"
#include "common/result.h"
#include "common/sys/pidfd.h"
#include "shim/plan/program.h"

namespace podshim {

// How a child is cloned.
struct CloneConfig {
  std::uint64_t namespaces = 0;   // CLONE_NEW* of the clone itself
  bool join_sandbox_pid = false;  // pid namespace of pause
  std::string join_pid_of;        // container id (pid mode TARGET); "" = none
  Fd cgroup;                      // v2: CLONE_INTO_CGROUP
};

struct ContainerStdio {
  std::string log_path;           // absolute; "" = output is discarded
  bool tty = false, stdin_open = false, stdin_once = false;
  std::int64_t log_max_bytes = 0; // 0 = no cap by the monitor
  int log_max_files = 0;
};

struct ExitRecord {
  ContainerId id;
  std::int32_t exit_code = 0;     // 128 + signal for a killed one
  std::int32_t signal = 0;
  bool oom_killed = false;
  std::int64_t finished_at_ns = 0;
  bool operator==(const ExitRecord&) const = default;
};

struct MonitorContainer {
  ContainerId id;
  enum class State { created, running, exited } state = State::created;
  sys::ProcessId process;
  std::optional<ExitRecord> exit;
};

// An exec as the monitor knows it. One that a former daemon started has no `done` any more: the new daemon kills it.
struct MonitorExec {
  std::uint64_t id = 0;
  ContainerId container;
  sys::ProcessId process;
  std::optional<std::int32_t> exit_code;
};

struct MonitorState {
  sys::ProcessId monitor, pause;
  bool pause_running = false;
  std::vector<MonitorContainer> containers;
  std::vector<MonitorExec> execs;  // an ended one is listed until it was told once: by its event or by this list
};

// Called on the loop's thread with no lock held. They must not call a MonitorProcess: the answer comes on that thread.
class MonitorEvents {
 public:
  virtual ~MonitorEvents() = default;
  virtual void container_exited(const SandboxId&, const ExitRecord&) = 0;
  virtual void pause_exited(const SandboxId&, int wait_status) = 0;
  virtual void monitor_gone(const SandboxId&) = 0;  // once; not after a shutdown() that succeeded
};

// One epoll thread for all monitors of the daemon, and the sealed memfd of the monitor's binary. Lives longer than
// every MonitorProcess made from it.
class MonitorLoop {
 public:
  virtual ~MonitorLoop() = default;
};

class MonitorProcess {
 public:
  virtual ~MonitorProcess() = default;

  // Runs pause with `program`; the namespaces it owns are then open in the monitor.
  virtual Result<sys::ProcessId> start_pause(const Program& program, CloneConfig clone) = 0;
  // The monitor keeps `root` (and `shm` of the sandbox) for the start.
  virtual Result<> set_shm(Fd shm) = 0;
  virtual Result<> create_container(const ContainerId& id, Fd root) = 0;
  // `oom_file`: memory.events (v2) or memory.oom_control (v1), read at exit. The log file exists when this returns.
  virtual Result<sys::ProcessId> start_container(const ContainerId& id, const Program& program, CloneConfig clone,
                                                 const ContainerStdio& stdio, const std::string& oom_file,
                                                 const std::string& exit_record_path) = 0;
  virtual Result<> signal_container(const ContainerId& id, int signal) = 0;  // gone already is success
  virtual Result<> remove_container(const ContainerId& id) = 0;              // drops its fds; not while running
  virtual Result<> reopen_log(const ContainerId& id) = 0;                    // new file exists when it returns

  // An exec: the child gets stdio as they are; `done` is called once with the exit code (128 + signal) when it ended.
  // The daemon owns the timeout and kills through the exec's cgroup or kill_exec. The pid namespace is the container's
  // own, without a word in `clone`. A call that fails does not call `done`; a monitor that dies calls it with the error.
  struct Exec {
    std::uint64_t id = 0;
    sys::ProcessId process;
  };
  virtual Result<Exec> start_exec(const ContainerId& id, const Program& program, CloneConfig clone, Fd in, Fd out, Fd err,
                                  bool tty, std::function<void(Result<int> exit_code)> done) = 0;
  virtual Result<> kill_exec(std::uint64_t exec_id) = 0;

  virtual Result<MonitorState> state() = 0;
  // Ends pause and the monitor itself; containers must have ended. Returns when the monitor is gone.
  virtual Result<> shutdown(std::chrono::milliseconds deadline) = 0;
  virtual sys::ProcessId process() const = 0;
};

// Starts a monitor (double-forked, own session, in cgroup leaf files `cgroup_files` when given) with its socket in
// `sandbox_dir`; or connects to a running one there.
struct MonitorLaunch {
  SandboxId id;
  std::string sandbox_dir;                // <state>/sandboxes/<id>, holds monitor.sock
  std::vector<std::string> cgroup_files;  // v1: tasks files to write "0" to; v2: cgroup.procs of the leaf
};
Result<std::unique_ptr<MonitorLoop>> make_monitor_loop(MonitorEvents& events, const std::string& monitor_binary);
Result<std::shared_ptr<MonitorProcess>> launch_monitor(MonitorLoop& loop, const MonitorLaunch& launch);
Result<std::shared_ptr<MonitorProcess>> connect_monitor(MonitorLoop& loop, const SandboxId& id, const std::string& sandbox_dir);

// The record that a monitor left at `exit_record_path`, for a daemon that finds no monitor any more. ENOENT: no exit yet.
Result<ExitRecord> read_exit_record(const std::string& path);

}  // namespace podshim
