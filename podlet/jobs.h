// What a worker thread does for the loop: one action against the runtime, then a fresh look at the Pod. Everything
// comes in by value, so that nothing of the loop is touched. Any thread; blocks.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "podlet/pod_config.h"
#include "podlet/prober.h"
#include "podlet/reconcile.h"

namespace podshim::podlet {

struct JobEvent {
  bool warning = false;
  std::string reason, message;
};

struct JobResult {
  std::optional<Failure> failure;
  std::vector<JobEvent> events;
  bool wants_pull = false;  // nothing was done: the image has to be pulled, and the job may not
};

// Everything a start needs, copied from the loop.
struct StartJob {
  PodRecord record;
  std::string container, sandbox;
  std::uint32_t attempt = 0, sandbox_attempt = 0;
  std::vector<std::string> pod_ips;
  NodeFacts node;
  ConfigMaps maps;
  std::vector<std::pair<std::string, std::string>> service_env;
  bool may_pull = false;     // pulling takes its time: only where nobody waits
  std::stop_token given_up;  // the Pod is deleted: the pull ends and nothing is started
};

JobResult start_container(RuntimeClient& runtime, ProbeRunner& prober, const Clock& clock, const StartJob& job);

struct KillJob {
  PodRecord record;
  std::string container, id, pod_ip, reason;
  std::chrono::seconds grace{0};
};
// preStop within the grace period, then SIGTERM, then SIGKILL (StopContainer).
JobResult kill_container(RuntimeClient& runtime, ProbeRunner& prober, const Clock& clock, const KillJob& job);

JobResult run_sandbox(RuntimeClient& runtime, const Clock& clock, const PodRecord& record, std::uint32_t attempt,
                      const NodeFacts& node);

// Lists the Pod's sandboxes and containers; details are asked only for what changed since `before`.
Result<PodObserved> observe_pod(RuntimeClient& runtime, const std::string& uid, const PodObserved& before);

// A handler or exec probe against a container; `pod_ip` for http and tcp.
ProbeResult run_handler(RuntimeClient& runtime, ProbeRunner& prober, const kube::ProbeHandler& handler,
                        const kube::Container& container, const std::string& id, const std::string& pod_ip,
                        std::chrono::seconds timeout);
// Where an http or tcp handler goes; fails when the port has no number.
Result<ProbeTarget> probe_target(const kube::ProbeHandler& handler, const kube::Container& container,
                                 const std::string& pod_ip, Duration timeout);

}  // namespace podshim::podlet
