// Stats of Pods: the Pod's own cgroup where it has one, else the sum over its containers; link counters from one dump
// of the node's links, or from inside the network namespace when the plugins do not say which link of the node is
// theirs.
#include <algorithm>
#include <unordered_map>

#include "common/log.h"
#include "shim/apply/files.h"
#include "shim/cni_client/result.h"
#include "shim/lifecycle/halves.h"
#include "shim/lifecycle/node_runtime.h"

namespace podshim::lifecycle {
namespace {

constexpr std::size_t kManyPods = 30;  // a thread costs what a few of them cost

void add(CgroupStats& sum, const CgroupStats& one) {
  sum.cpu_usage_ns += one.cpu_usage_ns;
  sum.memory_usage_bytes += one.memory_usage_bytes;
  sum.memory_working_set_bytes += one.memory_working_set_bytes;
  sum.memory_rss_bytes += one.memory_rss_bytes;
  sum.page_faults += one.page_faults;
  sum.major_page_faults += one.major_page_faults;
  sum.swap_bytes += one.swap_bytes;
}

// The one interface of the sandbox and the node's ends that may belong to it.
PodLinks links_of(const state::NetworkRecord& network) {
  PodLinks out{.node_ends = {}, .name = cni::kIfName};
  const auto answer = cni::decode_answer(network.result);
  if (!answer) return out;
  std::size_t inside = 0;
  for (const auto& interface : answer->interfaces) {
    if (interface.sandbox.empty()) out.node_ends.push_back(interface.name);
    inside += interface.sandbox.empty() ? 0 : 1;
  }
  if (inside != 1) out.node_ends.clear();  // which end is whose?
  return out;
}

}  // namespace

// The containers that run, by Pod, and how many Pods have a cgroup parent: one that several share, or that is the
// config's for all, tells nothing of one Pod.
struct NodeRuntime::Census {
  std::unordered_map<std::string, std::vector<std::shared_ptr<const ContainerView>>> running;  // by sandbox id
  std::unordered_map<std::string, int> parents;
  std::unordered_map<std::string, NodeLink> links;

  static Census of(const Snapshot& snapshot) {
    Census out;
    for (const auto& view : snapshot.containers)
      if (view->state == ContainerState::running) out.running[view->sandbox.str()].push_back(view);
    for (const auto& view : snapshot.sandboxes)
      if (view->state == SandboxState::ready) out.parents[view->cgroup_path]++;
    return out;
  }
};

bool NodeRuntime::has_own_cgroup(const SandboxView& view, const Census& census) const {
  const auto at = census.parents.find(view.cgroup_path);
  return !view.spec.cgroup_parent.empty() && !view.cgroup_path.empty() &&
         view.cgroup_path != parts_.config.podshim.cgroup_parent && at != census.parents.end() && at->second == 1;
}

void NodeRuntime::sum_containers(SandboxStats& out) const {
  for (const auto& one : out.containers) {
    if (!one.usage) continue;
    if (!out.usage) out.usage.emplace();
    add(*out.usage, *one.usage);
    if (one.usage_nano_cores) out.usage_nano_cores = out.usage_nano_cores.value_or(0) + *one.usage_nano_cores;
  }
  if (!out.usage) out.usage.emplace();  // a Pod without a running container uses nothing
}

std::vector<LinkUse> NodeRuntime::links_of_pod(const Sandbox& sandbox, const Census& census) const {
  std::shared_ptr<const PodLinks> links;
  std::shared_ptr<LinkCounters> inside;
  state::NetworkRecord network;
  std::string netns;
  {
    std::lock_guard lock(sandbox.mutex);
    netns = sandbox.record.netns_path;
    if (netns.empty() || sandbox.stopping || !sandbox.record.ready) return {};
    links = sandbox.links;
    inside = sandbox.inside;
    if (!links) network = sandbox.record.network;
  }
  if (!links) {
    links = std::make_shared<PodLinks>(links_of(network));
    std::lock_guard lock(sandbox.mutex);
    sandbox.links = links;
  }
  std::vector<const NodeLink*> ends;
  for (const auto& name : links->node_ends)
    if (auto at = census.links.find(name); at != census.links.end() && at->second.kind == "veth")
      ends.push_back(&at->second);
  if (ends.size() == 1) return {other_end(ends.front()->use, links->name)};
  if (!inside) {
    auto opened = host().open_links(netns);
    if (!opened) return {};
    inside = *std::move(opened);
    std::lock_guard lock(sandbox.mutex);
    // It holds the namespace: never kept beyond the Pod (take_down() lets it go).
    if (!sandbox.stopping) sandbox.inside = inside;
  }
  auto all = inside->read().value_or(std::vector<LinkUse>{});
  std::stable_partition(all.begin(), all.end(), [&](const LinkUse& l) { return l.name == links->name; });
  return all;
}

SandboxStats NodeRuntime::stats_of(const std::shared_ptr<const SandboxView>& view, Sandbox& sandbox,
                                   const Census& census) const {
  SandboxStats out{.sandbox = view, .timestamp_ns = host().now_ns()};
  const bool own = has_own_cgroup(*view, census);
  std::optional<std::uint64_t> tasks = 0;
  if (auto at = census.running.find(view->id.str()); at != census.running.end())
    for (const auto& container : at->second) {
      auto found = table_.container(container->id.str());
      if (!found || !*found) continue;
      std::optional<std::uint64_t> count;
      out.containers.push_back(stats_of(container, **found, own ? nullptr : &count));
      if (count) tasks = *tasks + *count;
    }
  std::optional<Reading> read;
  if (own) read = read_meter(sandbox.mutex, sandbox.meter, pod_cgroup_paths(parts_.facts, view->cgroup_path), 0);
  if (read) {
    out.timestamp_ns = read->at_ns;
    out.usage = std::move(read->usage);
    out.usage_nano_cores = read->nano_cores;
    auto count = read->source->tasks();
    tasks = count ? std::optional(*count) : std::nullopt;
    std::lock_guard lock(sandbox.mutex);
    if (sandbox.stopping || sandbox.removed) sandbox.meter = {};
  } else {
    sum_containers(out);
    if (own) tasks = std::nullopt;
  }
  out.tasks = tasks;
  out.links = links_of_pod(sandbox, census);
  return out;
}

NodeRuntime::Census NodeRuntime::take_census() const {
  Census out = Census::of(*snapshot());
  auto links = host().node_links();
  if (!links) log::warn("link counters not read", {{"error", links.error().text()}});
  if (links)
    for (auto& link : *links) {
      std::string name = link.use.name;
      out.links.emplace(std::move(name), std::move(link));
    }
  return out;
}

std::vector<SandboxStats> NodeRuntime::sandbox_stats(
    const std::vector<std::shared_ptr<const SandboxView>>& which) const {
  const Census census = take_census();
  std::vector<std::optional<SandboxStats>> read(which.size());
  in_halves(which.size(), kManyPods, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; i++)
      if (auto found = table_.sandbox(which[i]->id.str()); found && *found)
        read[i] = stats_of(which[i], **found, census);
  });
  std::vector<SandboxStats> out;
  out.reserve(read.size());
  for (auto& one : read)
    if (one) out.push_back(*std::move(one));
  return out;
}

NodeMetrics NodeRuntime::metrics() const {
  NodeMetrics out;
  if (auto space = space_of(parts_.config.podshim.root)) out.layers = *std::move(space);
  const auto all = snapshot();
  std::vector<std::shared_ptr<const SandboxView>> ready;
  for (const auto& view : all->sandboxes)
    if (view->state == SandboxState::ready) ready.push_back(view);
  for (auto& pod : sandbox_stats(ready)) {
    SandboxMetrics one{.sandbox = pod.sandbox, .links = std::move(pod.links)};
    for (auto& stats : pod.containers) {
      auto found = table_.container(stats.container->id.str());
      if (!found || !*found || !stats.usage) continue;
      auto detail = host().read_detail((*found)->cgroup);
      if (!detail) continue;  // it has just ended
      ProcessCensus processes = host().count_processes(detail->pids);
      one.containers.push_back({.stats = std::move(stats),
                                .cgroup_path = (*found)->cgroup.path,
                                .detail = *std::move(detail),
                                .processes = std::move(processes)});
    }
    out.sandboxes.push_back(std::move(one));
  }
  return out;
}

}  // namespace podshim::lifecycle
