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
  // The main process was not pid 1 of its namespace: what it left running goes with it, and then it has ended.
  chores_.post([this, container, record] {
    if (auto killed = host().kill_cgroup(container->cgroup, kKillPatience); !killed)
      log::warn("the tree of an ended container stays",
                {{"container", container->id.str()}, {"error", killed.error().text()}});
    note_exit(container, exit_of(record));
  });
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
    container->stats = nullptr;
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
    std::lock_guard lock(sandbox->mutex);
    sandbox->monitor = nullptr;
  }
  for (const auto& container : table_.containers_of(sandbox->id)) {
    if (container->state() != ContainerState::running) continue;
    if (auto killed = host().kill_cgroup(container->cgroup, kKillPatience); !killed)
      log::warn("container not killed", {{"container", container->id.str()}, {"error", killed.error().text()}});
    settle_lost_exit(container);
  }
  if (auto killed = host().kill_cgroup(monitor_cgroup(sandbox->id), kKillPatience); !killed)
    log::warn("pause not killed", {{"sandbox", sandbox->id.str()}, {"error", killed.error().text()}});
}

}  // namespace podshim::lifecycle
