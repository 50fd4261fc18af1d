// MonitorProcess: one Pod's monitor as the daemon sees it. Speaks shim/monitor/protocol.h over SOCK_SEQPACKET.
//
// All calls block the calling thread until the monitor answered or the deadline passed; they may come from any number
// of threads at once (requests are matched by id). Events arrive on the one thread of MonitorLoop. A monitor that died
// makes every call fail with ErrorKind::unavailable and yields one `gone` event. What a failed call leaves behind:
// nothing in the monitor (a container whose start failed stays created).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
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
  std::string log_path;  // absolute; "" = output is discarded
  bool tty = false, stdin_open = false, stdin_once = false;
  std::int64_t log_max_bytes = 0;  // 0 = no cap by the monitor
  int log_max_files = 0;
};

struct ExitRecord {
  ContainerId id;
  std::int32_t exit_code = 0;  // 128 + signal for a killed one
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
  std::uint64_t log_lost = 0;  // bytes that are not in its log
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

// How long the start of an exec is waited for.
struct ExecWait {
  std::chrono::milliseconds patience = std::chrono::seconds(30);  // that is the most
  std::stop_token given_up = {};
};

// Called on the loop's thread with no lock held. They must not call a MonitorProcess: the answer comes on that thread.
class MonitorEvents {
 public:
  virtual ~MonitorEvents() = default;
  virtual void container_exited(const SandboxId&, const ExitRecord&) = 0;
  virtual void pause_exited(const SandboxId&, int wait_status) = 0;
  // At the first loss, each time it has doubled, once nothing is lost any more, and at the container's end.
  virtual void log_lost(const SandboxId&, const ContainerId&, std::uint64_t /*bytes*/) {}
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
  // The monitor keeps `root` and `volumes` (and `shm` of the sandbox) for the start.
  virtual Result<> set_shm(Fd shm) = 0;
  virtual Result<> create_container(const ContainerId& id, Fd root, std::vector<Fd> volumes) = 0;
  // `oom_file`: memory.events (v2) or memory.oom_control (v1), read at exit. The log file exists when this returns.
  virtual Result<sys::ProcessId> start_container(const ContainerId& id, const Program& program, CloneConfig clone,
                                                 const ContainerStdio& stdio, const std::string& oom_file,
                                                 const std::string& exit_record_path) = 0;
  virtual Result<> signal_container(const ContainerId& id, int signal) = 0;  // gone already is success
  virtual Result<> remove_container(const ContainerId& id) = 0;              // drops its fds; not while running
  virtual Result<> reopen_log(const ContainerId& id) = 0;                    // new file exists when it returns

  // An exec: the child gets stdio as they are; `done` is called once with the exit code (128 + signal) when it ended.
  // The daemon owns the timeout and kills through the exec's cgroup or kill_exec. The pid namespace is the container's
  // own, without a word in `clone`. A call that fails does not call `done`; a monitor that dies calls it with the
  // error. deadline_exceeded, resp. cancelled: its program had not started when `wait` ended; it was told to die.
  struct Exec {
    std::uint64_t id = 0;
    sys::ProcessId process;
  };
  virtual Result<Exec> start_exec(const ContainerId& id, const Program& program, CloneConfig clone, Fd in, Fd out,
                                  Fd err, bool tty, std::function<void(Result<int> exit_code)> done,
                                  const ExecWait& wait = {}) = 0;
  virtual Result<> kill_exec(std::uint64_t exec_id) = 0;

  // From now on the container's output is copied into `out` and `err`, too (write ends of non-blocking pipes; one at
  // least). `done` is called once: with 0 when what was asked for has ended or its readers have gone,
  // resource_exhausted when a pipe was full, the error when the monitor died. `quiet`: nothing is written into `out`,
  // it is there to tell the end. Gives another fd of the container's stdin (or terminal) when `in` asks for it and it
  // is open. failed_precondition also when the monitor is of a version that knows no clients.
  struct AttachPipes {
    Fd out, err;
    bool in = false, quiet = false;
  };
  virtual Result<Fd> attach(const ContainerId& id, AttachPipes pipes, std::function<void(Result<int>)> done) = 0;
  virtual Result<> close_stdin(const ContainerId& id) = 0;

  virtual Result<MonitorState> state(std::chrono::milliseconds patience = std::chrono::seconds(30)) = 0;
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
// A failure says nothing about whether the monitor lives: only its process does.
Result<std::shared_ptr<MonitorProcess>> connect_monitor(MonitorLoop& loop, const SandboxId& id,
                                                        const std::string& sandbox_dir,
                                                        std::chrono::milliseconds patience);

// The record that a monitor left at `exit_record_path`, for a daemon that finds no monitor any more. ENOENT: no exit
// yet.
Result<ExitRecord> read_exit_record(const std::string& path);

}  // namespace podshim
