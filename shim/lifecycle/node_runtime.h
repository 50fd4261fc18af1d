// NodeRuntime: the Runtime of one node. One source file a journey:
//   sandbox.cc        RunPodSandbox          sandbox_stop.cc   StopPodSandbox, RemovePodSandbox
//   container.cc      CreateContainer        container_start.cc, container_stop.cc (with remove), exec.cc
//   events.cc         exits, dead monitors   recover.cc, sweep.cc   after a start, and each minute
//   node_runtime.cc   look-ups, status, stats, wiring
// Threads: callers' (any number, blocking), the monitor loop's (events.cc: never blocks), two for chores, one for
// housekeeping. Which lock guards what stands in objects.h.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/rollback.h"
#include "shim/lifecycle/chores.h"
#include "shim/lifecycle/networks.h"
#include "shim/lifecycle/objects.h"
#include "shim/lifecycle/operations.h"
#include "shim/lifecycle/runtime.h"
#include "shim/plan/container_plan.h"
#include "shim/plan/sandbox_plan.h"
#include "shim/state/instance.h"
#include "shim/state/journal.h"

namespace podshim::lifecycle {

// How long the kernel may take for what it normally does in a few ms.
inline constexpr std::chrono::milliseconds kKillPatience{10'000};
inline constexpr std::chrono::milliseconds kRemovePatience{5'000};
inline constexpr std::chrono::milliseconds kShutdownPatience{5'000};

class NodeRuntime : public Runtime, private MonitorEvents {
 public:
  struct Parts {
    Config config;
    HostFacts facts;
    std::unique_ptr<ImageStore> images;
    std::unique_ptr<Host> host;
    state::Instance instance;
    std::vector<std::string> quarantined;  // of the image store
    bool housekeeping = true;              // false: tests call sweep() themselves
  };
  // Recovers; gives up only when the directories cannot be used at all.
  static Result<std::unique_ptr<NodeRuntime>> start(Parts parts);
  ~NodeRuntime() override;

  Result<SandboxId> run_sandbox(const SandboxSpec& spec) override;
  Result<> stop_sandbox(const std::string& id) override;
  Result<> remove_sandbox(const std::string& id) override;
  Result<ContainerId> create_container(const std::string& sandbox_id, const ContainerSpec& spec) override;
  Result<> start_container(const std::string& id) override;
  Result<> stop_container(const std::string& id, std::chrono::seconds grace) override;
  Result<> remove_container(const std::string& id) override;
  Result<ExecResult> exec_sync(const std::string& id, const std::vector<std::string>& command,
                               std::chrono::seconds timeout) override;
  Result<> reopen_log(const std::string& id) override;

  std::shared_ptr<const Snapshot> snapshot() const override { return published_.load(); }
  Result<std::shared_ptr<const SandboxView>> sandbox(const std::string& id) const override;
  Result<std::shared_ptr<const ContainerView>> container(const std::string& id) const override;
  std::vector<ContainerStats> stats(const std::vector<std::shared_ptr<const ContainerView>>& which) const override;
  RuntimeStatus status() const override;
  Result<> set_pod_cidr(const std::string& cidr) override { return networks_.set_pod_cidr(cidr); }
  ImageStore& images() override { return *parts_.images; }

  void sweep();      // removes what is this instance's and has no record
  void wait_idle();  // until the chores are done; for tests
  void measure_layers();

 private:
  NodeRuntime(Parts parts, state::Journal journal);

  // sandbox.cc
  Result<SandboxId> make_sandbox(const SandboxSpec& spec, Stage& stage);
  Result<SandboxId> existing_sandbox(const Sandbox& sandbox, const SandboxSpec& spec) const;
  Result<> build_sandbox(Sandbox& sandbox, const SandboxPlan& plan, Stage& stage, Rollback& undo);
  Result<> build_network(Sandbox& sandbox, const SandboxPlan& plan, Stage& stage, Rollback& undo);
  Result<std::shared_ptr<Sandbox>> intend_sandbox(const SandboxId& id, const SandboxSpec& spec,
                                                  const SandboxPlan& plan);

  // sandbox_stop.cc
  Result<> take_down(Sandbox& sandbox, Stage& stage);
  Result<> end_containers(const Sandbox& sandbox);
  Result<> end_network(Sandbox& sandbox);
  Result<> end_monitor(Sandbox& sandbox);
  Result<> discard_sandbox(Sandbox& sandbox, Stage& stage);

  // container.cc
  Result<ContainerId> make_container(const std::shared_ptr<Sandbox>& sandbox, const ContainerSpec& spec, Stage& stage);
  Result<ContainerId> existing_container(const Container& container, const ContainerSpec& spec) const;
  Result<> build_container(Container& container, const Image& image, Stage& stage, Rollback& undo);
  struct Observed {
    std::vector<DeviceNode> devices;
    std::string seccomp_profile;
  };
  Result<Observed> observe(const ContainerSpec& spec);
  Result<> check_target(const Sandbox& sandbox, const ContainerSpec& spec) const;
  // Borrows the specs of the container and its sandbox: those never change.
  ContainerInput input_of(const Container& container, Observed observed, int leaf = 0) const;

  // container_start.cc
  Result<> begin_container(Container& container, Stage& stage);
  Result<sys::ProcessId> launch_container(Container& container, MonitorProcess& monitor, const ContainerPlan& plan);
  void note_start_error(Container& container, const Error& error);

  // container_stop.cc
  Result<> end_container(const std::shared_ptr<Container>& container, std::chrono::milliseconds grace);
  Result<> drop_from_monitor(const Container& container);
  Result<> kill_rest(const Container& container);
  bool wait_ended(Container& container, std::chrono::milliseconds patience) const;
  void settle_lost_exit(const std::shared_ptr<Container>& container);
  Result<> discard_container(const std::shared_ptr<Container>& container);

  // exec.cc
  int take_leaf(Container& container);
  void give_leaf(Container& container, int leaf);
  Result<ExecResult> run_exec(Container& container, const std::vector<std::string>& command,
                              std::chrono::seconds timeout, int leaf);

  // events.cc
  void container_exited(const SandboxId& sandbox, const ExitRecord& exit) override;
  void pause_exited(const SandboxId& sandbox, int wait_status) override;
  void monitor_gone(const SandboxId& sandbox) override;
  void note_exit(const std::shared_ptr<Container>& container, const state::ContainerExit& exit);
  bool shares_pid(const Container& container) const;
  void bury_monitor(const std::shared_ptr<Sandbox>& sandbox);
  void mark_not_ready(const std::shared_ptr<Sandbox>& sandbox, const std::string& why);

  // recover.cc
  Result<> recover();
  void take_records(state::Contents contents);
  void adopt(const std::shared_ptr<Sandbox>& sandbox, const std::string& boot_id);
  Result<> adopt_monitor(const std::shared_ptr<Sandbox>& sandbox);
  void adopt_container(const std::shared_ptr<Container>& container, const MonitorContainer& seen);
  void end_earlier_boot(const std::shared_ptr<Sandbox>& sandbox);
  void roll_back(const state::SandboxRecord& record);
  void roll_back(const state::ContainerRecord& record);
  void collect_network_garbage();

  // sweep.cc
  void sweep_netns();
  void sweep_cgroups();
  void sweep_directories();
  void housekeeping();
  void watch_operations();

  // node_runtime.cc
  Result<std::shared_ptr<Sandbox>> find_sandbox(const std::string& id) const;        // not_found
  Result<std::shared_ptr<Container>> find_container(const std::string& id) const;    // not_found
  Result<std::shared_ptr<MonitorProcess>> monitor_of(const Sandbox& sandbox) const;  // failed_precondition: not ready
  Result<> persist(Sandbox& sandbox);
  Result<> persist(Container& container);
  void publish(const Sandbox& sandbox);
  void publish(const Container& container);
  void tolerate(const CgroupApplied& applied);
  void warn_once(const std::string& what);
  void wake_housekeeping();
  Rollback rollback(const std::string& of) const;

  SandboxFacts facts_of(const SandboxId& id, const SandboxSpec& spec, const std::string& hostname) const;
  std::string state_dir(const SandboxId& id) const { return parts_.config.podshim.state + "/sandboxes/" + id.str(); }
  std::string exits_dir() const { return parts_.config.podshim.state + "/exits"; }
  std::string exit_path(const ContainerId& id) const { return exits_dir() + "/" + id.str(); }
  std::string staging_dir() const { return parts_.config.podshim.state + "/staging"; }
  CgroupPaths cgroup_of(const state::SandboxRecord& sandbox, const ContainerId& id) const;
  CgroupPaths monitor_cgroup(const SandboxId& id) const;
  const std::string& instance() const { return parts_.instance.id(); }
  Host& host() const { return *parts_.host; }

  Parts parts_;
  const state::Journal journal_;
  Table table_;
  state::Publisher published_;
  mutable Networks networks_;
  SeccompFilters filters_;
  Operations<SandboxId> sandbox_runs_{"RunPodSandbox"};
  Operations<ContainerId> container_creates_{"CreateContainer"};
  Operations<bool> sandbox_ends_{"StopPodSandbox"}, starts_{"StartContainer"}, container_ends_{"RemoveContainer"};

  std::atomic<bool> garbage_due_{false};  // a DEL did not happen: CNI GC is to free what it left
  mutable std::mutex notes_;              // guards warnings_, quarantined_, parents_
  std::set<std::string> warnings_;
  std::vector<std::string> quarantined_;
  std::set<std::string> parents_;  // cgroup parents that were ever used: where the sweep looks

  mutable std::mutex wake_;  // guards woken_, stopping_
  mutable std::condition_variable woken_signal_;
  mutable bool woken_ = false;
  bool stopping_ = false;
  std::thread housekeeper_;
  Chores chores_{2};
};

}  // namespace podshim::lifecycle
