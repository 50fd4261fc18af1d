// Node: the one loop that makes what is there equal to what is wanted. It owns all state of podlet; nothing else writes
// it.
//
// step() runs one turn: posted results -> desired objects -> workloads -> Pods (pure sync_pod) -> Services directory ->
// actions. The Services directory is written before any action is submitted, so an endpoint has left before its
// container gets a signal; a deleted Pod's containers wait for netproxy's acknowledgement, at most `ack_limit`.
// Blocking work goes to the Executor and comes back by post(). Runtime state is polled once a second like the kubelet's
// PLEG and looked at after each own action. post() from any thread; everything else on the thread that calls step().
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "podlet/allocate.h"
#include "podlet/deployment.h"
#include "podlet/endpoints.h"
#include "podlet/event_log.h"
#include "podlet/jobs.h"
#include "podlet/object_source.h"
#include "podlet/pod_status.h"
#include "podlet/services_dir.h"
#include "podlet/worker_pool.h"

namespace podshim::podlet {

struct NodeOptions {
  NodeFacts facts;
  Ranges ranges;
  std::string services_dir;
  std::string resolv_conf = "/etc/resolv.conf";  // of the host
  std::string netproxy_status;                   // "" = do not wait for anybody
  Duration ack_limit = std::chrono::milliseconds(200);
  Duration relist = std::chrono::seconds(1);
};

// A start that pulls: given up when its Pod is deleted. `begin` runs it where it has not begun yet: the threads that
// pull may all be busy.
struct Pull {
  std::stop_source stop;
  std::function<void()> begin;
};

struct PodEntry {
  PodRecord record;
  PodObserved seen;
  std::uint64_t ticket = 0;  // of the newest observation applied
  bool observing = false;
  ProbeBook probes;
  Backoff backoff;
  std::map<std::string, Failure> failures;
  std::map<std::string, std::uint32_t> attempts;
  std::set<std::string> busy, starting, pulling;  // pulling: containers whose next start pulls
  std::map<std::string, Pull> pulls;              // by container: starts under way that may pull
  std::map<std::string, Time> held;
  std::map<std::string, int> hold_count;
  SyncOutput plan;
  PodStatus status;
  std::optional<Time> ready_since;
  bool dirty = true;
  // Deletion: when the slices without it were written, and the "address:port" that left them, which netproxy may still
  // use.
  std::optional<Time> left_at;
  std::set<std::string> left_addresses;
  ObjectKey key() const {
    return {.kind = "Pod", .name_space = record.pod.meta.name_space, .name = record.pod.meta.name};
  }
};

class Node {
 public:
  Node(NodeOptions options, RuntimeClient& runtime, Executor& executor, ProbeRunner& prober, const Clock& clock,
       ObjectSource& source, std::function<void()> wake);

  // Reads <state>: records of Pods, allocations. A record that does not parse is moved aside and told.
  Result<> load();
  void post(std::function<void()> message);
  // When to be called again at the latest.
  Time step();
  void rescan() { rescan_ = true; }  // the watched directory changed

  // ---- commands (commands.cc); on the loop's thread
  const NodeOptions& options() const { return options_; }
  const std::map<std::string, PodEntry>& pods() const { return pods_; }  // by uid
  const std::map<ObjectKey, ManifestObject>& objects() const { return source_.objects(); }
  ObjectSource& source() { return source_; }
  const EventLog& events() const { return events_; }
  const AllocationResult& allocation() const { return allocation_; }
  const std::vector<kube::EndpointSlice>& slices() const { return slices_; }
  std::vector<Backend> backends() const;
  std::vector<OwnedPod> owned(const std::string& owner) const;
  const PodEntry* find_pod(const std::string& name_space, const std::string& name) const;
  const std::string& runtime_error() const { return runtime_error_; }
  RuntimeClient& runtime() { return runtime_; }
  Executor& executor() { return executor_; }
  Time now() const { return clock_.now(); }
  void delete_pod(const std::string& uid, std::optional<std::chrono::seconds> grace, const std::string& reason);
  // Everything goes and stays gone until podlet is started anew.
  void drain(std::optional<std::chrono::seconds> grace);
  bool drained() const { return draining_ && pods_.empty(); }
  // Which of these Services would be refused if they were applied now, and why; by key.
  std::map<std::string, std::string> refusals(const std::vector<kube::Service>& services) const;
  void event(const ObjectKey& object, bool warning, std::string reason, std::string message);

 private:
  struct Job {
    std::string uid, key;
    bool starts = false;        // a failure is the Pod's to show and to back off from
    std::optional<Time> after;  // a restart: the end that it follows, for the back-off
  };
  // node_objects.cc
  void take_objects();
  void sync_pod_objects();
  bool all_known() const;  // every Pod was looked at since the start
  void sync_workloads();
  void sync_workload(const kube::Workload& workload, const json::Value& source);
  void add_pod(kube::Pod pod, json::Value source, std::string owner, std::string hash);
  void save(const PodEntry& entry);
  std::string record_path(const std::string& uid) const;
  ConfigMaps config_maps(const std::string& name_space) const;
  std::vector<std::pair<std::string, std::string>> service_env_of(const std::string& name_space) const;
  // node_services.cc
  void allocate_services();
  void sync_services();
  void note_leaving(const std::vector<kube::EndpointSlice>& before);
  bool may_stop(const PodEntry& entry, Time* wake) const;
  // node_pods.cc
  void sync_pods();
  void update_status(PodEntry& entry);
  void start_probes(PodEntry& entry);
  void submit_actions(PodEntry& entry);
  void submit(PodEntry& entry, const Action& action);
  void submit_start(PodEntry& entry, const Action& action);
  void run_job(Job job, Lane lane, std::function<JobResult()> work);
  void observe(PodEntry& entry);
  void finish_job(const Job& job, const JobResult& result, std::uint64_t ticket, Result<PodObserved> seen);
  void apply_observation(PodEntry& entry, std::uint64_t ticket, Result<PodObserved> seen);
  void probe_done(const std::string& uid, const DueProbe& due, const ProbeResult& result);
  void forget(std::string uid);
  SyncInput sync_input(const PodEntry& entry, Time* wake) const;
  void relist();
  void take_relist(const Result<std::vector<CriSandbox>>& sandboxes,
                   const Result<std::vector<CriContainer>>& containers);
  void adopt_orphans(const std::vector<CriSandbox>& sandboxes);
  bool differs(const PodEntry& entry, const std::vector<CriSandbox>& sandboxes,
               const std::vector<CriContainer>& containers) const;
  void want_wake(Time t) { next_ = std::min(next_, t); }

  NodeOptions options_;
  RuntimeClient& runtime_;
  Executor& executor_;
  ProbeRunner& prober_;
  const Clock& clock_;
  ObjectSource& source_;
  std::function<void()> wake_;
  EventLog events_;
  ServicesDir services_dir_;

  std::mutex mutex_;  // guards inbox_
  std::vector<std::function<void()>> inbox_;

  std::map<std::string, PodEntry> pods_;
  std::set<std::string> forgotten_;  // since the running relist began
  std::map<std::string, Time> workload_wakes_;
  AllocationResult allocation_;
  Allocations allocations_;
  std::vector<kube::Service> accepted_;  // as last served, also by a former podlet: what a refused change falls back to
  std::map<std::string, std::vector<kube::EndpointSlice>> slices_of_;  // by Service key
  std::vector<kube::EndpointSlice> slices_;
  std::vector<const PodEntry*> changed_backends_;
  std::vector<kube::Labels> gone_labels_;  // of Pods that were forgotten since the last turn
  bool rescan_ = true, workloads_dirty_ = true, services_dirty_ = true, write_failed_ = false, draining_ = false;
  bool relisting_ = false, runtime_known_ = false;
  bool adopting_ = true;  // Pods of a former podlet are not all seen yet: the slices stay as they are
  std::string runtime_error_;
  Time next_relist_, next_;
  std::atomic<std::uint64_t> tickets_ = 0;
};

}  // namespace podshim::podlet
