// MonitorConnection: MonitorProcess over one socket. Calls send from the caller's thread and wait for the loop's thread
// to hand them the answer with their id; nothing is held while a send waits for room. Private to
// shim/apply/monitor_process*.cc.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/sys/seqpacket.h"
#include "shim/apply/monitor_process.h"
#include "shim/monitor/protocol.h"

namespace podshim {

inline constexpr std::chrono::seconds kMonitorCallDeadline{30};

struct CallLimit {
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::now() + kMonitorCallDeadline;
  std::stop_token given_up = {};
};

class MonitorConnection final : public MonitorProcess {
 public:
  using Clock = std::chrono::steady_clock;

  MonitorConnection(MonitorEvents& events, SandboxId id, Fd socket);
  ~MonitorConnection() override { broken(); }  // who waits for the end of a session hears nothing more from the loop
  MonitorConnection(const MonitorConnection&) = delete;
  MonitorConnection& operator=(const MonitorConnection&) = delete;

  Result<sys::ProcessId> start_pause(const Program& program, CloneConfig clone) override;
  Result<> set_shm(Fd shm) override;
  Result<> create_container(const ContainerId& id, Fd root, std::vector<Fd> volumes) override;
  Result<sys::ProcessId> start_container(const ContainerId& id, const Program& program, CloneConfig clone,
                                         const ContainerStdio& stdio, const std::string& oom_file,
                                         const std::string& exit_record_path) override;
  Result<> signal_container(const ContainerId& id, int signal) override;
  Result<> remove_container(const ContainerId& id) override;
  Result<> reopen_log(const ContainerId& id) override;
  Result<Exec> start_exec(const ContainerId& id, const Program& program, CloneConfig clone, Fd in, Fd out, Fd err,
                          bool tty, std::function<void(Result<int> exit_code)> done, const ExecWait& wait) override;
  Result<> kill_exec(std::uint64_t exec_id) override;
  Result<Fd> attach(const ContainerId& id, AttachPipes pipes, std::function<void(Result<int>)> done) override;
  Result<> close_stdin(const ContainerId& id) override;
  Result<MonitorState> state(std::chrono::milliseconds patience) override;
  Result<> shutdown(std::chrono::milliseconds deadline) override;
  sys::ProcessId process() const override { return process_; }

  // First of all calls; learns the monitor's process.
  Result<> hello(Clock::time_point deadline);
  void set_pidfd(Fd pidfd) { pidfd_ = std::move(pidfd); }
  const Fd& socket() const { return socket_; }
  const Fd& pidfd() const { return pidfd_; }
  void set_loop_thread(std::thread::id id) { loop_thread_ = id; }

  // The loop's thread.
  bool receive();        // everything that waits; false at the end of the stream
  void broken();         // the stream has ended: calls and execs fail
  void process_ended();  // the monitor is no more

 private:
  struct Pending {
    std::condition_variable ready;
    bool done = false, given_up = false;
    std::uint64_t session = 0;
    Result<std::string> answer;
    Fd fd;
  };
  // Who waits for the end of an exec or an attach; one space of ids for both.
  struct Session {
    bool started = false;
    std::function<void(Result<int>)> done;
  };
  Result<std::string> call(MessageType type, std::string_view payload, std::span<const int> fds = {},
                           std::uint64_t session = 0, const CallLimit& limit = {}, Fd* answer_fd = nullptr);
  Result<> send(const MessageHeader& header, std::string_view payload, std::span<const int> fds,
                Clock::time_point deadline);
  Result<StartedRecord> call_start(MessageType type, const StartRecord& record, const ContainerStdio& stdio,
                                   const std::string& oom_file, const std::string& exit_path, const Program& program,
                                   std::span<const int> fds, const CallLimit& limit = {});
  Error gone_error() const;
  Result<std::uint64_t> expect_end(std::function<void(Result<int>)> done);
  void expect_no_end(std::uint64_t session);
  void dispatch(const MessageHeader& header, std::string_view payload, Fd fd);
  void dispatch_event(MessageType type, std::string_view payload);
  void finish(std::uint64_t request, Result<std::string> answer, Fd fd = Fd());
  void session_ended(std::uint64_t session, Result<int> result);

  MonitorEvents& events_;
  const SandboxId id_;
  Fd socket_, pidfd_;
  sys::ProcessId process_;
  std::thread::id loop_thread_;

  std::mutex mutex_;  // guards all below
  std::uint64_t next_request_ = 1;
  std::map<std::uint64_t, Pending*> pending_;
  std::map<std::uint64_t, Session> sessions_;
  bool broken_ = false, shutting_down_ = false, ended_ = false;
  std::condition_variable end_told_;  // of ended_: the loop has passed on what the monitor said last
};

// ErrorRecord -> Error; with the program that was sent, a failed step is named.
Error error_of(std::string_view payload, const Program* program);

}  // namespace podshim
