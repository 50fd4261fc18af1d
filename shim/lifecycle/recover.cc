// Recovery after a start: records -> objects; monitors are found again; what ended meanwhile is noted; intents are
// rolled back. Decided by boot id, never by the clock. docs/recovery.md has the table of cases.
#include <signal.h>

#include <algorithm>
#include <thread>

#include "common/log.h"
#include "common/sys/file.h"
#include "shim/lifecycle/node_runtime.h"

namespace podshim::lifecycle {
namespace {

constexpr std::string_view kSandboxRecord = "sandbox-", kContainerRecord = "container-";  // in the quarantine
constexpr std::size_t kAdopters = 8;
constexpr milliseconds kMonitorPatience{500};

void warn_step(const char* step, const std::string& id, const Result<>& r) {
  if (!r) log::warn("roll back", {{"step", step}, {"id", id}, {"error", r.error().text()}});
}

}  // namespace

Result<> NodeRuntime::recover() {
  take_records(TRY(journal_.read_all()));
  resume_kills();
  const std::string boot = host().boot_id();
  adopt_all(table_.sandboxes(), boot);
  published_.replace([&] {
    Snapshot all;
    for (const auto& s : table_.sandboxes()) all.sandboxes.push_back(s->view());
    for (const auto& c : table_.containers()) all.containers.push_back(c->view());
    return all;
  });
  return {};
}

// Events of monitors find the objects in the table: it is filled before the first monitor is connected.
void NodeRuntime::take_records(state::Contents contents) {
  for (const auto& q : contents.newly_quarantined) {
    log::error("record set aside", {{"record", q}});
    if (!q.starts_with(kSandboxRecord)) continue;
    // Its netns may be gone (a restart of the machine), its addresses are not.
    if (auto id = SandboxId::parse(q.substr(kSandboxRecord.size(), q.find(':') - kSandboxRecord.size())))
      owe_del_of_lost(*id, host().netns_path(parts_.instance.netns_name(*id)));
  }
  for (const auto& q : contents.quarantined) {
    quarantined_.push_back(q.name + ": " + q.reason);
    if (q.name.starts_with(kSandboxRecord) || q.name.starts_with(kContainerRecord)) set_aside_ += q.name + "\n";
  }
  const std::string& lost_id = parts_.instance.replaced();
  if (!lost_id.empty() && std::ranges::find(quarantined_, "instance: " + lost_id) == quarantined_.end())
    quarantined_.push_back("instance: " + lost_id);  // its file was missing: nothing to set aside
  for (auto& record : contents.sandboxes) {
    parents_.insert(record.cgroup_parent);
    const SandboxId id = record.id;
    if (!record.created) {
      // In the background: a CNI plugin that hangs must not keep the daemon from serving.
      table_.begin(id.str());
      plugin_chores_.post([this, record] { roll_back(record); });
      continue;
    }
    auto plan = plan_sandbox({.spec = record.spec,
                              .host = parts_.facts,
                              .instance = instance(),
                              .id = id,
                              .default_cgroup_parent = parts_.config.podshim.cgroup_parent,
                              .staging_dir = staging_dir()});
    auto facts = facts_of(id, record.spec, plan ? plan->hostname : record.spec.hostname);
    table_.add(std::make_shared<Sandbox>(std::move(record), std::move(facts)));
  }
  for (auto& record : contents.containers) {
    auto sandbox = table_.sandbox(record.sandbox.str());
    if (!record.created || !sandbox || !*sandbox) {
      roll_back(record);
      continue;
    }
    auto cgroup = cgroup_of((*sandbox)->record, record.id);
    table_.add(std::make_shared<Container>(std::move(record), *sandbox, std::move(cgroup)));
  }
}

// One that is silent costs its patience: it must not hold up the others.
void NodeRuntime::adopt_all(const std::vector<std::shared_ptr<Sandbox>>& sandboxes, const std::string& boot_id) {
  std::atomic<std::size_t> next{0};
  auto work = [&] {
    for (std::size_t i = next++; i < sandboxes.size(); i = next++) adopt(sandboxes[i], boot_id);
  };
  std::vector<std::jthread> threads;
  for (std::size_t i = 1; i < std::min(kAdopters, sandboxes.size()); i++) threads.emplace_back(work);
  work();
}

// The kernel's word decides: as long as the monitor's process is there its Pod lives, reached or not.
void NodeRuntime::adopt(const std::shared_ptr<Sandbox>& sandbox, const std::string& boot_id) {
  if (sandbox->record.boot_id != boot_id) return end_earlier_boot(sandbox);
  if (host().has_ended(sandbox->record.monitor).value_or(false)) return bury_monitor(sandbox);
  auto adopted = adopt_monitor(sandbox);
  if (adopted) return;
  std::lock_guard lock(notes_);
  unreached_.insert(sandbox->id.str());
  if (told_unreached_.insert(sandbox->id.str()).second)
    log::warn("monitor not reached; asked again", {{"sandbox", sandbox->id.str()}, {"error", adopted.error().text()}});
}

// From housekeeping.
void NodeRuntime::adopt_unreached() {
  std::set<std::string> again;
  {
    std::lock_guard lock(notes_);
    again.swap(unreached_);
  }
  for (const auto& id : again) {
    auto sandbox = table_.sandbox(id).value_or(nullptr);
    if (!sandbox) continue;
    std::unique_lock one(sandbox->operation, std::try_to_lock);
    if (!one) {  // a stop is under way; it may hang in a plugin
      std::lock_guard lock(notes_);
      unreached_.insert(id);
      continue;
    }
    if (sandbox->stopped()) continue;
    adopt(sandbox, sandbox->record.boot_id);
    if (sandbox->live_monitor()) log::info("monitor reached", {{"sandbox", id}});
  }
}

Result<> NodeRuntime::adopt_monitor(const std::shared_ptr<Sandbox>& sandbox) {
  auto monitor = TRY(host().connect_monitor(sandbox->id, state_dir(sandbox->id), kMonitorPatience));
  if (monitor->process() != sandbox->record.monitor)
    return fail(
        Error::of(ErrorKind::unavailable, "connect monitor", sandbox->id.str(), "another process is at its socket"));
  const auto ours = table_.containers_of(sandbox->id);  // before its answer: what comes later is not lost
  const MonitorState state = TRY(monitor->state(kMonitorPatience));
  {
    std::lock_guard lock(sandbox->mutex);
    if (!sandbox->monitor_lost) sandbox->monitor = monitor;
  }
  if (!state.pause_running) mark_not_ready(sandbox, "pause is not running");
  std::set<std::string> seen;
  for (const auto& one : state.containers) {
    seen.insert(one.id.str());
    auto container = table_.container(one.id.str());
    if (container && *container) {
      adopt_container(*container, one);
      continue;
    }
    // Its record is gone: a create or a remove that was cut short. The sweep kills what is left in its cgroup.
    if (one.state == MonitorContainer::State::running) (void)monitor->signal_container(one.id, SIGKILL);
    (void)monitor->remove_container(one.id);
  }
  for (const auto& container : ours)
    if (!seen.contains(container->id.str())) settle_soon(container);  // a start of the daemon waits for no process
  for (const auto& exec : state.execs)
    if (!exec.exit_code) kill_unowned(*monitor, exec);
  // Who buried the Pod meanwhile saw nothing of what its monitor had just told.
  const bool lost = [&] {
    std::lock_guard lock(sandbox->mutex);
    return sandbox->monitor_lost;
  }();
  if (lost) bury_monitor(sandbox);
  return {};
}

void NodeRuntime::adopt_container(const std::shared_ptr<Container>& container, const MonitorContainer& seen) {
  bool changed = false;
  {
    std::lock_guard lock(container->mutex);
    auto& record = container->record;
    if (seen.state != MonitorContainer::State::created && record.started_at_ns == 0 && !record.exit) {
      // The daemon died between the start and its record.
      record.started_at_ns = seen.exit ? seen.exit->finished_at_ns : host().now_ns();
      changed = true;
    }
    if (seen.process.pid != 0 && record.process != seen.process) {
      record.process = seen.process;
      changed = true;
    }
  }
  if (changed) {
    publish(*container);
    if (auto written = persist(*container); !written)
      log::warn("record not written", {{"container", container->id.str()}, {"error", written.error().text()}});
  }
  // Who asked for this start is gone, and nobody would be told of its end.
  if (seen.state == MonitorContainer::State::created && seen.process.pid != 0) end_unowned_start(*container);
  if (seen.log_lost != 0) log_lost(container->sandbox->id, container->id, seen.log_lost);
  if (seen.exit) return container_exited(container->sandbox->id, *seen.exit);
  if (container->copy().updating) finish_update(*container);
}

void NodeRuntime::end_unowned_start(const Container& container) {
  log::warn("start cut short by the daemon's end; killed", {{"container", container.id.str()}});
  // It may be on its way into the cgroup, or hang in a mount there; on v1 it may be frozen.
  (void)host().kill_cgroup(container.cgroup, milliseconds(0));
  if (auto monitor = container.sandbox->live_monitor()) (void)monitor->signal_container(container.id, SIGKILL);
}

// The machine was restarted: no process, no netns, no cgroup of it is left. Its names stay taken until it is removed,
// attempt + 1 is free. DEL is still due and comes with StopPodSandbox.
void NodeRuntime::end_earlier_boot(const std::shared_ptr<Sandbox>& sandbox) {
  mark_not_ready(sandbox, "the machine was restarted");
  for (const auto& container : table_.containers_of(sandbox->id)) {
    if (container->state() != ContainerState::running) continue;
    note_exit(container, {.code = 128 + SIGKILL,
                          .signal = SIGKILL,
                          .finished_at_ns = host().now_ns(),
                          .reason = "Error",
                          .message = "the machine was restarted"});
  }
}

void NodeRuntime::roll_back(const state::SandboxRecord& record) {
  const std::string id = record.id.str();
  const CgroupPaths leaf = monitor_cgroup(record.id);
  auto deleted = networks_.del(record, sys::exists(record.netns_path));
  if (!deleted) owe_del(record);
  warn_step("CNI DEL", id, deleted);
  if (!record.netns_path.empty()) warn_step("unbind netns", id, host().unbind_netns(netns_name_of(record)));
  warn_step("kill monitor", id, host().kill_cgroup(leaf, kKillPatience));
  warn_step("remove cgroup", id, host().remove_cgroup(leaf, kRemovePatience));
  warn_step("remove state directory", id, sys::remove_tree(state_dir(record.id)));
  auto gone = journal_.remove(record.id);
  warn_step("remove record", id, gone);
  if (gone) log::info("unfinished sandbox rolled back", {{"sandbox", id}});
  table_.end(id);
}

// The monitor drops its root when it is asked for its state: adopt_monitor() finds no record for it.
void NodeRuntime::roll_back(const state::ContainerRecord& record) {
  auto gone = journal_.remove(record.id);
  warn_step("remove record", record.id.str(), gone);
  if (gone) log::info("unfinished container rolled back", {{"container", record.id.str()}});
}

}  // namespace podshim::lifecycle
