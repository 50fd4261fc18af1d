// Cgroups: executes CgroupPlans, kills, removes. Both versions. Needs root (or delegation). Any thread; blocks.
//
// apply_cgroup() leaves what it made on failure: the caller's Rollback calls remove_cgroup(), which is idempotent.
// No function remounts anything; all paths come from the plan.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/fd.h"
#include "common/result.h"
#include "shim/plan/cgroup.h"

namespace podshim {

// Loaded BPF device programs by their bytes: most containers share one. Any thread.
class DevicePrograms {
 public:
  Result<std::shared_ptr<const Fd>> load(const std::string& program);

 private:
  std::mutex mutex_;  // guards loaded_
  std::map<std::string, std::weak_ptr<const Fd>> loaded_;
  std::shared_ptr<const Fd> recent_;  // the kernel drops a program with its last fd and cgroup
};

struct CgroupApplied {
  std::vector<Error> tolerated;  // of steps with may_fail
};
Result<CgroupApplied> apply_cgroup(const CgroupPlan& plan, DevicePrograms& programs);

// The directory to clone into (CloneConfig::cgroup) on v2; an empty Fd on v1.
Result<Fd> open_cgroup(const CgroupPaths& paths);

// Pids in the cgroup and below it, zombies not counted; of a threaded v2 cgroup those of its threads. A missing cgroup
// has none.
Result<std::vector<pid_t>> cgroup_pids(const CgroupPaths& paths);
Result<bool> cgroup_populated(const CgroupPaths& paths);

// SIGKILL to every process in the cgroup and below, and waits until none is left: cgroup.kill where `use_cgroup_kill`
// (HostFacts::cgroup_kill) and v2, else freeze, signal, thaw, again until empty; so too a threaded v2 cgroup, which has
// no cgroup.kill: a process with one thread in it goes, wherever its others are. deadline_exceeded when some stay
// (uninterruptible sleep); the freezer is thawed in every case.
Result<> kill_cgroup(const CgroupPaths& paths, bool use_cgroup_kill, std::chrono::milliseconds deadline);

// Children first; EBUSY (a process on its way out) is tried again until the deadline. Missing is success. A parent of
// ours (podshim*) goes with its last child.
Result<> remove_cgroup(const CgroupPaths& paths, std::chrono::milliseconds deadline);

// For the sweep: names in the directory of `parent` (a cgroup path) that begin with podshim-<instance>-.
Result<std::vector<std::string>> list_cgroups(const HostFacts& host, const std::string& parent,
                                              const std::string& instance);
// All parents (cgroup paths) that have such names. Walks every hierarchy; a cgroup that goes meanwhile is no error.
Result<std::vector<std::string>> find_cgroup_parents(const HostFacts& host, const std::string& instance);

}  // namespace podshim
