// What ExecSync and streaming have in common: the start of an exec, and the cgroup leaf it runs in.
#include "shim/lifecycle/node_runtime.h"
#include "shim/plan/exec_plan.h"

namespace podshim::lifecycle {

Result<std::shared_ptr<Container>> NodeRuntime::find_for_exec(const std::string& id,
                                                              const std::vector<std::string>& command) const {
  auto container = TRY(find_container(id));
  if (command.empty()) return fail(Error::invalid("cmd", "is empty"));
  if (container->state() != ContainerState::running)
    return fail(Error::of(ErrorKind::failed_precondition, "exec", container->id.str(), "the container is not running"));
  return container;
}

Result<> NodeRuntime::begin_exec(const LeafHold& hold, const std::vector<std::string>& command, ExecStdio stdio,
                                 std::function<void(Result<int>)> done, const ExecWait& wait) {
  Container& container = *hold.container;
  const int leaf = hold.leaf;
  auto monitor = TRY(monitor_of(*container.sandbox));
  Observed observed{.devices = {}, .seccomp_profile = TRY(kept_profile(container))};  // the nodes are there already
  auto plan = TRY(plan_exec(input_of(container, std::move(observed), leaf), filters_, command, stdio.tty));
  bool make = false;
  {
    std::lock_guard lock(container.mutex);
    make = container.leaves.made.insert(leaf).second;
  }
  if (make) {
    auto applied = host().apply_cgroup(plan.cgroup);
    if (!applied) {
      std::lock_guard lock(container.mutex);
      container.leaves.made.erase(leaf);
      return fail(std::move(applied).error());
    }
    tolerate(*applied);
  }
  CloneConfig clone{.namespaces = plan.clone.namespaces,
                    .join_sandbox_pid = plan.clone.join_sandbox_pid,
                    .join_pid_of = plan.clone.join_pid_of,
                    .cgroup = TRY(host().open_cgroup(plan.cgroup.paths))};
  TRY(monitor->start_exec(container.id, plan.program, std::move(clone), std::move(stdio.in), std::move(stdio.out),
                          std::move(stdio.err), stdio.tty, std::move(done), wait));
  return {};
}

NodeRuntime::LeafHold::~LeafHold() {
  if (!runtime.stopping_) runtime.give_leaf(*container, leaf);  // else there may be no host any more, and no next exec
}

bool NodeRuntime::leaf_populated(const Container& container, int leaf, bool unless_known) const {
  return host().cgroup_populated(exec_cgroup_paths(container.cgroup, leaf)).value_or(unless_known);
}

std::shared_ptr<NodeRuntime::LeafHold> NodeRuntime::claim_leaf(const std::shared_ptr<Container>& container, int leaf) {
  std::lock_guard lock(container->mutex);
  if (!container->leaves.busy.insert(leaf).second) return nullptr;
  return std::make_shared<LeafHold>(*this, container, leaf);
}

// Claimed first, then looked at: between a look and a claim another exec could come, go, and leave something running.
std::shared_ptr<NodeRuntime::LeafHold> NodeRuntime::take_leaf(const std::shared_ptr<Container>& container) {
  auto& leaves = container->leaves;
  for (int leaf = 0;; leaf++) {
    auto hold = claim_leaf(container, leaf);
    if (!hold) continue;
    bool left = false;
    {
      std::lock_guard lock(container->mutex);
      left = leaves.left.contains(leaf);
      if (!left && leaves.made.contains(leaf)) return hold;
    }
    // Something was left there, or an earlier daemon may have made it.
    if (leaf_populated(*container, leaf, /*unless_known=*/left)) continue;  // and is given back
    std::lock_guard lock(container->mutex);
    leaves.left.erase(leaf);
    return hold;
  }
}

void NodeRuntime::give_leaf(Container& container, int leaf) {
  const bool populated = leaf_populated(container, leaf, /*unless_known=*/false);
  std::lock_guard lock(container.mutex);
  container.leaves.busy.erase(leaf);
  if (populated) container.leaves.left.insert(leaf);
}

}  // namespace podshim::lifecycle
