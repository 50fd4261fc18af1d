// How starts are answered and ends are told.
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>

#include "common/fault.h"
#include "shim/monitor/monitor.h"

namespace podshim {
namespace {

constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

std::int64_t now_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return time.tv_sec * kNanosPerSecond + time.tv_nsec;
}

std::string ended_before_exec(int wait_status) {
  if (WIFSIGNALED(wait_status)) return "killed before exec by signal " + std::to_string(WTERMSIG(wait_status));
  return "ended before exec with status " + std::to_string(WEXITSTATUS(wait_status));
}

template <typename T>
std::string_view bytes_of(const T& record) {
  return {reinterpret_cast<const char*>(&record), sizeof record};
}

}  // namespace

void Monitor::child_started(Child& child) {
  fault_point("child started");
  if (child.role() == ChildRole::pause) {
    pause_process_ = child.process();
    if (auto opened = open_sandbox_namespaces(); !opened) complain(opened.error());
  }
  if (child.role() == ChildRole::container)
    for (auto& container : containers_)
      if (container->child.get() == &child) {  // they are the container's now
        container->root.reset();
        container->volumes.clear();
      }
  if (!connection_ || connection_->serial() != child.connection) return;
  auto record = child.started_record();
  connection_->send(MessageType::reply, child.request, bytes_of(record));
}

void Monitor::reap(pid_t pid, int wait_status) {
  fault_point("reaped");
  auto ended = [&](const std::unique_ptr<Child>& child) { return child && child->process().pid == pid; };
  // The pipe first: an exec that happened is told before its end.
  if (ended(pause_)) {
    pause_->ready(0);
    return pause_ended(wait_status);
  }
  for (auto& container : containers_)
    if (ended(container->child)) {
      container->child->ready(0);
      return container_ended(*container, wait_status);
    }
  for (auto& exec : execs_)
    if (ended(exec->child)) {
      exec->child->ready(0);
      return exec_ended(*exec, wait_status);
    }
  // Anything else is an orphan of a container, come here because this is its subreaper.
}

void Monitor::start_failed(const Child& child, int wait_status) {
  if (!connection_ || connection_->serial() != child.connection) return;
  if (!child.has_failure())
    return connection_->send_error(child.request,
                                   Error::of(ErrorKind::unavailable, "start", "child", ended_before_exec(wait_status)));
  const auto& failure = child.failure();
  connection_->send_error(child.request, Error::sys("step", std::to_string(failure.step), {}, failure.err),
                          static_cast<std::int32_t>(failure.step));
}

void Monitor::container_ended(Container& container, int wait_status) {
  auto child = std::move(container.child);
  if (child->phase() != Child::Phase::running) {
    container.io.reset();
    container.process = {};
    return start_failed(*child, wait_status);
  }
  ExitInfo exit = exit_of(wait_status, now_ns());
  exit.oom_killed = oom_kills(container.oom_file) > 0;
  container.io->drain();
  container.log_dropped = container.io->dropped();
  if (!container.io->logging()) container.io.reset();
  if (!container.exit_path.empty())
    if (auto written = write_exit_record(container.exit_path, container.id.view(), exit); !written)
      complain(written.error());
  container.exit = exit;
  fault_point("tell exit");
  event(MessageType::container_exited, bytes_of(record_of(container)));
}

void Monitor::log_lost(const Container& container) { event(MessageType::log_lost, bytes_of(record_of(container))); }

void Monitor::exec_ended(Exec& exec, int wait_status) {
  auto child = std::move(exec.child);
  bool told = true;
  if (child->phase() != Child::Phase::running) {
    start_failed(*child, wait_status);
  } else {
    exec.exit_code = exit_of(wait_status, 0).code;
    // Only the daemon that asked has somebody who waits for it; else it is kept for `state`.
    told = connection_ && connection_->serial() == child->connection;
    if (told) event(MessageType::exec_exited, bytes_of(record_of(exec)));
  }
  if (told || !exec.exit_code) std::erase_if(execs_, [&](const auto& e) { return e.get() == &exec; });
}

// A new daemon has no use for the clients of an earlier one.
void Monitor::attach_ended(std::uint64_t id, std::uint64_t connection, bool lost) {
  if (!connection_ || connection_->serial() != connection) return;
  AttachEndRecord record{.attach_id = id, .lost = lost ? 1U : 0U};
  event(MessageType::attach_ended, bytes_of(record));
}

void Monitor::pause_ended(int wait_status) {
  auto child = std::move(pause_);
  const bool started = child->phase() == Child::Phase::running;
  if (!started) start_failed(*child, wait_status);
  if (!started && !shutdown_request_) return;
  fault_point("pause ended");
  if (shutdown_request_) {
    if (connection_ && connection_->serial() == shutdown_connection_)
      connection_->send(MessageType::reply, *shutdown_request_, "");
    return loop_.stop();
  }
  PauseExitRecord record{.wait_status = wait_status};
  event(MessageType::pause_exited, bytes_of(record));
}

}  // namespace podshim
