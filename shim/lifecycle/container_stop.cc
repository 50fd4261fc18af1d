// StopContainer and RemoveContainer. Truth is the kernel: a process that is gone has ended, whatever was or was not
// told.
#include <algorithm>
#include <thread>

#include "common/log.h"
#include "common/sys/file.h"
#include "shim/lifecycle/node_runtime.h"
#include "shim/lifecycle/signals.h"

#include <signal.h>

namespace podshim::lifecycle {
namespace {

constexpr milliseconds kExitReport{5'000};  // between the last process of a cgroup and the monitor's word about it
constexpr milliseconds kQuickEnd{1'000};
constexpr milliseconds kFirstPause{1}, kLastPause{100};  // between two kills of a start
constexpr std::int32_t kKilledCode = 128 + SIGKILL;

}  // namespace

Result<> NodeRuntime::stop_container(const std::string& id, std::chrono::seconds grace) {
  auto container = TRY(table_.container(id));
  if (!container) return {};
  {
    std::lock_guard lock(container->mutex);
    container->stops++;
  }
  TRY(settle_start(*container, grace));
  // Not one operation at a time: a second stop with a shorter grace period must not wait for the first.
  return end_container(container, grace);
}

Result<> NodeRuntime::end_container(const std::shared_ptr<Container>& container, milliseconds grace) {
  TRY(end_processes(container, grace));
  publish(*container);  // who noted its end may not have come so far
  return {};
}

Result<> NodeRuntime::end_processes(const std::shared_ptr<Container>& container, milliseconds grace) {
  if (container->state() != ContainerState::running) return {};
  auto monitor = container->sandbox->live_monitor();
  if (monitor && grace.count() > 0) {
    const auto& record = container->record;
    const std::string& wanted =
        record.spec.stop_signal.empty() ? record.image_process.stop_signal : record.spec.stop_signal;
    const int signal = parse_signal(wanted).value_or(SIGTERM);
    if (auto sent = monitor->signal_container(container->id, signal); !sent)
      log::warn("stop signal not sent", {{"container", container->id.str()}, {"error", sent.error().text()}});
    else if (wait_ended(*container, grace))
      return {};
  }
  // The end of pid 1 takes its namespace along: a v1 freezer round costs ms that are needed only for what is left.
  if (monitor && !shares_pid(*container) && monitor->signal_container(container->id, SIGKILL) &&
      wait_ended(*container, kQuickEnd))
    return kill_rest(*container);
  TRY(host().kill_cgroup(container->cgroup, kKillPatience));
  if (wait_ended(*container, monitor ? kExitReport : milliseconds(0))) return {};
  settle_lost_exit(container, kKillPatience);
  if (container->state() == ContainerState::exited) return {};
  return fail(Error::of(ErrorKind::deadline_exceeded, "kill container", container->id.str(),
                        "its main process is still there after SIGKILL"));
}

// A start that is under way gets `grace` to end by itself. Then what it made is killed, again and again, because its
// child may be on its way into the cgroup: one that hangs in a mount dies there, and the start undoes itself.
Result<> NodeRuntime::settle_start(Container& container, milliseconds grace) {
  using Clock = std::chrono::steady_clock;
  auto next = Clock::now() + grace;
  const auto end = next + parts_.start_patience;
  std::unique_lock lock(container.mutex);
  for (auto pause = kFirstPause;; pause = std::min(pause * 2, kLastPause)) {
    if (container.ended.wait_until(lock, next, [&] { return !container.starting; })) return {};
    if (Clock::now() >= end)
      return fail(Error::of(ErrorKind::deadline_exceeded, "kill container", container.id.str(),
                            "its start hangs and does not die: uninterruptible sleep?"));
    lock.unlock();
    (void)host().kill_cgroup(container.cgroup, milliseconds(0));  // one look and one signal; the next time tells
    lock.lock();
    next = std::min(Clock::now() + pause, end);
  }
}

// Pids and start times of before the machine was restarted name nobody.
Result<> NodeRuntime::kill_recorded(const Sandbox& sandbox, const sys::ProcessId& process, milliseconds patience) {
  const std::string boot = host().boot_id();
  if (boot.empty())
    return fail(Error::of(ErrorKind::unavailable, "kill process", std::to_string(process.pid), "no boot id"));
  if (sandbox.record.boot_id != boot) return {};
  return host().kill_process(process, patience);
}

Result<> NodeRuntime::kill_rest(const Container& container) {
  if (!host().cgroup_populated(container.cgroup).value_or(true)) return {};
  return host().kill_cgroup(container.cgroup, kKillPatience);
}

bool NodeRuntime::wait_ended(Container& container, milliseconds patience) const {
  std::unique_lock lock(container.mutex);
  return container.ended.wait_for(lock, patience, [&] { return container.record.exit.has_value(); });
}

// The process is gone and nobody said so: the monitor died in between, or is not what it should be.
// `patience`: for the end of one that is in no cgroup we know.
void NodeRuntime::settle_lost_exit(const std::shared_ptr<Container>& container, milliseconds patience) {
  const auto process = container->copy().process;
  if (process.pid != 0 && !host().has_ended(process).value_or(false)) {
    auto populated = host().cgroup_populated(container->cgroup);  // zombies do not count
    if (!populated || *populated) return;
    // On its way out, or in no cgroup that we know: then it has not been killed with that.
    if (!kill_recorded(*container->sandbox, process, patience)) return;
  }
  state::ContainerExit exit{.code = kKilledCode,
                            .signal = SIGKILL,
                            .finished_at_ns = host().now_ns(),
                            .reason = "Error",
                            .message = "its exit was not reported"};
  if (auto record = read_exit_record(exit_path(container->id))) {
    exit.code = record->exit_code;
    exit.signal = record->signal;
    exit.oom_killed = record->oom_killed;
    exit.finished_at_ns = record->finished_at_ns;
    exit.message.clear();
  }
  // Its monitor may have died while it wrote the record.
  if (auto r = sys::remove_file(exit_path(container->id) + ".new"); !r)
    log::warn("half an exit record stays", {{"container", container->id.str()}, {"error", r.error().text()}});
  note_exit(container, exit);
}

// Waits for nothing: one that has not gone is asked again from housekeeping.
void NodeRuntime::settle_soon(const std::shared_ptr<Container>& container) {
  if (container->state() != ContainerState::running) return;
  settle_lost_exit(container, milliseconds(0));
  if (container->state() != ContainerState::running) return;
  {
    std::lock_guard lock(notes_);
    unsettled_.insert(container->id.str());
  }
  std::lock_guard lock(wake_);  // housekeeping sleeps, or has yet to look at the notes
  woken_signal_.notify_all();
}

void NodeRuntime::settle_lost_exits() {
  std::set<std::string> again;
  {
    std::lock_guard lock(notes_);
    again.swap(unsettled_);
  }
  for (const auto& id : again)
    if (auto container = table_.container(id).value_or(nullptr)) settle_soon(container);
}

Result<> NodeRuntime::remove_container(const std::string& id) {
  auto container = TRY(table_.container(id));
  if (!container) return {};
  TRY(container_ends_.run("remove " + container->id.str(), [&](Stage& stage) -> Result<bool> {
    stage.enter("remove");
    TRY(settle_start(*container, milliseconds(0)));
    std::lock_guard one(container->operation);
    TRY(discard_container(container));
    return true;
  }));
  return {};
}

// What was killed just now is "running" to the monitor until its SIGCHLD was read.
Result<> NodeRuntime::drop_from_monitor(const Container& container) {
  auto monitor = container.sandbox->live_monitor();
  if (!monitor) return {};
  const auto end = std::chrono::steady_clock::now() + kKillPatience;
  for (;;) {
    auto dropped = monitor->remove_container(container.id);
    if (dropped || dropped.error().kind == ErrorKind::unavailable) return {};
    if (dropped.error().kind != ErrorKind::failed_precondition || std::chrono::steady_clock::now() > end)
      return dropped;
    std::this_thread::sleep_for(milliseconds(5));
  }
}

Result<> NodeRuntime::discard_container(const std::shared_ptr<Container>& container) {
  {
    std::lock_guard lock(container->mutex);
    if (container->removed) return {};
  }
  TRY(end_container(container, milliseconds(0)));
  TRY(kill_rest(*container));  // a shared pid namespace: the tree may outlive its head
  TRY(drop_from_monitor(*container));
  TRY(host().remove_cgroup(container->cgroup, kRemovePatience));
  TRY(sys::remove_file(exit_path(container->id)));
  {
    std::scoped_lock lock(container->writing, container->mutex);
    container->removed = true;
    container->meter = {};
  }
  TRY(journal_.remove(container->id));
  table_.erase(*container);
  published_.erase(container->id);
  log::info("container removed", {{"container", container->id.str()}});
  return {};
}

}  // namespace podshim::lifecycle
