// Sandbox and Container as they live in the daemon, and the Table of them.
//
// `mutex` guards the fields below it, for a look or a change, never over a system call. `operation` makes the long
// operations of one object follow each other (start before remove); no reader and no event ever takes it. `writing`
// makes the writes of one record follow each other, so that the file always holds the newest state.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "shim/lifecycle/host.h"
#include "shim/lifecycle/meter.h"
#include "shim/lifecycle/timeline.h"
#include "shim/state/record.h"
#include "shim/state/snapshot.h"

namespace podshim::lifecycle {

std::shared_ptr<const SandboxView> view_of(const state::SandboxRecord& record);
std::shared_ptr<const ContainerView> view_of(const state::ContainerRecord& record);

// The specs and what was resolved at creation never change, and are read without the mutex (an update stands beside
// them).
struct Sandbox {
  explicit Sandbox(state::SandboxRecord r, SandboxFacts f) : id(r.id), facts(std::move(f)), record(std::move(r)) {}

  const SandboxId id;
  const SandboxFacts facts;
  std::mutex operation, writing;

  mutable std::mutex mutex;  // guards what follows
  state::SandboxRecord record;
  std::shared_ptr<MonitorProcess> monitor;  // null: there is none any more
  Meter meter;                              // of the Pod's cgroup
  mutable std::shared_ptr<const PodLinks> links;
  mutable std::shared_ptr<LinkCounters> inside;  // keeps the network namespace
  bool stopping = false;                         // no container is created or started any more
  bool monitor_ended = false;                    // by a stop: with pause, and their cgroup is gone
  bool monitor_lost = false;                     // it was told, or found, that its monitor has ended
  bool removed = false;
  OperationTimeline start;

  state::SandboxRecord copy() const {
    std::lock_guard lock(mutex);
    return record;
  }
  std::shared_ptr<const SandboxView> view() const {
    std::lock_guard lock(mutex);
    return view_of(record);
  }
  bool ready() const {
    std::lock_guard lock(mutex);
    return record.ready;
  }
  bool stopped() const {
    std::lock_guard lock(mutex);
    return stopping || removed;
  }
  std::shared_ptr<MonitorProcess> live_monitor() const {
    std::lock_guard lock(mutex);
    return monitor;
  }
};

// Cgroup leaves of the execs of one container. One exec per leaf at a time, so that its timeout kills its own subtree
// alone; one whose exec left something running is not used again before it is empty.
struct ExecLeaves {
  std::set<int> made, busy, left;
};

struct Container {
  Container(state::ContainerRecord r, std::shared_ptr<Sandbox> s, CgroupPaths c)
      : id(r.id), sandbox(std::move(s)), cgroup(std::move(c)), record(std::move(r)) {}

  const ContainerId id;
  const std::shared_ptr<Sandbox> sandbox;
  const CgroupPaths cgroup;
  std::mutex operation, writing;

  mutable std::mutex mutex;  // guards what follows
  std::condition_variable ended;
  state::ContainerRecord record;
  Meter meter;
  std::optional<LayerUse> layer;  // measured in the background
  std::int64_t measure_at_ns = 0, measure_every_ns = 0;
  ExecLeaves leaves;
  OperationTimeline creation, start;
  bool starting = false;  // a start is under way, its undo included; its end is told by `ended`
  bool removed = false;
  unsigned stops = 0;  // that were asked for

  unsigned stops_so_far() const {
    std::lock_guard lock(mutex);
    return stops;
  }
  state::ContainerRecord copy() const {
    std::lock_guard lock(mutex);
    return record;
  }
  std::shared_ptr<const ContainerView> view() const {
    std::lock_guard lock(mutex);
    return view_of(record);
  }
  // Something of it may run.
  bool alive() const {
    std::lock_guard lock(mutex);
    return starting || state_of(record) == ContainerState::running;
  }
  ContainerState state() const {
    std::lock_guard lock(mutex);
    return state_of(record);
  }
  static ContainerState state_of(const state::ContainerRecord& r) {
    if (r.exit) return ContainerState::exited;
    return r.started_at_ns != 0 ? ContainerState::running : ContainerState::created;
  }
};

// The last part of netns_path: a record keeps its names, whatever the instance is called now.
std::string netns_name_of(const state::SandboxRecord& record);

// namespace/name/uid/attempt; sandbox/name/attempt.
std::string name_key(const SandboxSpec& spec);
std::string name_key(const SandboxId& sandbox, const ContainerSpec& spec);

// By id, unique prefix and name. Any thread; the lock is held for a look or a change of the maps.
class Table {
 public:
  // nullptr: none. An ambiguous prefix is invalid_argument.
  Result<std::shared_ptr<Sandbox>> sandbox(const std::string& id) const;
  Result<std::shared_ptr<Container>> container(const std::string& id) const;
  std::shared_ptr<Sandbox> sandbox_named(const std::string& key) const;
  std::shared_ptr<Container> container_named(const std::string& key) const;
  std::vector<std::shared_ptr<Sandbox>> sandboxes() const;
  std::vector<std::shared_ptr<Container>> containers() const;
  std::vector<std::shared_ptr<Container>> containers_of(const SandboxId& sandbox) const;

  // Ids whose objects are being made: not in the table yet, not for the sweep. Events for them are kept.
  void begin(const std::string& id);
  // False when the sandbox's monitor went away before this: the caller has to treat it as gone.
  bool add(std::shared_ptr<Sandbox> sandbox);
  bool add(std::shared_ptr<Container> container);  // false: its sandbox has been removed
  void end(const std::string& id);                 // after add(), or when nothing is left of it
  bool known(const std::string& id) const;
  std::vector<std::string> making() const;
  // The monitor of a sandbox is gone: gives the sandbox, or keeps it for add() while it is still being made.
  std::shared_ptr<Sandbox> gone(const SandboxId& id);

  bool erase(const Sandbox& sandbox);  // false: it has containers
  void erase(const Container& container);

 private:
  mutable std::mutex mutex_;  // guards all
  std::map<std::string, std::shared_ptr<Sandbox>> sandboxes_;
  std::map<std::string, std::shared_ptr<Container>> containers_;
  std::map<std::string, std::shared_ptr<Sandbox>> sandbox_names_;
  std::map<std::string, std::shared_ptr<Container>> container_names_;
  std::set<std::string> making_, gone_early_;
};

}  // namespace podshim::lifecycle
