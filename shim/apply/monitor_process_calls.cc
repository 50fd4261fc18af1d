// The calls of MonitorProcess: values -> records -> values.
#include <algorithm>
#include <array>

#include "common/log.h"
#include "shim/apply/monitor_process_connection.h"

namespace podshim {
namespace {

constexpr std::chrono::seconds kKillAnswer{1};  // of one who has waited already

WireId wire_id(const ContainerId& id) {
  WireId out;
  std::copy_n(id.str().data(), std::min(id.str().size(), sizeof out.hex), out.hex);
  return out;
}

sys::ProcessId process_of(const WireProcess& p) { return {.pid = p.pid, .start_ticks = p.start_ticks}; }

// An answer that is an error record becomes the error it describes; our own errors pass.
Result<std::string> named(Result<std::string> answer, const Program* program = nullptr) {
  if (answer || answer.error().op[0] != '\0') return answer;
  return fail(error_of(answer.error().subject, program));
}

Result<> no_value(Result<std::string> answer) {
  TRY(named(std::move(answer)));
  return {};
}

std::string id_payload(const ContainerId& id, std::uint64_t number = 0) {
  return PayloadWriter().record(IdRecord{.id = wire_id(id), .number = number}).take();
}

Error malformed() { return Error::of(ErrorKind::internal, "monitor", "answer", "it does not parse"); }

Result<StartRecord> start_record(const ContainerId* id, const CloneConfig& clone) {
  StartRecord record;
  if (id != nullptr) record.id = wire_id(*id);
  record.namespaces = clone.namespaces;
  if (clone.join_sandbox_pid) record.flags |= kStartJoinSandboxPid;
  if (!clone.join_pid_of.empty()) {
    record.flags |= kStartJoinPidOf;
    record.join_id = wire_id(TRY(ContainerId::parse(clone.join_pid_of)));
  }
  if (clone.cgroup) record.flags |= kStartHasCgroup;
  return record;
}

// Fds go in the order of protocol.h; absent ones leave no gap.
struct FdList {
  std::array<int, 4> fds{};
  std::size_t count = 0;
  void add(const Fd& fd) {
    if (fd) fds[count++] = fd.get();
  }
  std::span<const int> span() const { return {fds.data(), count}; }
};

void log_notes(const SandboxId& id, const StartedRecord& started, const Program& program) {
  for (std::uint32_t i = 0; i < std::min(started.note_count, kMaxStepNotes); i++)
    log::debug("a step that may fail did", {{"sandbox", id.brief()},
                                            {"step", program.print_step(started.notes[i].step)},
                                            {"error", errno_name(started.notes[i].err)}});
}

}  // namespace

Result<> MonitorConnection::hello(Clock::time_point deadline) {
  const std::string payload = PayloadWriter().record(HelloRecord{}).take();
  auto answer = TRY(named(call(MessageType::hello, payload, {}, 0, {.deadline = deadline})));
  HelloRecord record;
  if (!PayloadReader(answer).record(&record)) return fail(malformed());
  process_ = process_of(record.process);
  return {};
}

Result<StartedRecord> MonitorConnection::call_start(MessageType type, const StartRecord& start,
                                                    const ContainerStdio& stdio, const std::string& oom_file,
                                                    const std::string& exit_path, const Program& program,
                                                    std::span<const int> fds, const CallLimit& limit) {
  std::string encoded = program.encode();
  if (encoded.size() > kMaxProgram)
    return fail(Error::of(ErrorKind::resource_exhausted, "monitor", "program", "arguments and environment too large"));
  StartRecord record = start;
  record.log_path = static_cast<std::uint32_t>(stdio.log_path.size());
  record.oom_file = static_cast<std::uint32_t>(oom_file.size());
  record.exit_path = static_cast<std::uint32_t>(exit_path.size());
  record.program = static_cast<std::uint32_t>(encoded.size());
  PayloadWriter writer;
  writer.record(record).text(stdio.log_path).text(oom_file).text(exit_path).bytes(encoded);
  auto answer = TRY(named(call(type, writer.take(), fds, record.exec_id, limit), &program));
  StartedRecord started;
  if (!PayloadReader(answer).record(&started)) return fail(malformed());
  log_notes(id_, started, program);
  return started;
}

Result<sys::ProcessId> MonitorConnection::start_pause(const Program& program, CloneConfig clone) {
  FdList fds;
  fds.add(clone.cgroup);
  auto record = TRY(start_record(nullptr, clone));
  auto started = TRY_IN(call_start(MessageType::start_pause, record, {}, {}, {}, program, fds.span()), "start pause");
  return process_of(started.process);
}

Result<> MonitorConnection::set_shm(Fd shm) {
  const int fds[] = {shm.get()};
  return no_value(call(MessageType::set_shm, {}, fds));
}

Result<> MonitorConnection::create_container(const ContainerId& id, Fd root, std::vector<Fd> volumes) {
  std::vector<int> fds = {root.get()};
  for (const auto& volume : volumes) fds.push_back(volume.get());
  return no_value(call(MessageType::create_container, id_payload(id), fds));
}

Result<sys::ProcessId> MonitorConnection::start_container(const ContainerId& id, const Program& program,
                                                          CloneConfig clone, const ContainerStdio& stdio,
                                                          const std::string& oom_file,
                                                          const std::string& exit_record_path) {
  FdList fds;
  fds.add(clone.cgroup);
  auto record = TRY(start_record(&id, clone));
  record.log_max_bytes = stdio.log_max_bytes;
  record.log_max_files = stdio.log_max_files;
  if (stdio.tty) record.flags |= kStartTty;
  if (stdio.stdin_open) record.flags |= kStartStdinOpen;
  if (stdio.stdin_once) record.flags |= kStartStdinOnce;
  auto started =
      TRY(call_start(MessageType::start_container, record, stdio, oom_file, exit_record_path, program, fds.span()));
  return process_of(started.process);
}

Result<> MonitorConnection::signal_container(const ContainerId& id, int signal) {
  return no_value(call(MessageType::signal_container, id_payload(id, static_cast<std::uint64_t>(signal))));
}

Result<> MonitorConnection::remove_container(const ContainerId& id) {
  return no_value(call(MessageType::remove_container, id_payload(id)));
}

Result<> MonitorConnection::reopen_log(const ContainerId& id) {
  return no_value(call(MessageType::reopen_log, id_payload(id)));
}

Result<MonitorProcess::Exec> MonitorConnection::start_exec(const ContainerId& id, const Program& program,
                                                           CloneConfig clone, Fd in, Fd out, Fd err, bool tty,
                                                           std::function<void(Result<int> exit_code)> done,
                                                           const ExecWait& wait) {
  auto record = TRY(start_record(&id, clone));
  FdList fds;
  for (const Fd* fd : {&clone.cgroup, &in, &out, &err}) fds.add(*fd);
  if (in) record.flags |= kStartHasIn;
  if (out) record.flags |= kStartHasOut;
  if (err) record.flags |= kStartHasErr;
  if (tty) record.flags |= kStartTty;
  record.exec_id = TRY(expect_end(std::move(done)));
  const auto patience = std::min<std::chrono::milliseconds>(wait.patience, kMonitorCallDeadline);
  auto started = call_start(MessageType::start_exec, record, {}, {}, {}, program, fds.span(),
                            {.deadline = Clock::now() + patience, .given_up = wait.given_up});
  if (started) return Exec{.id = record.exec_id, .process = process_of(started->process)};
  expect_no_end(record.exec_id);
  // It may start after all once nobody waits for it. The monitor takes its requests in their order, however late.
  const ErrorKind kind = started.error().kind;
  if (kind == ErrorKind::deadline_exceeded || kind == ErrorKind::cancelled)
    (void)call(MessageType::kill_exec, id_payload(id, record.exec_id), {}, 0, {.deadline = Clock::now() + kKillAnswer});
  return fail(std::move(started).error());
}

Result<> MonitorConnection::kill_exec(std::uint64_t exec_id) {
  IdRecord record{.id = {}, .number = exec_id};
  return no_value(call(MessageType::kill_exec, PayloadWriter().record(record).take()));
}

Result<Fd> MonitorConnection::attach(const ContainerId& id, AttachPipes pipes, std::function<void(Result<int>)> done) {
  AttachRecord record{.id = wire_id(id)};
  FdList fds;
  fds.add(pipes.out);
  fds.add(pipes.err);
  if (pipes.out) record.flags |= kAttachOut;
  if (pipes.err) record.flags |= kAttachErr;
  if (pipes.in) record.flags |= kAttachIn;
  if (pipes.quiet) record.flags |= kAttachQuiet;
  record.attach_id = TRY(expect_end(std::move(done)));
  Fd input;
  auto answer =
      named(call(MessageType::attach, PayloadWriter().record(record).take(), fds.span(), record.attach_id, {}, &input));
  if (answer) return input;
  expect_no_end(record.attach_id);
  if (answer.error().kind == ErrorKind::unimplemented)
    return fail(Error::of(ErrorKind::failed_precondition, "attach", id.str(),
                          "its Pod was started by an older podshim, whose monitor cannot attach"));
  return fail(std::move(answer).error());
}

Result<> MonitorConnection::close_stdin(const ContainerId& id) {
  return no_value(call(MessageType::close_stdin, id_payload(id)));
}

namespace {

Result<MonitorContainer> container_of(const ContainerRecord& record) {
  auto id = TRY(ContainerId::parse(std::string(record.id.view())));
  MonitorContainer out{.id = id, .process = process_of(record.process), .exit = {}, .log_lost = record.log_dropped};
  switch (record.state) {
    case WireContainerState::created:
      out.state = MonitorContainer::State::created;
      break;
    case WireContainerState::running:
      out.state = MonitorContainer::State::running;
      break;
    case WireContainerState::exited:
      out.state = MonitorContainer::State::exited;
      out.exit = ExitRecord{.id = id,
                            .exit_code = record.exit_code,
                            .signal = record.signal,
                            .oom_killed = record.oom_killed != 0,
                            .finished_at_ns = record.finished_at_ns};
      break;
  }
  return out;
}

}  // namespace

Result<MonitorState> MonitorConnection::state(std::chrono::milliseconds patience) {
  auto answer = TRY(named(call(MessageType::state, {}, {}, 0, {.deadline = Clock::now() + patience})));
  PayloadReader reader(answer);
  StateRecord record;
  if (!reader.record(&record)) return fail(malformed());
  MonitorState state{.monitor = process_of(record.monitor),
                     .pause = process_of(record.pause),
                     .pause_running = record.pause_running != 0,
                     .containers = {},
                     .execs = {}};
  for (std::uint32_t i = 0; i < record.container_count; i++) {
    ContainerRecord container;
    if (!reader.record(&container)) return fail(malformed());
    state.containers.push_back(TRY(container_of(container)));
  }
  for (std::uint32_t i = 0; i < record.exec_count; i++) {
    ExecRecord exec;
    if (!reader.record(&exec)) return fail(malformed());
    MonitorExec out{.id = exec.id, .process = process_of(exec.process), .exit_code = {}};
    out.container = TRY(ContainerId::parse(std::string(exec.container.view())));
    if (exec.exited != 0) out.exit_code = exec.exit_code;
    state.execs.push_back(std::move(out));
  }
  return state;
}

Result<> MonitorConnection::shutdown(std::chrono::milliseconds deadline) {
  auto until = Clock::now() + deadline;
  {
    std::lock_guard lock(mutex_);
    shutting_down_ = true;
  }
  auto answer = no_value(call(MessageType::shutdown, {}, {}, 0, {.deadline = until}));
  bool died = !answer && answer.error().kind == ErrorKind::unavailable;
  if (answer || died) {
    // By the loop, not by the process: who lets go of this afterwards must not take from it what was said last.
    std::unique_lock lock(mutex_);
    if (end_told_.wait_until(lock, until, [&] { return ended_; })) return {};
    if (answer) answer = fail(Error::of(ErrorKind::deadline_exceeded, "shut down", "monitor", "it has not ended"));
  }
  std::lock_guard lock(mutex_);
  if (ended_) return {};  // just now, and the loop told nobody
  shutting_down_ = false;
  return answer;
}

}  // namespace podshim
