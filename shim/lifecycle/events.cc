// Exits and dead monitors. Events come on the monitor loop's thread: it changes the record in memory, publishes and
// tells who waits; what may block (a cgroup to kill, a record to write) is a chore.
#include <signal.h>

#include "common/log.h"
#include "shim/lifecycle/node_runtime.h"
#include "shim/plan/namespaces.h"

namespace podshim::lifecycle {
namespace {

state::ContainerExit exit_of(const ExitRecord& record) {
  state::ContainerExit out{.code = record.exit_code,
                           .signal = record.signal,
                           .oom_killed = record.oom_killed,
                           .finished_at_ns = record.finished_at_ns};
  out.reason = record.oom_killed ? "OOMKilled" : record.exit_code == 0 ? "Completed" : "Error";
  return out;
}

}  // namespace

void NodeRuntime::container_exited(const SandboxId&, const ExitRecord& record) {
  auto found = table_.container(record.id.str());
  if (!found || !*found) return;
  auto container = *std::move(found);
  if (!shares_pid(*container)) return note_exit(container, exit_of(record));
  // The main process was not pid 1 of its namespace: what it left running goes with it, and then it has ended. Of what
  // does not die the end is told when the kills' patience is over.
  chores_.post([this, container, record] {
    kill_and_then(container->cgroup, [this, container, record] { note_exit(container, exit_of(record)); });
  });
}

// The record is written with the container's next change: until then the monitor knows.
void NodeRuntime::log_lost(const SandboxId&, const ContainerId& id, std::uint64_t bytes) {
  auto found = table_.container(id.str());
  if (!found || !*found) return;
  {
    std::lock_guard lock((*found)->mutex);
    if ((*found)->record.log_lost == bytes) return;
    (*found)->record.log_lost = bytes;
  }
  publish(**found);
  log::warn("container log lost bytes", {{"container", id.str()}, {"bytes", bytes}});
}

bool NodeRuntime::shares_pid(const Container& container) const {
  const auto& security = container.record.spec.security;
  auto plan = plan_container_namespaces(container.sandbox->record.spec.namespaces, security.namespaces,
                                        security.privileged, parts_.facts);
  return plan && plan->shared_pid;
}

void NodeRuntime::note_exit(const std::shared_ptr<Container>& container, const state::ContainerExit& exit) {
  {
    std::lock_guard lock(container->mutex);
    if (container->record.exit) return;
    container->record.exit = exit;
    container->meter = {};
  }
  publish(*container);
  container->ended.notify_all();
  log::info("container exited", {{"container", container->id.str()},
                                 {"name", container->record.spec.metadata.name},
                                 {"code", exit.code},
                                 {"reason", exit.reason}});
  // Until it is written, the monitor's exit record says the same.
  chores_.post([this, container] {
    if (auto written = persist(*container); !written)
      log::warn("record not written", {{"container", container->id.str()}, {"error", written.error().text()}});
  });
}

void NodeRuntime::pause_exited(const SandboxId& id, int wait_status) {
  auto sandbox = table_.gone(id);
  if (!sandbox) return;
  chores_.post([this, sandbox, wait_status] {
    mark_not_ready(sandbox, "pause ended, wait status " + std::to_string(wait_status));
  });
}

void NodeRuntime::monitor_gone(const SandboxId& id) {
  if (auto sandbox = table_.gone(id)) chores_.post([this, sandbox] { bury_monitor(sandbox); });
}

void NodeRuntime::mark_not_ready(const std::shared_ptr<Sandbox>& sandbox, const std::string& why) {
  {
    std::lock_guard lock(sandbox->mutex);
    if (sandbox->stopping || !sandbox->record.ready) return;
    sandbox->record.ready = false;
  }
  publish(*sandbox);
  log::warn("sandbox not ready", {{"sandbox", sandbox->id.str()}, {"why", why}});
  if (auto written = persist(*sandbox); !written)
    log::warn("record not written", {{"sandbox", sandbox->id.str()}, {"error", written.error().text()}});
}

// Without its monitor a Pod has no log, no exec, no exit codes: it ends. Its containers have PDEATHSIG; the cgroups
// make sure of their trees.
void NodeRuntime::bury_monitor(const std::shared_ptr<Sandbox>& sandbox) {
  mark_not_ready(sandbox, "its monitor is gone");
  {
    std::shared_ptr<MonitorProcess> last;  // the ends of its sessions are told without the lock
    std::lock_guard lock(sandbox->mutex);
    last.swap(sandbox->monitor);
    sandbox->monitor_lost = true;
  }
  for (const auto& container : table_.containers_of(sandbox->id)) {
    if (container->state() != ContainerState::running) continue;
    kill_and_then(container->cgroup, [this, container] { settle_soon(container); });
  }
  kill_and_then(monitor_cgroup(sandbox->id), [] {});
}

// Waits for nothing: what does not die at once is left to the kills, and `then` is a chore. It may come twice: of what
// is late too, because a main process can have ended when its tree has not. There is no mark for the next daemon: it
// finds the records as they are and the monitor gone, or is told of the exit, and comes here again.
void NodeRuntime::kill_and_then(const CgroupPaths& cgroup, const std::function<void()>& then) {
  if (host().kill_cgroup(cgroup, milliseconds(0))) return then();
  auto post = [this, then] { chores_.post(then); };
  kills_.kill(cgroup, post, post);
}

}  // namespace podshim::lifecycle
