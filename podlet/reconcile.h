// One Pod: desired x observed x clock -> what to do now. The order is the kubelet's: one READY sandbox; init containers
// one after another (sidecars stay); then all containers; restarts by policy and back-off; a failed liveness or startup
// probe kills. Deletion: main containers end before sidecars, then the sandbox, then everything is removed. Actions
// that are under way (`busy`) are not asked for again; only a deletion kills what is still being started, since a
// postStart may hang for an hour. Pure; any thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "podlet/backoff.h"
#include "podlet/pod_record.h"
#include "podlet/probe_book.h"

namespace podshim::podlet {

// The last failed attempt to start a container (or, under kSandboxKey, to make the sandbox).
struct Failure {
  std::string reason, message;  // "ErrImagePull", the runtime's words
  Time at;
};
inline constexpr const char* kSandboxKey = "";  // of failures, back-off and busy; containers use their name
// Of `held`: a run_sandbox that failed holds the next one up, and no stop, removal or deletion.
inline constexpr const char* kRunSandboxHold = " (run)";
// Of a kill beside a start that is under way.
inline std::string kill_key(const std::string& container) { return container + " (kill)"; }

struct SyncInput {
  const PodRecord& record;
  const PodObserved& seen;
  const ProbeBook& probes;
  const Backoff& backoff;
  const std::map<std::string, Failure>& failures;
  const std::map<std::string, std::uint32_t>& attempts;  // highest so far, by container, as observed
  const std::set<std::string>& busy;
  const std::set<std::string>& starting;    // of the busy ones
  const std::map<std::string, Time>& held;  // sandboxes, stops and removals that failed: not again before
  std::span<const std::string> node_ips;    // of Pods on the host's network
  bool may_stop = true;                     // deletion: the endpoints are known to be out of the proxy
  Time now;
};

struct Action {
  enum class Kind {
    run_sandbox,
    stop_sandbox,
    remove_sandbox,
    start_container,
    kill_container,
    remove_container,
    forget_pod
  };
  Kind kind = Kind::run_sandbox;
  std::string container;  // name
  std::string id;         // of the container or sandbox; start_container: of the sandbox
  std::uint32_t attempt = 0;
  std::chrono::seconds grace{0};
  std::string reason;         // why, for the event
  std::optional<Time> after;  // restarts: the event that caused it, for the back-off
  bool operator==(const Action&) const = default;
};

struct SyncOutput {
  std::vector<Action> actions;
  std::optional<Time> wake;                    // look again then, even if nothing happens
  std::map<std::string, std::string> waiting;  // container -> reason it is not started ("CrashLoopBackOff")
};

SyncOutput sync_pod(const SyncInput& in);

// Whether the Pod has come to its end by itself.
enum class PodEnd { none, succeeded, failed, deadline };
PodEnd pod_end(const PodRecord& record, const PodObserved& seen, Time now);

std::string_view action_kind_text(Action::Kind kind);

}  // namespace podshim::podlet
