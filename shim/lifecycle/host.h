// Host: all that lifecycle does to the machine, so that tests can give a second one (tests/support/fake_host.h).
//
// The real one (make_host) is a thin row over apply/, image/ and cni_client/: it decides nothing. Any thread. What each
// call needs and leaves behind stands at the function of apply/ it forwards to. Plain files below the runtime's own
// root and state directories are not part of it: they are the same in a test's temporary directory.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/fd.h"
#include "common/ids.h"
#include "common/result.h"
#include "shim/apply/cgroup.h"
#include "shim/apply/cgroup_detail.h"
#include "shim/apply/cgroup_stats.h"
#include "shim/apply/cgroup_update.h"
#include "shim/apply/container_terminal.h"
#include "shim/apply/host_paths.h"
#include "shim/apply/link_counters.h"
#include "shim/apply/monitor_process.h"
#include "shim/cni_client/invoke.h"
#include "shim/plan/cgroup.h"
#include "shim/plan/devices.h"
#include "shim/plan/mounts.h"
#include "shim/plan/spec.h"

namespace podshim::lifecycle {

using std::chrono::milliseconds;

class StatsSource {
 public:
  virtual ~StatsSource() = default;
  // As CgroupStatsReader's.
  virtual Result<CgroupStats> read(const CgroupStats* last) const = 0;
  virtual Result<std::uint64_t> tasks() const = 0;
};

class Host {
 public:
  virtual ~Host() = default;

  virtual std::int64_t now_ns() const = 0;  // wall clock
  virtual std::string boot_id() const = 0;

  // Before the first monitor: who is told of exits.
  virtual Result<> start_events(MonitorEvents& events) = 0;
  virtual Result<std::shared_ptr<MonitorProcess>> launch_monitor(const MonitorLaunch& launch) = 0;
  virtual Result<std::shared_ptr<MonitorProcess>> connect_monitor(const SandboxId& id, const std::string& dir,
                                                                  milliseconds patience) = 0;
  virtual Result<bool> has_ended(const sys::ProcessId& process) = 0;  // by pid and start time; a zombie has

  // SIGKILL, and waits for its end. One that has ended, or whose pid is another's by now, is success.
  virtual Result<> kill_process(const sys::ProcessId& process, milliseconds deadline) = 0;

  virtual Result<CgroupApplied> apply_cgroup(const CgroupPlan& plan) = 0;
  virtual Result<CgroupContents> read_cgroup_files(const std::vector<std::string>& files) = 0;
  virtual Result<> apply_cgroup_update(const CgroupUpdatePlan& plan) = 0;
  virtual Result<Fd> open_cgroup(const CgroupPaths& paths) = 0;
  virtual Result<bool> cgroup_populated(const CgroupPaths& paths) = 0;
  virtual Result<std::vector<pid_t>> cgroup_pids(const CgroupPaths& paths) = 0;
  virtual Result<> kill_cgroup(const CgroupPaths& paths, milliseconds deadline) = 0;
  virtual Result<> remove_cgroup(const CgroupPaths& paths, milliseconds deadline) = 0;
  virtual Result<std::vector<std::string>> list_cgroups(const std::string& parent) = 0;
  virtual Result<std::vector<std::string>> find_cgroup_parents() = 0;
  virtual Result<std::unique_ptr<StatsSource>> open_stats(const CgroupPaths& paths) = 0;
  virtual Result<CgroupDetail> read_detail(const CgroupPaths& paths) = 0;
  virtual ProcessCensus count_processes(const std::vector<std::int32_t>& pids) = 0;
  virtual Result<std::vector<NodeLink>> node_links() = 0;
  virtual Result<std::unique_ptr<LinkCounters>> open_links(const std::string& netns_path) = 0;

  virtual Result<std::string> bind_netns(pid_t pid, const std::string& name) = 0;
  virtual Result<> unbind_netns(const std::string& name) = 0;
  virtual std::string netns_path(const std::string& name) const = 0;
  virtual Result<std::vector<std::string>> list_netns() = 0;  // names

  // On the devpts of the container whose process this is.
  virtual Result<Terminal> open_terminal(const sys::ProcessId& process) = 0;
  // A connection to localhost of a network namespace; "" = the host's.
  virtual Result<Fd> dial(const std::string& netns_path, std::uint16_t port) = 0;

  virtual Result<Fd> make_shm() = 0;
  // The looks may outlive the host.
  virtual Result<std::vector<MountLook>> mount_looks(const SandboxSpec& sandbox, const ContainerSpec& container,
                                                     const SandboxFacts& facts) = 0;
  virtual std::vector<MountLook> device_looks(const ContainerSpec& container,
                                              const std::shared_ptr<std::vector<DeviceNode>>& out) = 0;
  virtual MountLook log_look(const std::string& log_path) = 0;

  virtual cni::PluginRunner& plugins() = 0;
};

struct HostOptions {
  std::string monitor_binary;  // "" = podshim-monitor beside the running program
  std::string netns_dir = "/run/netns";
  std::string boot_id_file = "/proc/sys/kernel/random/boot_id";
};
Result<std::unique_ptr<Host>> make_host(const HostFacts& facts, const std::string& instance, HostOptions options);

}  // namespace podshim::lifecycle
