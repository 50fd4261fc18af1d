#include "podlet/probe_book.h"

#include <algorithm>

namespace podshim::podlet {

using kube::ProbeKind;

namespace {
constexpr ProbeKind kKinds[] = {ProbeKind::startup, ProbeKind::liveness, ProbeKind::readiness};
}

const kube::Probe* find_probe(const kube::Container& c, ProbeKind kind) {
  const auto& probe = kind == ProbeKind::startup ? c.startup : kind == ProbeKind::liveness ? c.liveness : c.readiness;
  return probe ? &*probe : nullptr;
}

bool ProbeBook::Followed::started() const {
  auto startup = tracks.find(ProbeKind::startup);
  return startup == tracks.end() || startup->second.good == true;
}

void ProbeBook::follow(const kube::PodSpec& spec, const PodObserved& seen, Time now) {
  std::erase_if(containers_, [&](const auto& entry) {
    const auto* c = seen.newest(entry.first);
    return c == nullptr || c->state != CriState::running;
  });
  for (const auto* list : {&spec.init_containers, &spec.containers}) {
    for (const auto& container : *list) {
      const auto* c = seen.newest(container.name);
      if (c == nullptr || c->state != CriState::running) continue;
      auto& followed = containers_[container.name];
      if (followed.id == c->id) continue;
      followed = {.id = c->id};
      for (ProbeKind kind : kKinds) {
        const auto* probe = find_probe(container, kind);
        if (probe == nullptr) continue;
        auto due = c->started + probe->initial_delay;
        followed.tracks[kind] = {.due = std::max(due, now),
                                 .first = std::max(due, now),
                                 .period = probe->period,
                                 .success_threshold = probe->success_threshold,
                                 .failure_threshold = probe->failure_threshold};
        if (kind != ProbeKind::liveness && assumed_.contains(c->id)) followed.tracks[kind].good = true;
      }
    }
  }
}

std::vector<DueProbe> ProbeBook::take_due(const kube::PodSpec& spec, Time now) {
  std::vector<DueProbe> out;
  for (auto& [name, followed] : containers_) {
    const auto* container = spec.find(name);
    if (container == nullptr) continue;
    for (auto& [kind, track] : followed.tracks) {
      // The startup probe rules alone until it has succeeded, and rests for good then.
      if ((kind == ProbeKind::startup) == followed.started()) continue;
      if (track.busy || track.due > now) continue;
      track.busy = true;
      out.push_back(
          {.container = name, .container_id = followed.id, .kind = kind, .probe = find_probe(*container, kind)});
    }
  }
  return out;
}

bool ProbeBook::record(const std::string& container, const std::string& id, ProbeKind kind, const ProbeResult& result,
                       Time now) {
  auto found = containers_.find(container);
  if (found == containers_.end() || found->second.id != id) return false;  // of a container that is gone
  auto& track = found->second.tracks.at(kind);
  track.busy = false;
  // From the due time, so that the period does not stretch by the probe's own time; after a stall, from now.
  track.due = std::max(track.due + track.period, now);
  if (result.outcome == ProbeOutcome::no_answer) return false;
  // A container that was never ready is asked sooner, so that it serves soon (Kubernetes: periodSeconds allows it).
  if (kind == ProbeKind::readiness && !track.good && !result.success() && track.early < track.period) {
    track.due = std::min(track.due, now + track.early);
    track.early *= 2;
  }
  auto before = track.good;
  auto message = track.message;
  if (result.success()) {
    track.failures = 0;
    track.message.clear();
    if (++track.successes >= track.success_threshold) track.good = true;
  } else {
    track.successes = 0;
    track.message = result.message;
    bool untold = kind == ProbeKind::readiness && !track.good;  // "unknown" is not ready already
    if (++track.failures >= track.failure_threshold && !untold) track.good = false;
  }
  return before != track.good || message != track.message;
}

ContainerHealth ProbeBook::health(const kube::Container& container, const CriContainer* seen) const {
  ContainerHealth out;
  if (seen == nullptr || seen->state != CriState::running) return out;
  auto found = containers_.find(container.name);
  if (found == containers_.end() || found->second.id != seen->id) return out;
  const auto& tracks = found->second.tracks;
  out.started = found->second.started();
  auto readiness = tracks.find(ProbeKind::readiness);
  out.ready = out.started && (readiness == tracks.end() || readiness->second.good == true);
  for (const auto& [kind, track] : tracks) {
    if (!track.message.empty())
      out.message = std::string(kube::probe_kind_text(kind)) + " probe failed: " + track.message;
    if (track.good != false || kind == ProbeKind::readiness) continue;
    out.kill = kind;
    break;  // its message is the reason: readiness, which comes last and may fail beside it, kills nobody
  }
  if (out.kill) out.ready = false;  // so that its endpoint leaves before it is killed
  return out;
}

bool ProbeBook::in_first_period(const std::string& container, ProbeKind kind, Time now) const {
  auto found = containers_.find(container);
  if (found == containers_.end() || kind != ProbeKind::readiness) return false;
  const auto& track = found->second.tracks.at(kind);
  return !track.good && now < track.first + track.period;
}

std::optional<Time> ProbeBook::next_due() const {
  std::optional<Time> out;
  for (const auto& [name, followed] : containers_) {
    for (const auto& [kind, track] : followed.tracks) {
      if ((kind == ProbeKind::startup) == followed.started() || track.busy) continue;
      if (!out || track.due < *out) out = track.due;
    }
  }
  return out;
}

}  // namespace podshim::podlet
