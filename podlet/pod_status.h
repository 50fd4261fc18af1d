// A Pod's status, as Kubernetes words it: phase, conditions, container states, and the STATUS column of kubectl.
// Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "podlet/reconcile.h"

namespace podshim::podlet {

struct ContainerStatus {
  enum class State { waiting, running, terminated };
  struct Ended {
    int exit_code = 0;
    std::string reason, message, id;
    Time started, finished;
  };
  std::string name, image, image_id, id;
  State state = State::waiting;
  std::string reason = "ContainerCreating", message;  // waiting
  Time started;                                       // running
  Ended ended;                                        // terminated
  std::optional<Ended> last;                          // the run before
  bool is_started = false, ready = false;
  std::uint32_t restarts = 0;
  std::string probe_message;  // of the last failure
};

enum class PodPhase { pending, running, succeeded, failed };
std::string_view phase_text(PodPhase phase);

struct PodStatus {
  PodPhase phase = PodPhase::pending;
  std::string reason, message;
  std::vector<std::string> ips;
  std::vector<ContainerStatus> init, containers;
  bool initialized = false, ready = false;
  std::string word;  // STATUS: "Running", "Init:0/1", "CrashLoopBackOff", "Terminating"
  int ready_count = 0, total = 0;
  std::uint32_t restarts = 0;
};

PodStatus pod_status(const SyncInput& in, const SyncOutput& plan);
// `ready_since`: when the Pod became ready, told with milliseconds as the condition's lastTransitionTime.
json::Value encode_status(const PodStatus& status, const PodRecord& record, const std::string& host_ip,
                          std::optional<Time> ready_since);

}  // namespace podshim::podlet
