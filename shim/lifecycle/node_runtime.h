// NodeRuntime: the Runtime of one node. One source file a journey:
//   sandbox.cc        RunPodSandbox          sandbox_stop.cc   StopPodSandbox, RemovePodSandbox
//   container.cc      CreateContainer        container_start.cc, container_stop.cc (with remove)
//   exec.cc           ExecSync               exec_stream.cc, attach.cc, dial.cc   streaming sessions
//   exec_kill.cc      execs that end before their time
//   update.cc         UpdateContainerResources, UpdatePodSandboxResources
//   events.cc         exits, dead monitors   recover.cc, sweep.cc   after a start, and each minute
//   network_debts.cc  DELs that did not happen
//   container_stats.cc, sandbox_stats.cc    stats, metrics, what writable layers use
//   node_runtime.cc   look-ups, status, wiring
// Threads: callers' (any number, blocking), the monitor loop's (events.cc: never blocks), two for chores, two for the
// ends of streams, one for kills that nobody waits for, four for what runs CNI plugins (those may hang), one for
// housekeeping, one for each container whose mount sources are looked at (likewise). Which lock guards what stands in
// objects.h.
#pragma once

#include <atomic>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/rollback.h"
#include "shim/lifecycle/cgroup_kills.h"
#include "shim/lifecycle/chores.h"
#include "shim/lifecycle/mount_looks.h"
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
    StageObserver stages = {};
    std::chrono::milliseconds start_patience = kKillPatience;  // of a stop with a start that does not die
    MountLooks::Limits mount_looks = {};
    std::chrono::milliseconds exec_patience{30'000};  // with the start of an exec's program; no timeout is longer
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
                               std::chrono::seconds timeout, std::stop_token given_up = {}) override;
  Result<> reopen_log(const std::string& id) override;
  Result<> update_container(const std::string& id, const Resources& change) override;
  Result<> update_sandbox(const std::string& id, const std::optional<Resources>& overhead,
                          const std::optional<Resources>& resources) override;
  Result<std::unique_ptr<ProcessStream>> open_exec(const std::string& id, const std::vector<std::string>& command,
                                                   const StreamRequest& request, StreamEnd ended,
                                                   std::stop_token given_up = {}) override;
  Result<std::unique_ptr<ProcessStream>> attach(const std::string& id, const StreamRequest& request,
                                                StreamEnd ended) override;
  Result<Fd> dial(const std::string& sandbox_id, std::uint16_t port) override;

  std::shared_ptr<const Snapshot> snapshot() const override { return published_.load(); }
  Result<std::shared_ptr<const SandboxView>> sandbox(const std::string& id) const override;
  Result<std::shared_ptr<const ContainerView>> container(const std::string& id) const override;
  std::vector<std::shared_ptr<const ContainerView>> containers_of(const SandboxId& sandbox) const override;
  Result<std::unique_ptr<EventSubscription>> subscribe(std::function<void()> wake) override {
    return published_.events().subscribe(std::move(wake));
  }
  std::vector<OperationTimeline> timeline(const SandboxId& sandbox) const override;
  RuntimeCounters counters() const override;
  std::vector<ContainerStats> stats(const std::vector<std::shared_ptr<const ContainerView>>& which) const override;
  std::vector<SandboxStats> sandbox_stats(const std::vector<std::shared_ptr<const SandboxView>>& which) const override;
  NodeMetrics metrics() const override;
  RuntimeStatus status() const override;
  Result<> set_pod_cidr(const std::string& cidr) override { return networks_.set_pod_cidr(cidr); }
  ImageStore& images() override { return *parts_.images; }

  void sweep();              // removes what is this instance's and has no record
  void adopt_unreached();    // asks again the monitors that did not answer at the start
  void settle_lost_exits();  // asks again for main processes that were killed and had not gone
  void wait_idle();          // until the chores are done; for tests
  // The writable layers' use, for stats: all, or those whose time has come.
  void measure_layers(bool all = true);

 private:
  NodeRuntime(Parts parts, state::Journal journal);

  // sandbox.cc
  Result<SandboxId> make_sandbox(const SandboxSpec& spec, Stage& stage);
  Result<SandboxId> existing_sandbox(const Sandbox& sandbox, const SandboxSpec& spec) const;
  Result<> build_sandbox(Sandbox& sandbox, const SandboxPlan& plan, Stage& stage, Rollback& undo);
  struct NetworkStart {
    cni::NetworkList list;
    cni::Attachment attachment;
    std::unique_ptr<cni::WaitingPlugin> first_plugin;
  };
  Result<NetworkStart> start_network(const Sandbox& sandbox);
  Result<> build_network(Sandbox& sandbox, NetworkStart& network, Stage& stage, Rollback& undo);
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
  Result<Observed> observe(const Container& container) const;
  Result<std::string> read_profile(const std::string& path) const;
  Result<std::vector<Fd>> mount_image_volumes(Container& container);
  Result<> keep_profile(const Container& container);
  Result<std::string> kept_profile(const Container& container) const;
  Result<std::string> target_of(const Sandbox& sandbox, const ContainerSpec& spec) const;
  // Borrows the specs of the container and its sandbox: those never change.
  ContainerInput input_of(const Container& container, Observed observed, int leaf = 0) const;

  // container_start.cc
  Result<Observed> look_again(const Container& container) const;
  // `stops`: those asked for when the start came.
  Result<> begin_container(Container& container, Observed observed, unsigned stops, Stage& stage);
  Result<sys::ProcessId> launch_container(Container& container, MonitorProcess& monitor, const ContainerPlan& plan);
  void note_start_error(Container& container, const Error& error);

  // container_stop.cc
  Result<> end_container(const std::shared_ptr<Container>& container, std::chrono::milliseconds grace);
  Result<> end_processes(const std::shared_ptr<Container>& container, std::chrono::milliseconds grace);
  Result<> settle_start(Container& container, std::chrono::milliseconds grace);
  Result<> drop_from_monitor(const Container& container);
  Result<> kill_rest(const Container& container);
  Result<> kill_recorded(const Sandbox& sandbox, const sys::ProcessId& process, std::chrono::milliseconds patience);
  bool wait_ended(Container& container, std::chrono::milliseconds patience) const;
  void settle_lost_exit(const std::shared_ptr<Container>& container, std::chrono::milliseconds patience);
  void settle_soon(const std::shared_ptr<Container>& container);
  Result<> discard_container(const std::shared_ptr<Container>& container);

  // update.cc
  Result<> change_limits(Container& container, const Resources& change, Stage& stage);
  Result<> plan_limits(const Container& container, const Resources& wanted) const;
  Result<> record_limits(Container& container, const std::optional<Resources>& limits, bool updating);
  Result<> write_limits(Container& container);
  void finish_update(Container& container);
  Result<> record_update(Sandbox& sandbox, const state::SandboxUpdate& update);

  // exec_start.cc
  struct ExecStdio {
    Fd in, out, err;  // the child's ends; empty: /dev/null
    bool tty = false;
  };
  // What an exec, and what kills it, have of a cgroup leaf: the last of them gives it back.
  struct LeafHold {
    LeafHold(NodeRuntime& r, std::shared_ptr<Container> c, int l) : runtime(r), container(std::move(c)), leaf(l) {}
    ~LeafHold();
    LeafHold(const LeafHold&) = delete;
    LeafHold& operator=(const LeafHold&) = delete;
    NodeRuntime& runtime;
    const std::shared_ptr<Container> container;
    const int leaf;
  };
  Result<std::shared_ptr<Container>> find_for_exec(const std::string& id,
                                                   const std::vector<std::string>& command) const;
  // `done` and `wait` as in MonitorProcess::start_exec.
  Result<> begin_exec(const LeafHold& hold, const std::vector<std::string>& command, ExecStdio stdio,
                      std::function<void(Result<int>)> done, const ExecWait& wait = {});
  std::shared_ptr<LeafHold> take_leaf(const std::shared_ptr<Container>& container);
  std::shared_ptr<LeafHold> claim_leaf(const std::shared_ptr<Container>& container, int leaf);  // null: it is taken
  void give_leaf(Container& container, int leaf);
  bool leaf_populated(const Container& container, int leaf, bool unless_known) const;

  // exec_kill.cc
  std::future<void> kill_exec(std::shared_ptr<LeafHold> leaf);  // ready when nothing lives there any more
  void resume_kills();
  void kill_unowned(MonitorProcess& monitor, const MonitorExec& exec);
  std::string kills_dir() const { return parts_.config.podshim.state + "/kills"; }

  // exec.cc
  Result<ExecResult> run_exec(const std::shared_ptr<LeafHold>& leaf, const std::vector<std::string>& command,
                              std::chrono::seconds timeout, const std::stop_token& given_up);
  Result<> kill_and_wait(const std::shared_ptr<LeafHold>& leaf, const std::vector<std::string>& command);
  Error end_start(const char* operation, const std::shared_ptr<LeafHold>& leaf, const std::vector<std::string>& command,
                  const ExecWait& wait, Error error);

  // exec_stream.cc
  struct ExecSession;
  class ExecStream;
  Result<std::unique_ptr<ProcessStream>> make_exec_stream(const std::shared_ptr<ExecSession>& session,
                                                          const std::shared_ptr<LeafHold>& leaf,
                                                          const std::vector<std::string>& command,
                                                          const StreamRequest& request,
                                                          const std::stop_token& given_up);
  Result<ExecStdio> make_stdio(const Container& container, const StreamRequest& request, ProcessStream& stream) const;
  void session_ended(const std::shared_ptr<ExecSession>& session, Result<int> code);
  void stream_dropped(const std::shared_ptr<ExecSession>& session);

  // attach.cc
  class AttachStream;
  void close_stdin_of(const std::shared_ptr<Container>& container);

  // events.cc
  void container_exited(const SandboxId& sandbox, const ExitRecord& exit) override;
  void pause_exited(const SandboxId& sandbox, int wait_status) override;
  void log_lost(const SandboxId& sandbox, const ContainerId& id, std::uint64_t bytes) override;
  void monitor_gone(const SandboxId& sandbox) override;
  void note_exit(const std::shared_ptr<Container>& container, const state::ContainerExit& exit);
  bool shares_pid(const Container& container) const;
  void bury_monitor(const std::shared_ptr<Sandbox>& sandbox);
  void kill_and_then(const CgroupPaths& cgroup, const std::function<void()>& then);
  void mark_not_ready(const std::shared_ptr<Sandbox>& sandbox, const std::string& why);

  // recover.cc
  Result<> recover();
  void take_records(state::Contents contents);
  void adopt_all(const std::vector<std::shared_ptr<Sandbox>>& sandboxes, const std::string& boot_id);
  void adopt(const std::shared_ptr<Sandbox>& sandbox, const std::string& boot_id);
  Result<> adopt_monitor(const std::shared_ptr<Sandbox>& sandbox);
  void adopt_container(const std::shared_ptr<Container>& container, const MonitorContainer& seen);
  void end_unowned_start(const Container& container);
  void end_earlier_boot(const std::shared_ptr<Sandbox>& sandbox);
  void roll_back(const state::SandboxRecord& record);
  void roll_back(const state::ContainerRecord& record);

  // network_debts.cc
  void owe_del(const state::SandboxRecord& record);
  void owe_del_of_lost(const SandboxId& id, const std::string& netns_path);
  void pay_debts();
  void ask_network();
  void collect_network_garbage();

  // sweep.cc
  void sweep_netns();
  void sweep_cgroups();
  bool find_parents();  // false: there may be more
  void note_walked();
  void sweep_directories();
  void housekeeping();
  // On the plugin chores, unless the last of its kind has not ended: a plugin hangs.
  void post_alone(std::atomic<bool>& busy, std::function<void()> work);
  void watch_operations();

  // container_stats.cc
  struct Reading {
    std::int64_t at_ns = 0;
    CgroupStats usage;
    std::optional<std::uint64_t> nano_cores;
    std::shared_ptr<const StatsSource> source;
  };
  // `mutex` guards `meter` and is not held while reading. Nothing: the cgroup is gone or cannot be read.
  std::optional<Reading> read_meter(std::mutex& mutex, Meter& meter, const CgroupPaths& paths,
                                    std::int64_t began_at_ns) const;
  ContainerStats stats_of(const std::shared_ptr<const ContainerView>& view, Container& container,
                          std::optional<std::uint64_t>* tasks = nullptr) const;

  // sandbox_stats.cc
  struct Census;
  Census take_census() const;
  bool has_own_cgroup(const SandboxView& view, const Census& census) const;
  void sum_containers(SandboxStats& out) const;
  std::vector<LinkUse> links_of_pod(const Sandbox& sandbox, const Census& census) const;
  SandboxStats stats_of(const std::shared_ptr<const SandboxView>& view, Sandbox& sandbox, const Census& census) const;

  // node_runtime.cc
  Result<std::shared_ptr<Sandbox>> find_sandbox(const std::string& id) const;        // not_found
  Result<std::shared_ptr<Container>> find_container(const std::string& id) const;    // not_found
  Result<std::shared_ptr<MonitorProcess>> monitor_of(const Sandbox& sandbox) const;  // failed_precondition: not ready
  Result<> persist(Sandbox& sandbox);
  Result<> persist(Container& container);
  void publish(const Sandbox& sandbox);
  void publish(const Container& container);
  template <typename Object>
  static void keep(OperationTimeline timeline, Object& of, OperationTimeline* as) {
    std::lock_guard lock(of.mutex);
    *as = std::move(timeline);
  }
  void observe_stages(const StageObserver& observer);
  void tolerate(const CgroupApplied& applied);
  void warn_once(const std::string& what);
  void wake_housekeeping();
  Rollback rollback(const std::string& of) const;

  SandboxFacts facts_of(const SandboxId& id, const SandboxSpec& spec, const std::string& hostname) const;
  std::string state_dir(const SandboxId& id) const { return parts_.config.podshim.state + "/sandboxes/" + id.str(); }
  std::string exits_dir() const { return parts_.config.podshim.state + "/exits"; }
  std::string exit_path(const ContainerId& id) const { return exits_dir() + "/" + id.str(); }
  std::string profile_path(const ContainerId& id) const { return journal_.dir(id) + "/seccomp.json"; }
  std::string walked_path() const { return parts_.config.podshim.state + "/cgroups-walked"; }
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
  MountLooks mount_looks_;
  Operations<SandboxId> sandbox_runs_{"RunPodSandbox"};
  Operations<ContainerId> container_creates_{"CreateContainer"};
  Operations<bool> sandbox_ends_{"StopPodSandbox"}, starts_{"StartContainer"}, container_ends_{"RemoveContainer"},
      updates_{"UpdateContainerResources"}, sandbox_updates_{"UpdatePodSandboxResources"};
  std::atomic<std::uint64_t> updates_made_{0};

  std::atomic<bool> garbage_due_{false};  // CNI GC is to free what a DEL did not, or an ADD or STATUS lacks
  std::atomic<bool> paying_{false};       // pay_debts() is posted or runs
  std::atomic<bool> asking_{false};       // networks_.refresh(), likewise
  std::atomic<bool> measuring_{false};    // measure_layers(), likewise
  mutable std::mutex notes_;  // guards warnings_, quarantined_, parents_, unreached_, unsettled_, told_debts_
  std::set<std::string> warnings_;
  std::vector<std::string> quarantined_;
  std::set<std::string> unreached_;       // sandboxes whose monitor lives and did not answer
  std::set<std::string> told_unreached_;  // of those, said once
  std::set<std::string> unsettled_;       // containers whose main process was killed and had not gone
  std::set<std::string> told_debts_;      // sandboxes whose DEL failed again, said once
  std::set<std::string> parents_;         // cgroup parents that were ever used: where the sweep looks
  // Of the thread that sweeps. Names of the records whose cgroups may be below any parent; "" = none that is new.
  std::string set_aside_;
  bool parents_found_ = false;

  mutable std::mutex wake_;  // guards woken_, and changes of stopping_
  mutable std::condition_variable woken_signal_;
  mutable bool woken_ = false;
  std::atomic<bool> stopping_{false};
  std::thread housekeeper_;
  Chores chores_{2}, stream_chores_{2}, plugin_chores_{4};
  CgroupKills kills_{[this](const CgroupPaths& cgroup) { return host().kill_cgroup(cgroup, {}); }};
};

}  // namespace podshim::lifecycle
