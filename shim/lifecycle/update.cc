// UpdateContainerResources and UpdatePodSandboxResources.
//
// A container's new limits are recorded first, marked as on their way, then written: a daemon that dies in between
// finishes at its next start (finish_update). What the kernel refuses leaves record and files as they were. A Pod's
// values are for those who ask: its cgroup is the kubelet's own, and it has changed it already.
#include "common/log.h"
#include "shim/lifecycle/node_runtime.h"
#include "shim/plan/cgroup_update.h"

namespace podshim::lifecycle {

Result<> NodeRuntime::update_container(const std::string& id, const Resources& change) {
  auto container = TRY(find_container(id));
  // Each one is an operation of its own: of two at a time, the later one is written on top of the earlier one.
  const std::string key = container->id.str() + "/" + std::to_string(updates_made_++);
  TRY(updates_.run(key, [&](Stage& stage) -> Result<bool> {
    std::lock_guard one(container->operation);
    TRY(change_limits(*container, change, stage));
    return true;
  }));
  return {};
}

Result<> NodeRuntime::change_limits(Container& container, const Resources& change, Stage& stage) {
  stage.enter("plan");
  const auto was = container.copy();
  const ContainerState state = Container::state_of(was);
  if (state != ContainerState::created && state != ContainerState::running)
    return fail(Error::of(ErrorKind::failed_precondition, "update container", container.id.str(), "it has ended"));
  const Resources wanted = TRY(merge_resources(was.limits(), change));
  TRY(plan_limits(container, wanted));
  if (wanted == was.limits() && !was.updating && state == ContainerState::created) return {};
  stage.enter("intent");
  TRY(record_limits(container, wanted, state == ContainerState::running));
  if (state == ContainerState::running) {
    stage.enter("cgroup");
    if (auto written = write_limits(container); !written) {
      if (auto back = record_limits(container, was.resources, was.updating); !back)
        log::warn("record not written", {{"container", container.id.str()}, {"error", back.error().text()}});
      if (container.state() == ContainerState::exited)
        return fail(Error::of(ErrorKind::failed_precondition, "update container", container.id.str(), "it has ended"));
      return written;
    }
    stage.enter("record");
    if (auto done = record_limits(container, wanted, false); !done)  // it is written once more after a restart
      log::warn("record not written", {{"container", container.id.str()}, {"error", done.error().text()}});
  }
  publish(container);
  log::info("container updated", {{"container", container.id.str()}, {"ms", stage.timings()}});
  return {};
}

// Everything about the request that is wrong without a look at the cgroup.
Result<> NodeRuntime::plan_limits(const Container& container, const Resources& wanted) const {
  TRY(cgroup_update_files(parts_.facts, container.cgroup, wanted));
  return {};
}

Result<> NodeRuntime::record_limits(Container& container, const std::optional<Resources>& limits, bool updating) {
  std::optional<Resources> before;
  bool was_updating = false;
  {
    std::lock_guard lock(container.mutex);
    before = std::exchange(container.record.resources, limits);
    was_updating = std::exchange(container.record.updating, updating);
  }
  auto written = persist(container);
  if (written) return {};
  std::lock_guard lock(container.mutex);
  container.record.resources = std::move(before);
  container.record.updating = was_updating;
  return written;
}

Result<> NodeRuntime::write_limits(Container& container) {
  const Resources wanted = container.copy().limits();
  const auto files = TRY(cgroup_update_files(parts_.facts, container.cgroup, wanted));
  const auto held = TRY(host().read_cgroup_files(files));
  const auto plan = TRY(plan_cgroup_update(parts_.facts, container.cgroup, wanted, held));
  return host().apply_cgroup_update(plan);
}

// From recovery: the daemon died between the intent and the end of the writes.
void NodeRuntime::finish_update(Container& container) {
  auto written = write_limits(container);
  if (written) written = record_limits(container, container.copy().resources, false);
  if (!written)
    log::warn("update not finished", {{"container", container.id.str()}, {"error", written.error().text()}});
}

Result<> NodeRuntime::update_sandbox(const std::string& id, const std::optional<Resources>& overhead,
                                     const std::optional<Resources>& resources) {
  auto sandbox = TRY(find_sandbox(id));
  const std::string key = sandbox->id.str() + "/" + std::to_string(updates_made_++);
  TRY(sandbox_updates_.run(key, [&](Stage& stage) -> Result<bool> {
    stage.enter("record");
    TRY(record_update(*sandbox, {.overhead = overhead, .resources = resources}));
    publish(*sandbox);
    return true;
  }));
  return {};
}

// The file first, under the lock of its writers: what is in memory is what was written, so that nothing has to be taken
// back, and of two at a time the later one stands. Not one with the operations of the Pod: a stop may hang in a plugin.
Result<> NodeRuntime::record_update(Sandbox& sandbox, const state::SandboxUpdate& update) {
  std::lock_guard one(sandbox.writing);
  {
    std::lock_guard lock(sandbox.mutex);
    if (sandbox.removed) return fail(Error::of(ErrorKind::not_found, "sandbox", sandbox.id.str(), "no such sandbox"));
  }
  auto record = sandbox.copy();
  record.update = update;
  TRY(journal_.write(record));
  std::lock_guard lock(sandbox.mutex);
  sandbox.record.update = update;
  return {};
}

}  // namespace podshim::lifecycle
