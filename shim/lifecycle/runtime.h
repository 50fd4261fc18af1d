// Runtime: Pod sandboxes and containers, as shim/cri sees them. Everything behind it is free of gRPC.
//
// Any thread. Mutating calls block (they run on the border's bounded pools); a repeated or concurrent call with the
// same name and config joins the running operation or returns its result. Views come from a published snapshot and
// never wait. Unknown ids: not_found for status calls and container operations, success for stop and remove. Ids may be
// given as unique prefixes. A call that fails leaves nothing behind (Rollback), or a complete object.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/config.h"
#include "common/ids.h"
#include "common/result.h"
#include "shim/image/store.h"
#include "shim/lifecycle/stats.h"
#include "shim/lifecycle/stream.h"
#include "shim/lifecycle/timeline.h"
#include "shim/plan/facts.h"
#include "shim/plan/spec.h"
#include "shim/state/snapshot.h"

namespace podshim {

struct ExecResult {
  int exit_code = 0;
  std::string out, err;
};

struct Condition {
  bool ok = false;
  std::string reason, message;
};

struct RuntimeStatus {
  Condition runtime, network;
  bool recursive_readonly = false;
  std::vector<std::string> quarantined;  // records set aside, with the reason
  std::vector<std::string> warnings;     // once-only host findings
};

struct RuntimeCounters {
  std::size_t subscribers = 0;         // of events
  std::size_t network_debts = 0;       // sandboxes that are gone and whose CNI DEL is still owed
  std::size_t quarantined = 0;         // records set aside
  std::size_t unreached_monitors = 0;  // that live and do not answer
};

class Runtime {
 public:
  virtual ~Runtime() = default;

  virtual Result<SandboxId> run_sandbox(const SandboxSpec& spec) = 0;
  virtual Result<> stop_sandbox(const std::string& id) = 0;
  virtual Result<> remove_sandbox(const std::string& id) = 0;
  virtual Result<ContainerId> create_container(const std::string& sandbox_id, const ContainerSpec& spec) = 0;
  virtual Result<> start_container(const std::string& id) = 0;
  virtual Result<> stop_container(const std::string& id, std::chrono::seconds grace) = 0;
  virtual Result<> remove_container(const std::string& id) = 0;
  // Zero timeout = none. deadline_exceeded, or cancelled by `given_up`: the whole subtree was killed. Each output is
  // cut at 16 MiB.
  virtual Result<ExecResult> exec_sync(const std::string& id, const std::vector<std::string>& command,
                                       std::chrono::seconds timeout, std::stop_token given_up = {}) = 0;
  virtual Result<> reopen_log(const std::string& id) = 0;
  // 0 and "" of `change` leave what is, -1 takes a limit away. Created: it starts with the new limits. Running: all of
  // them are in force when this returns, or none. failed_precondition: it has ended, or it uses more memory than that.
  virtual Result<> update_container(const std::string& id, const Resources& change) = 0;
  // Kept and shown; the Pod's cgroup is the client's own.
  virtual Result<> update_sandbox(const std::string& id, const std::optional<Resources>& overhead,
                                  const std::optional<Resources>& resources) = 0;
  // Streaming (stream.h). A call that fails does not call `ended`. cancelled by `given_up`: the program had not started
  // yet, and was killed; what has started ends with its stream.
  virtual Result<std::unique_ptr<ProcessStream>> open_exec(const std::string& id,
                                                           const std::vector<std::string>& command,
                                                           const StreamRequest& request, StreamEnd ended,
                                                           std::stop_token given_up = {}) = 0;
  virtual Result<std::unique_ptr<ProcessStream>> attach(const std::string& id, const StreamRequest& request,
                                                        StreamEnd ended) = 0;
  // A connection to `localhost:port` inside the sandbox's network namespace, non-blocking; ECONNREFUSED and the like
  // when nobody listens.
  virtual Result<Fd> dial(const std::string& sandbox_id, std::uint16_t port) = 0;

  virtual std::shared_ptr<const Snapshot> snapshot() const = 0;
  virtual Result<std::shared_ptr<const SandboxView>> sandbox(const std::string& id) const = 0;
  virtual Result<std::shared_ptr<const ContainerView>> container(const std::string& id) const = 0;
  virtual std::vector<std::shared_ptr<const ContainerView>> containers_of(const SandboxId& sandbox) const = 0;
  // What happens from now on (event_bus.h says what a slow reader gets). A view asked for after an event is as new.
  virtual Result<std::unique_ptr<EventSubscription>> subscribe(std::function<void()> wake) = 0;
  // The sandbox's start, then the creation and the start of each of its containers, in their order.
  virtual std::vector<OperationTimeline> timeline(const SandboxId& sandbox) const = 0;
  virtual RuntimeCounters counters() const = 0;  // may read a directory
  // Stats read the cgroups now and wait for nobody; what has gone meanwhile is left out.
  virtual std::vector<ContainerStats> stats(const std::vector<std::shared_ptr<const ContainerView>>& which) const = 0;
  virtual std::vector<SandboxStats> sandbox_stats(
      const std::vector<std::shared_ptr<const SandboxView>>& which) const = 0;
  virtual NodeMetrics metrics() const = 0;  // of the sandboxes that are ready and their running containers

  virtual RuntimeStatus status() const = 0;
  virtual Result<> set_pod_cidr(const std::string& cidr) = 0;  // UpdateRuntimeConfig; "" is a no-op
  virtual ImageStore& images() = 0;
};

// Where the machine is not the usual one: tests.
struct RuntimeOptions {
  std::string monitor_binary;  // "" = podshim-monitor beside the running program
  std::string netns_dir = "/run/netns";
  std::string boot_id_file = "/proc/sys/kernel/random/boot_id";
  StageObserver stages = {};
};

// Recovers what is on disk, reconnects to monitors, sweeps leftovers of this instance, then is ready.
Result<std::unique_ptr<Runtime>> make_runtime(const Config& config, const HostFacts& facts,
                                              std::unique_ptr<ImageStore> images, std::vector<std::string> quarantined,
                                              const RuntimeOptions& options = {});

}  // namespace podshim
