// Monitor: one Pod's processes, and the conversation about them (protocol.h). One thread, one Loop.
//
// It is the parent of pause, of every container and of every exec; it holds their stdio, writes logs and exit records,
// and outlives any number of daemons: what happens meanwhile is kept and told by `state`. It decides nothing: what a
// child does comes as a program, what a failure means is the daemon's business.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shim/monitor/child.h"
#include "shim/monitor/connection.h"
#include "shim/monitor/container_io.h"
#include "shim/monitor/exit_record.h"
#include "shim/monitor/shm_mount.h"

namespace podshim {

class Monitor final : public ConnectionOwner, public ChildOwner, public AttachOwner {
 public:
  Monitor(Loop& loop, Fd listener, Fd dir);
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;
  // Takes the daemon's first connection, and signals from here on.
  Result<> open(Fd first_connection);

  void handle(Connection& connection, Request& request) override;
  void connection_lost(Connection& connection) override;
  void child_started(Child& child) override;
  void attach_ended(std::uint64_t id, std::uint64_t connection, bool lost) override;

 private:
  struct Container {
    WireId id;
    Fd root;
    std::vector<Fd> volumes;  // images, for the start
    std::unique_ptr<ContainerIo> io;
    std::unique_ptr<Child> child;
    std::string oom_file, exit_path;
    WireProcess process;
    std::optional<ExitInfo> exit;
    std::uint64_t log_dropped = 0;
  };
  struct Exec {
    std::uint64_t id = 0;
    WireId container;
    std::unique_ptr<Child> child;
    WireProcess process;
    std::optional<std::int32_t> exit_code;
  };
  struct Namespaces {
    Fd net, ipc, uts, pid, user;
  };
  // What every start request holds, taken apart.
  struct Start {
    StartRecord record;
    std::string_view log_path, oom_file, exit_path;
    DecodedProgram program;
    Fd cgroup, in, out, err;
  };
  // A request's answer; nothing = it comes later.
  using Answer = Result<std::optional<std::string>>;

  template <void (Monitor::*kMethod)()>
  struct MethodWatch final : Watch {
    explicit MethodWatch(Monitor& m) : monitor(m) {}
    void ready(std::uint32_t) override { (monitor.*kMethod)(); }
    Monitor& monitor;
  };

  void accept_daemon();
  void adopt_connection(Fd socket);
  void take_signals();
  Answer answer(Request& request);

  // requests.cc
  Answer hello(Request& request);
  Answer set_shm(Request& request);
  Answer create_container(Request& request);
  Answer signal_container(Request& request);
  Answer remove_container(Request& request);
  Answer reopen_log(Request& request);
  Answer kill_exec(Request& request);
  Answer state();
  Answer shutdown(Request& request);
  Answer attach(Request& request);
  Answer close_stdin(Request& request);
  Container* find_container(const WireId& id);
  Result<Container*> need_container(const WireId& id);
  ContainerRecord record_of(const Container& container) const;
  static ExecRecord record_of(const Exec& exec);

  // start_requests.cc
  Result<Start> read_start(Request& request);
  Result<std::unique_ptr<Child>> start_child(ChildRole role, const Request& request, const LaunchConfig& config);
  Answer start_pause(Request& request);
  Answer start_container(Request& request);
  Answer start_exec(Request& request);
  Result<> open_sandbox_namespaces();
  Result<Fd> pid_namespace(const StartRecord& record);
  void fill_sandbox_slots(LaunchConfig& config) const;
  Result<Fd> pause_program();

  // reap.cc
  void reap(pid_t pid, int wait_status);
  void start_failed(const Child& child, int wait_status);
  void container_ended(Container& container, int wait_status);
  void exec_ended(Exec& exec, int wait_status);
  void pause_ended(int wait_status);
  void log_lost(const Container& container);
  void event(MessageType type, std::string_view record);
  void complain(const Error& error);

  Loop& loop_;
  Fd listener_, dir_, signals_;
  MonitorSelf self_;
  static constexpr std::size_t kReadBuffer = 64 * 1024;  // a full pipe; pages are only taken when logs flow
  std::unique_ptr<char[]> buffer_;
  std::unique_ptr<Connection> connection_;
  std::uint64_t connections_ = 0;
  MethodWatch<&Monitor::accept_daemon> on_listener_{*this};
  MethodWatch<&Monitor::take_signals> on_signals_{*this};

  std::unique_ptr<Child> pause_;
  WireProcess pause_process_;
  Namespaces sandbox_;
  ShmMount shm_;
  std::vector<std::unique_ptr<Container>> containers_;
  std::vector<std::unique_ptr<Exec>> execs_;
  std::optional<std::uint64_t> shutdown_request_;
  std::uint64_t shutdown_connection_ = 0;
};

}  // namespace podshim
