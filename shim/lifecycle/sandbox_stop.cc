// StopPodSandbox and RemovePodSandbox. Order of a stop: containers, CNI DEL (the host end is down before its address is
// free), the bound netns, pause and monitor: with them goes the last reference to the netns, and the kernel takes the
// veth away behind our back. A stop that failed half way can be repeated: each step looks at what is left.
#include <thread>

#include "common/log.h"
#include "common/sys/file.h"
#include "shim/apply/files.h"
#include "shim/lifecycle/node_runtime.h"

namespace podshim::lifecycle {

Result<> NodeRuntime::stop_sandbox(const std::string& id) {
  auto sandbox = TRY(table_.sandbox(id));
  if (!sandbox) return {};
  TRY(sandbox_ends_.run("stop " + sandbox->id.str(), [&](Stage& stage) -> Result<bool> {
    std::lock_guard one(sandbox->operation);
    TRY(take_down(*sandbox, stage));
    return true;
  }));
  return {};
}

Result<> NodeRuntime::take_down(Sandbox& sandbox, Stage& stage) {
  bool was_ready = false, down = false;
  {
    std::lock_guard lock(sandbox.mutex);
    if (sandbox.removed) return {};
    was_ready = sandbox.record.ready;
    sandbox.stopping = true;
    sandbox.meter = {};
    sandbox.inside = nullptr;  // the namespace is to end
    down = !was_ready && !sandbox.monitor && !sandbox.record.network.added && sandbox.monitor_ended;
  }
  stage.enter("containers");
  auto ended = end_containers(sandbox);
  if (down) return ended;  // the stop before this one came to its end, but for what did not die then
  stage.enter("cni");
  auto network = end_network(sandbox);
  stage.enter("monitor");
  auto monitor = end_monitor(sandbox);
  // Nobody is left who would tell of the end of what did not die.
  if (!ended && !sandbox.live_monitor())
    for (const auto& container : table_.containers_of(sandbox.id)) settle_soon(container);
  stage.enter("record");
  {
    std::lock_guard lock(sandbox.mutex);
    sandbox.record.ready = false;
    sandbox.monitor_ended = monitor.has_value();
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

// All at the same time: what does not die holds up itself alone. A start that is under way is killed; one that comes
// later finds `stopping`.
Result<> NodeRuntime::end_containers(const Sandbox& sandbox) {
  std::vector<std::shared_ptr<Container>> alive;
  for (auto& container : table_.containers_of(sandbox.id))
    if (container->alive()) alive.push_back(std::move(container));
  std::vector<Result<>> ended(alive.size());
  const auto end = [&](std::size_t i) {
    ended[i] = settle_start(*alive[i], milliseconds(0));
    if (ended[i]) ended[i] = end_container(alive[i], milliseconds(0));
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < alive.size(); i++) others.emplace_back(end, i);
    if (!alive.empty()) end(0);
  }
  for (auto& one : ended) TRY(std::move(one));
  return {};
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
  const auto kill = [&]() -> Result<> {
    TRY(host().kill_cgroup(leaf, kKillPatience));
    TRY(kill_recorded(sandbox, sandbox.record.monitor, kKillPatience));
    return kill_recorded(sandbox, sandbox.record.pause, kKillPatience);
  };
  if (monitor) {
    if (auto down = monitor->shutdown(kShutdownPatience); !down) {
      log::warn("monitor did not shut down, killing it",
                {{"sandbox", sandbox.id.str()}, {"error", down.error().text()}});
      TRY(kill());
    }
    std::lock_guard lock(sandbox.mutex);
    sandbox.monitor = nullptr;
  } else {
    TRY(kill());  // it lives and was never reached, or what it left does
  }
  return host().remove_cgroup(leaf, kRemovePatience);
}

Result<> NodeRuntime::remove_sandbox(const std::string& id) {
  auto sandbox = TRY(table_.sandbox(id));
  if (!sandbox) return {};
  TRY(sandbox_ends_.run("remove " + sandbox->id.str(), [&](Stage& stage) -> Result<bool> {
    std::lock_guard one(sandbox->operation);
    TRY(discard_sandbox(*sandbox, stage));
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
  // A plugin that cannot DEL must not keep the Pod for ever: what it still holds stays on the books.
  if (!down) owe_del(sandbox.copy());
  if (!down) log::warn("removed without CNI DEL", {{"sandbox", sandbox.id.str()}, {"error", down.error().text()}});

  stage.enter("remove containers");
  do {
    for (const auto& container : table_.containers_of(sandbox.id))
      TRY_IN(remove_container(container->id.str()), "remove container " + container->id.brief());
  } while (!table_.erase(sandbox));  // one that was being created meanwhile
  {
    std::scoped_lock lock(sandbox.writing, sandbox.mutex);
    sandbox.removed = true;
  }
  published_.erase(sandbox.id);  // after that: an update that is under way does not publish it again
  stage.enter("remove files");
  // From here on the sweep would finish the work.
  TRY(sys::remove_tree(state_dir(sandbox.id)));
  if (!sandbox.facts.volumes_dir.empty()) TRY(remove_with_mounts(sandbox.facts.volumes_dir));
  TRY(journal_.remove(sandbox.id));
  log::info("sandbox removed", {{"sandbox", sandbox.id.str()}});
  return {};
}

}  // namespace podshim::lifecycle
