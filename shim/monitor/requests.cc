// The requests that are answered at once.
#include <signal.h>

#include <algorithm>

#include "common/fault.h"
#include "common/sys/file.h"
#include "shim/monitor/monitor.h"

namespace podshim {
namespace {

constexpr int kHighestSignal = 64;

template <typename T>
Result<T> read_record(const Request& request) {
  T record;
  if (!PayloadReader(request.payload).record(&record)) return fail(Error::invalid("payload", "short"));
  return record;
}

std::string hex_of(const WireId& id) { return std::string(id.view()); }

}  // namespace

Monitor::Container* Monitor::find_container(const WireId& id) {
  for (auto& container : containers_)
    if (container->id.view() == id.view()) return container.get();
  return nullptr;
}

Result<Monitor::Container*> Monitor::need_container(const WireId& id) {
  if (auto* container = find_container(id)) return container;
  return fail(Error::of(ErrorKind::not_found, "monitor", hex_of(id), "no such container here"));
}

Monitor::Answer Monitor::hello(Request&) {
  HelloRecord record{.process = self_.process};
  return PayloadWriter().record(record).take();
}

Monitor::Answer Monitor::set_shm(Request& request) {
  Fd mount = request.take_fd();
  if (!mount) return fail(Error::invalid("shm", "no mount given"));
  shm_.set(std::move(mount));
  return "";
}

Monitor::Answer Monitor::create_container(Request& request) {
  auto record = TRY(read_record<IdRecord>(request));
  Fd root = request.take_fd();
  if (!root) return fail(Error::invalid("root", "no mount given"));
  if (find_container(record.id) != nullptr)
    return fail(Error::of(ErrorKind::already_exists, "create container", hex_of(record.id)));
  auto container = std::make_unique<Container>();
  container->id = record.id;
  container->root = std::move(root);
  for (Fd volume = request.take_fd(); volume; volume = request.take_fd())
    container->volumes.push_back(std::move(volume));
  if (container->volumes.size() > kMaxImageVolumes) return fail(Error::invalid("volumes", "too many"));
  fault_point("hold container");
  containers_.push_back(std::move(container));
  return "";
}

Monitor::Answer Monitor::signal_container(Request& request) {
  auto record = TRY(read_record<IdRecord>(request));
  auto* container = TRY(need_container(record.id));
  if (record.number > kHighestSignal) return fail(Error::invalid("signal", std::to_string(record.number)));
  // Not reaped yet, so the pid is this process's and nobody else's.
  fault_point("signal");
  if (container->child && ::kill(container->process.pid, static_cast<int>(record.number)) != 0 && errno != ESRCH)
    return fail(Error::sys("kill", hex_of(record.id)));
  return "";
}

Monitor::Answer Monitor::remove_container(Request& request) {
  auto record = TRY(read_record<IdRecord>(request));
  auto* container = find_container(record.id);
  if (container == nullptr) return "";
  if (container->child)
    return fail(Error::of(ErrorKind::failed_precondition, "remove container", hex_of(record.id), "it is running"));
  fault_point("drop container");
  std::erase_if(containers_, [&](const auto& c) { return c.get() == container; });
  return "";
}

Monitor::Answer Monitor::reopen_log(Request& request) {
  auto record = TRY(read_record<IdRecord>(request));
  auto* container = TRY(need_container(record.id));
  if (!container->io)
    return fail(Error::of(ErrorKind::failed_precondition, "reopen log", hex_of(record.id), "it is not running"));
  TRY(container->io->reopen_log());
  return "";
}

Monitor::Answer Monitor::attach(Request& request) {
  auto record = TRY(read_record<AttachRecord>(request));
  auto* container = TRY(need_container(record.id));
  if (!container->child || !container->io)
    return fail(Error::of(ErrorKind::failed_precondition, "attach", hex_of(record.id), "it is not running"));
  AttachSinks sinks{.id = record.attach_id,
                    .connection = request.connection,
                    .out = {},
                    .err = {},
                    .quiet = (record.flags & kAttachQuiet) != 0};
  if ((record.flags & kAttachOut) != 0) sinks.out = request.take_fd();
  if ((record.flags & kAttachErr) != 0) sinks.err = request.take_fd();
  if (!sinks.out && !sinks.err) return fail(Error::invalid("attach", "no pipe given"));
  Fd input;
  if ((record.flags & kAttachIn) != 0) input = TRY(container->io->input());
  TRY(container->io->attach(std::move(sinks)));
  request.answer_fd = std::move(input);
  return PayloadWriter().record(AttachedRecord{}).take();
}

Monitor::Answer Monitor::close_stdin(Request& request) {
  auto record = TRY(read_record<IdRecord>(request));
  auto* container = TRY(need_container(record.id));
  if (container->io) container->io->close_stdin();
  return "";
}

// The whole session: an exec is the leader of its own.
Monitor::Answer Monitor::kill_exec(Request& request) {
  auto record = TRY(read_record<IdRecord>(request));
  for (auto& exec : execs_) {
    if (exec->id != record.number || !exec->child) continue;
    ::kill(-exec->process.pid, SIGKILL);
    ::kill(exec->process.pid, SIGKILL);
  }
  return "";
}

ContainerRecord Monitor::record_of(const Container& container) const {
  ContainerRecord record{.id = container.id, .process = container.process};
  if (container.exit) {
    record.state = WireContainerState::exited;
    record.exit_code = container.exit->code;
    record.signal = container.exit->signal;
    record.oom_killed = container.exit->oom_killed ? 1 : 0;
    record.finished_at_ns = container.exit->finished_at_ns;
  } else if (container.child && container.child->phase() == Child::Phase::running) {
    record.state = WireContainerState::running;
  }
  record.log_dropped = container.io ? container.io->dropped() : container.log_dropped;
  return record;
}

ExecRecord Monitor::record_of(const Exec& exec) {
  return {.id = exec.id,
          .container = exec.container,
          .process = exec.process,
          .exited = exec.exit_code ? 1U : 0U,
          .exit_code = exec.exit_code.value_or(0)};
}

Monitor::Answer Monitor::state() {
  StateRecord record{.monitor = self_.process, .pause = pause_process_};
  record.pause_running = pause_ && pause_->phase() == Child::Phase::running ? 1 : 0;
  record.container_count = static_cast<std::uint32_t>(containers_.size());
  record.exec_count = static_cast<std::uint32_t>(execs_.size());
  PayloadWriter writer;
  writer.record(record);
  for (const auto& container : containers_) writer.record(record_of(*container));
  for (const auto& exec : execs_) writer.record(record_of(*exec));
  std::erase_if(execs_, [](const auto& exec) { return exec->exit_code.has_value(); });
  return writer.take();
}

Monitor::Answer Monitor::shutdown(Request& request) {
  for (const auto& container : containers_)
    if (container->child)
      return fail(Error::of(ErrorKind::failed_precondition, "shut down", hex_of(container->id), "it is running"));
  for (const auto& exec : execs_)
    if (exec->child) ::kill(-exec->process.pid, SIGKILL);
  shutdown_request_ = request.header.request;
  shutdown_connection_ = request.connection;
  if (pause_) {
    fault_point("end pause");
    ::kill(pause_->process().pid, SIGKILL);  // pause_process_ is not known before its exec
    return std::nullopt;                     // pause_ended() answers
  }
  loop_.stop();
  return "";
}

}  // namespace podshim
