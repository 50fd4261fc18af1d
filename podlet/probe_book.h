// The probes of one Pod: which is due when, and what their results mean. Kubernetes' rules: liveness and readiness wait
// for the startup probe; a container that was never ready is asked more often; a result turns over after
// success_threshold or failure_threshold in a row, and no answer counts for neither; a new container starts from
// nothing. Without a readiness probe a started container is ready. Pure: time and results come in. One thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "podlet/pod_record.h"

namespace podshim::podlet {

// no_answer: nothing was learnt of the container (the runtime was away, the probe names no port). The kubelet calls it
// "probe errored" and throws the result away.
enum class ProbeOutcome { failure, success, no_answer };

struct ProbeResult {
  ProbeOutcome outcome = ProbeOutcome::failure;
  std::string message;  // why not
  bool success() const { return outcome == ProbeOutcome::success; }
};

struct DueProbe {
  std::string container, container_id;
  kube::ProbeKind kind = kube::ProbeKind::readiness;
  const kube::Probe* probe = nullptr;  // of the Pod's spec
};

struct ContainerHealth {
  bool started = false, ready = false;
  std::optional<kube::ProbeKind> kill;  // liveness or startup failed: the container is to be killed
  std::string message;                  // of the last failure that matters; "" = none
};

class ProbeBook {
 public:
  // Containers that were ready when podlet stopped: they stay so until a probe says otherwise.
  void assume_ready(std::set<std::string> container_ids) { assumed_ = std::move(container_ids); }
  // Follows the containers that run; call after each observation.
  void follow(const kube::PodSpec& spec, const PodObserved& seen, Time now);
  // Hands out each due probe once; record() frees it.
  std::vector<DueProbe> take_due(const kube::PodSpec& spec, Time now);
  // True when it changed what health() says.
  bool record(const std::string& container, const std::string& id, kube::ProbeKind kind, const ProbeResult& result,
              Time now);
  // A container that has just begun and is not ready yet: nothing to make words about.
  bool in_first_period(const std::string& container, kube::ProbeKind kind, Time now) const;
  ContainerHealth health(const kube::Container& container, const CriContainer* seen) const;
  std::optional<Time> next_due() const;

 private:
  struct Track {
    Time due, first;
    bool busy = false;
    int successes = 0, failures = 0;
    std::optional<bool> good;  // turned over by the thresholds; nothing yet = unknown
    std::string message;
    Duration period{}, early = std::chrono::milliseconds(25);  // early: of a container that was never ready
    int success_threshold = 1, failure_threshold = 3;
  };
  struct Followed {
    std::string id;
    std::map<kube::ProbeKind, Track> tracks;
    bool started() const;
  };
  std::map<std::string, Followed> containers_;
  std::set<std::string> assumed_;
};

const kube::Probe* find_probe(const kube::Container& c, kube::ProbeKind kind);

}  // namespace podshim::podlet
