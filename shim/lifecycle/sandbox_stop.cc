// StopPodSandbox and RemovePodSandbox. Order of a stop: containers, CNI DEL (the host end is down before its address is
// free), the bound netns, pause and monitor: with them goes the last reference to the netns, and the kernel takes the
// veth away behind our back. A stop that failed half way can be repeated: each step looks at what is left.
#include "common/log.h"
#include "common/sys/file.h"
#include "shim/lifecycle/node_runtime.h"

namespace podshim::lifecycle {

Result<> NodeRuntime::stop_sandbox(const std::string& id) {
  auto sandbox = TRY(table_.sandbox(id));
  if (!sandbox) return {};
  TRY(sandbox_ends_.run("stop " + sandbox->id.str(), [&](Stage& stage) -> Result<bool> {
    std::lock_guard one(sandbox->operation);
    TRY_IN(take_down(*sandbox, stage), "stop sandbox " + sandbox->id.brief());
    return true;
  }));
  return {};
}

Result<> NodeRuntime::take_down(Sandbox& sandbox, Stage& stage) {
  bool was_ready = false;
  {
    std::lock_guard lock(sandbox.mutex);
    if (sandbox.removed) return {};
    was_ready = sandbox.record.ready;
    sandbox.stopping = true;
    if (!was_ready && !sandbox.monitor && !sandbox.record.network.added) return {};
  }
  stage.enter("containers");
  auto ended = end_containers(sandbox);
  stage.enter("cni");
  auto network = end_network(sandbox);
  stage.enter("monitor");
  auto monitor = end_monitor(sandbox);
  stage.enter("record");
  {
    std::lock_guard lock(sandbox.mutex);
    sandbox.record.ready = false;
    if (network) sandbox.record.network.added = false;
  }
  publish(sandbox);
  // A disk that is full must not keep a Pod from stopping: after a restart the dead monitor tells the same.
  if (auto written = persist(sandbox); !written)
    log::warn("record not written", {{"sandbox", sandbox.id.str()}, {"error", written.error().text()}});
  if (was_ready) log::info("sandbox stopped", {{"sandbox", sandbox.id.str()}, {"ms", stage.timings()}});
  TRY(std::move(ended));
  TRY(std::move(network));
  return monitor;
}

// A start that is under way holds `operation` and ends first; one that comes later finds `stopping`.
Result<> NodeRuntime::end_containers(const Sandbox& sandbox) {
  Result<> first;
  for (const auto& container : table_.containers_of(sandbox.id)) {
    std::lock_guard one(container->operation);
    if (container->state() != ContainerState::running) continue;
    auto ended = end_container(container, milliseconds(0));
    if (!ended && first) first = std::move(ended);
  }
  return first;
}

Result<> NodeRuntime::end_network(Sandbox& sandbox) {
  const state::SandboxRecord record = sandbox.copy();
  Result<> deleted;
  if (record.network.added) deleted = networks_.del(record, sys::exists(record.netns_path));
  if (!record.netns_path.empty()) TRY(host().unbind_netns(netns_name_of(record)));
  return deleted;
}

Result<> NodeRuntime::end_monitor(Sandbox& sandbox) {
  auto monitor = sandbox.live_monitor();
  const CgroupPaths leaf = monitor_cgroup(sandbox.id);
  if (monitor) {
    if (auto down = monitor->shutdown(kShutdownPatience); !down) {
      log::warn("monitor did not shut down, killing it",
                {{"sandbox", sandbox.id.str()}, {"error", down.error().text()}});
      TRY(host().kill_cgroup(leaf, kKillPatience));
    }
    std::lock_guard lock(sandbox.mutex);
    sandbox.monitor = nullptr;
  }
  return host().remove_cgroup(leaf, kRemovePatience);
}

Result<> NodeRuntime::remove_sandbox(const std::string& id) {
  auto sandbox = TRY(table_.sandbox(id));
  if (!sandbox) return {};
  TRY(sandbox_ends_.run("remove " + sandbox->id.str(), [&](Stage& stage) -> Result<bool> {
    std::lock_guard one(sandbox->operation);
    TRY_IN(discard_sandbox(*sandbox, stage), "remove sandbox " + sandbox->id.brief());
    return true;
  }));
  return {};
}

Result<> NodeRuntime::discard_sandbox(Sandbox& sandbox, Stage& stage) {
  {
    std::lock_guard lock(sandbox.mutex);
    if (sandbox.removed) return {};
  }
  auto down = take_down(sandbox, stage);
  bool network_left = false;
  {
    std::lock_guard lock(sandbox.mutex);
    network_left = sandbox.record.network.added;
  }
  if (!down && !network_left) return down;
  // A plugin that cannot DEL must not keep the Pod for ever: CNI GC (sweep) frees what it still holds.
  if (!down) garbage_due_ = true;
  if (!down) log::warn("removed without CNI DEL", {{"sandbox", sandbox.id.str()}, {"error", down.error().text()}});

  stage.enter("remove containers");
  do {
    for (const auto& container : table_.containers_of(sandbox.id)) TRY(remove_container(container->id.str()));
  } while (!table_.erase(sandbox));  // one that was being created meanwhile
  published_.erase(sandbox.id);
  stage.enter("remove files");
  {
    std::scoped_lock lock(sandbox.writing, sandbox.mutex);
    sandbox.removed = true;
  }
  // From here on the sweep would finish the work.
  TRY(sys::remove_tree(state_dir(sandbox.id)));
  TRY(journal_.remove(sandbox.id));
  log::info("sandbox removed", {{"sandbox", sandbox.id.str()}});
  return {};
}

}  // namespace podshim::lifecycle
