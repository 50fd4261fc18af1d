// Sweep: what carries this instance's names and has no record is removed: at start and each minute. Each kind is listed
// first and compared with the table after: what was made or removed in between is not in the list, or known.
#include <dirent.h>
#include <sys/stat.h>

#include "common/log.h"
#include "common/sys/file.h"
#include "shim/lifecycle/node_runtime.h"

namespace podshim::lifecycle {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::seconds;

constexpr seconds kTick{10}, kSweepEvery{60}, kNetworkEvery{30}, kSlow{10};

void told(const char* what, const std::string& name, const Result<>& r) {
  if (r)
    log::info("swept", {{"what", what}, {"name", name}});
  else
    log::warn("not swept", {{"what", what}, {"name", name}, {"error", r.error().text()}});
}

}  // namespace

void NodeRuntime::sweep() {
  sweep_netns();
  sweep_cgroups();
  sweep_directories();
  collect_network_garbage();
}

void NodeRuntime::sweep_netns() {
  const std::string prefix = parts_.instance.prefix();
  for (const auto& name : host().list_netns().value_or(std::vector<std::string>{})) {
    if (!name.starts_with(prefix)) continue;
    auto id = SandboxId::parse(name.substr(prefix.size()));
    if (id && table_.known(id->str())) continue;
    // Whose record was set aside, its addresses are still taken.
    if (auto list = networks_.current(); id && list) {
      state::SandboxRecord lost{.id = *id, .netns_path = host().netns_path(name)};
      lost.network = {.config = (*list)->text, .source = (*list)->source, .added = true};
      if (auto deleted = networks_.del(lost, true); !deleted) garbage_due_ = true;
    }
    told("netns", name, host().unbind_netns(name));
  }
}

void NodeRuntime::sweep_cgroups() {
  std::set<std::string> parents;
  {
    std::lock_guard lock(notes_);
    parents = parents_;
  }
  parents.insert({"/", parts_.config.podshim.cgroup_parent, "/podshim-" + instance()});
  const std::string prefix = parts_.instance.prefix();
  for (const auto& parent : parents) {
    for (const auto& name : host().list_cgroups(parent).value_or(std::vector<std::string>{})) {
      auto id = ContainerId::parse(name.substr(std::min(prefix.size(), name.size())));
      if (!id || table_.known(id->str())) continue;
      const auto paths = container_cgroup_paths(parts_.facts, parent, instance(), *id);
      auto killed = host().kill_cgroup(paths, kKillPatience);
      told("cgroup", paths.path, killed ? host().remove_cgroup(paths, kRemovePatience) : killed);
    }
  }
}

void NodeRuntime::sweep_directories() {
  const std::string dirs[] = {journal_.sandboxes_dir(), journal_.containers_dir(),
                              parts_.config.podshim.state + "/sandboxes", exits_dir()};
  for (const auto& dir : dirs)
    for (const auto& name : sys::list_dir(dir).value_or(std::vector<std::string>{})) {
      if (!SandboxId::parse(name) || table_.known(name)) continue;
      told("directory", dir + "/" + name, sys::remove_tree(dir + "/" + name));
    }
}

void NodeRuntime::collect_network_garbage() {
  if (!garbage_due_.exchange(false)) return;
  auto done = networks_.collect([&] {
    auto valid = table_.making();
    for (const auto& sandbox : table_.sandboxes())
      if (sandbox->copy().network.added) valid.push_back(sandbox->id.str());
    return valid;
  });
  if (done && *done) {
    log::info("CNI GC done");
    return;
  }
  if (!done) log::warn("CNI GC failed", {{"error", done.error().text()}});
  garbage_due_ = true;
}

void NodeRuntime::measure_layers() {
  for (const auto& container : table_.containers()) {
    std::uint64_t bytes = 0, inodes = 0;
    std::vector<std::string> todo = {journal_.dir(container->id) + "/upper"};
    while (!todo.empty()) {
      const std::string dir = std::move(todo.back());
      todo.pop_back();
      for (const auto& name : sys::list_dir(dir).value_or(std::vector<std::string>{})) {
        struct stat st{};
        if (::lstat((dir + "/" + name).c_str(), &st) != 0) continue;
        bytes += static_cast<std::uint64_t>(st.st_blocks) * 512;
        inodes++;
        if (S_ISDIR(st.st_mode)) todo.push_back(dir + "/" + name);
      }
    }
    container->layer_bytes = bytes;
    container->layer_inodes = inodes;
  }
}

void NodeRuntime::watch_operations() {
  std::vector<RunningOperation> all = sandbox_runs_.running();
  for (auto* kind : {&sandbox_ends_, &starts_, &container_ends_}) {
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
}

void NodeRuntime::housekeeping() {
  auto swept = Clock::time_point{}, asked = Clock::time_point{};
  std::unique_lock lock(wake_);
  while (!stopping_) {
    const bool woken = std::exchange(woken_, false);
    lock.unlock();
    const auto now = Clock::now();
    if (woken || now - asked >= kNetworkEvery) {
      asked = now;
      networks_.refresh();
    }
    if (now - swept >= kSweepEvery) {
      swept = now;
      sweep();
      measure_layers();
    }
    watch_operations();
    lock.lock();
    woken_signal_.wait_for(lock, kTick, [&] { return woken_ || stopping_; });
  }
}

}  // namespace podshim::lifecycle
