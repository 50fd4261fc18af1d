// Sweep: what carries this instance's names and has no record is removed: at start and each minute. Each kind is listed
// first and compared with the table after: what was made or removed in between is not in the list, or known.
#include <malloc.h>

#include "common/log.h"
#include "common/sys/file.h"
#include "shim/apply/files.h"
#include "shim/lifecycle/node_runtime.h"

namespace podshim::lifecycle {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::seconds;

constexpr seconds kTick{10}, kSweepEvery{60}, kNetworkEvery{30}, kSlow{10}, kAskAgain{1};

void told(const char* what, const std::string& name, const Result<>& r) {
  if (r)
    log::info("swept", {{"what", what}, {"name", name}});
  else
    log::warn("not swept", {{"what", what}, {"name", name}, {"error", r.error().text()}});
}

}  // namespace

void NodeRuntime::sweep() {
  sweep_cgroups();  // the processes first: the last of them takes the links of its netns along
  sweep_netns();
  sweep_directories();
  post_alone(paying_, [this] { pay_debts(); });
}

void NodeRuntime::post_alone(std::atomic<bool>& busy, std::function<void()> work) {
  if (busy.exchange(true)) return;
  plugin_chores_.post([&busy, work = std::move(work)] {
    const auto free = [](std::atomic<bool>* b) { *b = false; };
    const std::unique_ptr<std::atomic<bool>, decltype(free)> at_end(&busy, free);
    work();
  });
}

void NodeRuntime::sweep_netns() {
  const std::string prefix = parts_.instance.prefix();
  for (const auto& name : host().list_netns().value_or(std::vector<std::string>{})) {
    if (!name.starts_with(prefix)) continue;
    auto id = SandboxId::parse(name.substr(prefix.size()));
    if (id && table_.known(id->str())) continue;
    if (id) owe_del_of_lost(*id, host().netns_path(name));
    told("netns", name, host().unbind_netns(name));
  }
}

// What is set aside knew below which parents it had its cgroups: that takes a walk over all of the machine's. Not at a
// start, which it would hold up, and not at each, as long as the same things are set aside: <state>/cgroups-walked has
// the names for which all was found and removed.
bool NodeRuntime::find_parents() {
  if (set_aside_.empty() || parents_found_) return true;
  if (sys::read_file(walked_path()).value_or("") == set_aside_) {
    set_aside_.clear();
    return true;
  }
  auto found = host().find_cgroup_parents();
  if (!found) {
    log::warn("cgroups not looked for", {{"error", found.error().text()}});
    return false;
  }
  parents_found_ = true;
  std::lock_guard lock(notes_);
  parents_.insert(found->begin(), found->end());
  return true;
}

void NodeRuntime::note_walked() {
  if (auto written = sys::write_file_atomic(walked_path(), set_aside_, 0600); !written)
    log::warn("the next start looks for cgroups again", {{"error", written.error().text()}});
  set_aside_.clear();
}

void NodeRuntime::sweep_cgroups() {
  bool all_gone = find_parents();
  std::set<std::string> parents;
  {
    std::lock_guard lock(notes_);
    parents = parents_;
  }
  parents.insert({"/", parts_.config.podshim.cgroup_parent, "/podshim-" + instance()});
  const std::string prefix = parts_.instance.prefix();
  for (const auto& parent : parents) {
    const auto names = host().list_cgroups(parent);
    all_gone = all_gone && names;
    for (const auto& name : names.value_or(std::vector<std::string>{})) {
      auto id = ContainerId::parse(name.substr(std::min(prefix.size(), name.size())));
      if (!id || table_.known(id->str())) continue;
      const auto paths = container_cgroup_paths(parts_.facts, parent, instance(), *id);
      auto killed = host().kill_cgroup(paths, kKillPatience);
      const auto removed = killed ? host().remove_cgroup(paths, kRemovePatience) : killed;
      told("cgroup", paths.path, removed);
      all_gone = all_gone && removed;
    }
  }
  if (all_gone && !set_aside_.empty()) note_walked();
}

void NodeRuntime::sweep_directories() {
  const std::string dirs[] = {journal_.sandboxes_dir(), journal_.containers_dir(),
                              parts_.config.podshim.state + "/sandboxes", exits_dir(), kills_dir()};
  for (const auto& dir : dirs)
    for (const auto& name : sys::list_dir(dir).value_or(std::vector<std::string>{})) {
      const std::string id = name.substr(0, name.find('.'));  // <id>.new: an exit record that was cut short
      if (!SandboxId::parse(id) || table_.known(id)) continue;
      told("directory", dir + "/" + name, remove_with_mounts(dir + "/" + name));
    }
}

void NodeRuntime::watch_operations() {
  std::vector<RunningOperation> all = sandbox_runs_.running();
  for (auto* kind : {&sandbox_ends_, &starts_, &container_ends_, &updates_, &sandbox_updates_}) {
    auto more = kind->running();
    all.insert(all.end(), more.begin(), more.end());
  }
  auto creates = container_creates_.running();
  all.insert(all.end(), creates.begin(), creates.end());
  for (const auto& op : all)
    if (op.age >= kSlow)
      log::warn("operation is slow", {{"operation", op.kind},
                                      {"key", op.key},
                                      {"stage", op.stage},
                                      {"age-ms", static_cast<long>(op.age.count())}});
  for (const auto& silent : mount_looks_.silent())
    log::warn("mount source does not answer",
              {{"path", silent.path}, {"age-ms", static_cast<long>(silent.age.count())}});
}

void NodeRuntime::housekeeping() {
  auto swept = Clock::time_point{}, asked = Clock::time_point{}, watched = Clock::time_point{};
  std::unique_lock lock(wake_);
  while (!stopping_) {
    const bool woken = std::exchange(woken_, false);
    lock.unlock();
    const auto now = Clock::now();
    if (woken || now - asked >= kNetworkEvery) {
      asked = now;
      post_alone(asking_, [this] { ask_network(); });
    }
    settle_lost_exits();  // these before the sweep, which may wait for what does not die
    adopt_unreached();
    if (now - swept >= kSweepEvery) {
      swept = now;
      sweep();
      ::malloc_trim(0);  // what a burst of calls and streams took does not stay with an idle daemon
    }
    post_alone(measuring_, [this] { measure_layers(false); });
    if (now - watched >= kTick) {
      watched = now;
      watch_operations();
    }
    const auto rests = Clock::now();
    const auto until = [&] {  // not the same all the time: it may be told of something to ask again
      std::lock_guard notes(notes_);
      return rests + (unreached_.empty() && unsettled_.empty() ? kTick : kAskAgain);
    };
    lock.lock();
    while (!woken_ && !stopping_ && Clock::now() < until()) woken_signal_.wait_until(lock, until());
  }
}

}  // namespace podshim::lifecycle
