// Runtime: Pod sandboxes and containers, as shim/cri sees them. Everything behind it is free of gRPC.
//
// Any thread. Mutating calls block (they run on the border's bounded pools); a repeated or concurrent call with the
// same name and config joins the running operation or returns its result. Views come from a published snapshot and
// never wait. Unknown ids: not_found for status calls and container operations, success for stop and remove. Ids may be
// given as unique prefixes. A call that fails leaves nothing behind (Rollback), or a complete object.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/config.h"
#include "common/ids.h"
#include "common/result.h"
#include "shim/image/store.h"
#include "shim/plan/facts.h"
#include "shim/plan/spec.h"
#include "shim/state/snapshot.h"

namespace podshim {

struct ContainerStats {
  std::shared_ptr<const ContainerView> container;
  std::int64_t timestamp_ns = 0;
  std::uint64_t cpu_usage_ns = 0;
  std::uint64_t memory_working_set_bytes = 0, memory_usage_bytes = 0, memory_rss_bytes = 0, memory_available_bytes = 0;
  std::uint64_t page_faults = 0, major_page_faults = 0, swap_bytes = 0;
  std::uint64_t writable_layer_bytes = 0, writable_layer_inodes = 0;
};

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
  // Zero timeout = none. deadline_exceeded: the whole subtree was killed. Each output is cut at 16 MiB.
  virtual Result<ExecResult> exec_sync(const std::string& id, const std::vector<std::string>& command,
                                       std::chrono::seconds timeout) = 0;
  virtual Result<> reopen_log(const std::string& id) = 0;

  virtual std::shared_ptr<const Snapshot> snapshot() const = 0;
  virtual Result<std::shared_ptr<const SandboxView>> sandbox(const std::string& id) const = 0;
  virtual Result<std::shared_ptr<const ContainerView>> container(const std::string& id) const = 0;
  virtual std::vector<ContainerStats> stats(const std::vector<std::shared_ptr<const ContainerView>>& which) const = 0;

  virtual RuntimeStatus status() const = 0;
  virtual Result<> set_pod_cidr(const std::string& cidr) = 0;  // UpdateRuntimeConfig; "" is a no-op
  virtual ImageStore& images() = 0;
};

// Where the machine is not the usual one: tests.
struct RuntimeOptions {
  std::string monitor_binary;  // "" = podshim-monitor beside the running program
  std::string netns_dir = "/run/netns";
  std::string boot_id_file = "/proc/sys/kernel/random/boot_id";
};

// Recovers what is on disk, reconnects to monitors, sweeps leftovers of this instance, then is ready.
Result<std::unique_ptr<Runtime>> make_runtime(const Config& config, const HostFacts& facts,
                                              std::unique_ptr<ImageStore> images, std::vector<std::string> quarantined,
                                              const RuntimeOptions& options = {});

}  // namespace podshim
