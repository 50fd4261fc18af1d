// The end of an exec before its time: a timeout, a client that has gone, a daemon that has gone. Its whole leaf is
// killed, and nothing else. A mark (<state>/kills/<container>.<leaf>) stands from before the first signal until nothing
// lives there any more: the next daemon goes on from it. A leaf without a mark holds what an exec that has ended left
// running: that stays.
#include <algorithm>
#include <charconv>

#include "common/log.h"
#include "common/sys/file.h"
#include "shim/lifecycle/node_runtime.h"

namespace podshim::lifecycle {
namespace {

// More than the callers' threads and the streaming server let run in one container.
constexpr int kLeavesLookedAt = 2048;

}  // namespace

std::future<void> NodeRuntime::kill_exec(std::shared_ptr<LeafHold> leaf) {
  const std::string mark = kills_dir() + "/" + leaf->container->id.str() + "." + std::to_string(leaf->leaf);
  if (auto marked = sys::write_file(mark, "", 0600); !marked)
    log::warn("a kill would not survive a restart", {{"error", marked.error().text()}});
  auto gone = std::make_shared<std::promise<void>>();
  auto out = gone->get_future();
  auto cgroup = exec_cgroup_paths(leaf->container->cgroup, leaf->leaf);
  kills_.kill(std::move(cgroup), [mark, gone, leaf = std::move(leaf)]() mutable {
    if (auto r = sys::remove_file(mark); !r) log::warn("a kill's mark stays", {{"error", r.error().text()}});
    leaf = nullptr;
    gone->set_value();
  });
  return out;
}

// Before the first exec of this daemon.
void NodeRuntime::resume_kills() {
  for (const auto& name : sys::list_dir(kills_dir()).value_or(std::vector<std::string>{})) {
    const auto dot = std::min(name.find('.'), name.size());
    int leaf = -1;
    std::from_chars(name.data() + std::min(dot + 1, name.size()), name.data() + name.size(), leaf);
    auto container = table_.container(name.substr(0, dot)).value_or(nullptr);
    if (!container || leaf < 0) {
      (void)sys::remove_file(kills_dir() + "/" + name);  // the sweep takes what this does not
      continue;
    }
    if (auto hold = claim_leaf(container, leaf)) (void)kill_exec(std::move(hold));
  }
}

// It ran when its daemon went, and nobody waits for it any more.
void NodeRuntime::kill_unowned(MonitorProcess& monitor, const MonitorExec& exec) {
  auto container = table_.container(exec.container.str()).value_or(nullptr);
  for (int leaf = 0; container && leaf < kLeavesLookedAt; leaf++) {
    const auto pids = host().cgroup_pids(exec_cgroup_paths(container->cgroup, leaf)).value_or(std::vector<pid_t>{});
    if (std::find(pids.begin(), pids.end(), exec.process.pid) == pids.end()) continue;
    auto hold = claim_leaf(container, leaf);
    if (!hold) break;
    (void)kill_exec(std::move(hold));
    return;
  }
  (void)monitor.kill_exec(exec.id);  // in no leaf, or somebody looks at it right now: its session at least
}

}  // namespace podshim::lifecycle
