#include "podlet/reconcile.h"

#include <algorithm>

namespace podshim::podlet {
namespace {

using kube::RestartPolicy;
using Kind = Action::Kind;

// The plan of one Pod as it grows.
class PodSync {
 public:
  explicit PodSync(const SyncInput& in) : in_(in), spec_(in.record.pod.spec), seen_(in.seen) {}

  SyncOutput run() {
    if (!seen_.known) return std::move(out_);
    if (in_.record.deleted) {
      remove();
    } else if (pod_end(in_.record, seen_, in_.now) != PodEnd::none) {
      finish();
    } else if (wake_at_deadline(); const auto* sandbox = usable_sandbox()) {
      if (run_init(*sandbox)) run_containers(*sandbox);
      collect_garbage();
    } else {
      replace_sandbox();
    }
    return std::move(out_);
  }

 private:
  // Under way, or failed a moment ago.
  bool busy(const std::string& key) {
    if (in_.busy.contains(key)) return true;
    auto held = in_.held.find(key);
    if (held == in_.held.end() || held->second <= in_.now) return false;
    wake(held->second);
    return true;
  }
  // Nothing else makes a Pod dirty at its deadline.
  void wake_at_deadline() {
    const auto& deadline = in_.record.pod.spec.active_deadline;
    if (deadline && in_.now < in_.record.created + *deadline) wake(in_.record.created + *deadline);
  }
  void wake(Time t) { out_.wake = out_.wake ? std::min(*out_.wake, t) : t; }
  void act(Action a) { out_.actions.push_back(std::move(a)); }

  const CriSandbox* usable_sandbox() const {
    const auto* s = seen_.newest_sandbox();
    if (s == nullptr || !s->ready) return nullptr;
    return spec_.host_network || !s->ips.empty() ? s : nullptr;
  }

  bool is_sidecar(const std::string& name) const {
    const auto* c = spec_.find(name);
    return c != nullptr && c->restart_always;
  }

  void kill(const CriContainer& c, std::chrono::seconds grace, std::string reason) {
    bool starts = in_.record.deleted && in_.starting.contains(c.name);
    if (busy(starts ? kill_key(c.name) : c.name)) return;
    act({.kind = Kind::kill_container, .container = c.name, .id = c.id, .grace = grace, .reason = std::move(reason)});
  }

  // Main containers first; sidecars when those have ended. True when nothing runs any more.
  bool kill_all(std::chrono::seconds grace, const std::string& reason) {
    bool mains =
        std::ranges::any_of(seen_.containers, [&](const auto& c) { return may_run(c) && !is_sidecar(c.name); });
    for (const auto& c : seen_.containers)
      if (may_run(c) && (!mains || !is_sidecar(c.name))) kill(c, grace, reason);
    return !seen_.any_running() && in_.busy.empty();
  }

  void remove() {
    if (!in_.may_stop && seen_.any_running()) return;  // the caller wakes us when the proxy has answered
    if (!kill_all(in_.record.grace, in_.record.delete_reason.empty() ? "Pod is deleted" : in_.record.delete_reason))
      return;
    if (busy(kSandboxKey)) return;
    for (const auto& s : seen_.sandboxes) {
      act({.kind = s.ready ? Kind::stop_sandbox : Kind::remove_sandbox, .id = s.id});
      return;  // one after another: they share the key
    }
    for (const auto& c : seen_.containers)
      if (!busy(c.name)) act({.kind = Kind::remove_container, .container = c.name, .id = c.id});
    if (seen_.containers.empty()) act({.kind = Kind::forget_pod});
  }

  // Ended by itself: the sandbox goes (and its address), the records stay for status and logs.
  void finish() {
    bool late = pod_end(in_.record, seen_, in_.now) == PodEnd::deadline;
    if (!kill_all(spec_.grace, late ? "activeDeadlineSeconds has passed" : "the Pod has finished")) return;
    if (busy(kSandboxKey)) return;
    for (const auto& s : seen_.sandboxes) {
      if (!s.ready) continue;
      act({.kind = Kind::stop_sandbox, .id = s.id});
      return;
    }
  }

  void replace_sandbox() {
    if (!kill_all(spec_.grace, "the Pod's sandbox has changed") || busy(kSandboxKey)) return;
    for (const auto& s : seen_.sandboxes) {
      if (!s.ready) continue;
      act({.kind = Kind::stop_sandbox, .id = s.id, .reason = "it has no address"});
      return;
    }
    if (busy(kRunSandboxHold)) return;
    std::uint32_t attempt = seen_.sandboxes.empty() ? 0 : seen_.newest_sandbox()->attempt + 1;
    act({.kind = Kind::run_sandbox, .attempt = attempt});
  }

  // May the container start now? Says why not, and when.
  bool may_start(const std::string& name, std::optional<Time> ended) {
    auto failure = in_.failures.find(name);
    bool failed_later = failure != in_.failures.end() && (!ended || failure->second.at > *ended);
    if (failed_later) {
      auto at = in_.backoff.ready_at(name, failure->second.at);
      if (at <= in_.now) return true;
      bool image = failure->second.reason == "ErrImagePull";
      out_.waiting[name] = image ? "ImagePullBackOff" : failure->second.reason;
      wake(at);
      return false;
    }
    if (!ended) return true;
    auto at = in_.backoff.ready_at(name, *ended);
    if (at <= in_.now) return true;
    out_.waiting[name] = "CrashLoopBackOff";
    wake(at);
    return false;
  }

  void start(const kube::Container& c, const CriSandbox& sandbox, std::optional<Time> ended) {
    if (busy(c.name) || !may_start(c.name, ended)) return;
    auto before = in_.attempts.find(c.name);
    const auto* newest = seen_.newest(c.name);
    std::uint32_t attempt = before == in_.attempts.end() ? 0 : before->second + 1;
    if (newest != nullptr) attempt = std::max(attempt, newest->attempt + 1);
    act({.kind = Kind::start_container, .container = c.name, .id = sandbox.id, .attempt = attempt, .after = ended});
  }

  // A container that should run whenever it does not: regular ones and sidecars.
  void keep_running(const kube::Container& c, const CriSandbox& sandbox, RestartPolicy policy) {
    const auto* now = seen_.newest_in(c.name, sandbox.id);
    if (now == nullptr) return start(c, sandbox, {});
    switch (now->state) {
      case CriState::created:  // a start that never came to its end
        if (!busy(c.name)) act({.kind = Kind::remove_container, .container = c.name, .id = now->id});
        return;
      case CriState::unknown:
        return kill(*now, spec_.grace, "its state is unknown");
      case CriState::exited:
        if (policy == RestartPolicy::always || (policy == RestartPolicy::on_failure && now->exit_code != 0))
          start(c, sandbox, now->finished);
        return;
      case CriState::running:
        break;
    }
    auto health = in_.probes.health(c, now);
    if (!health.kill) return;
    const auto* probe = find_probe(c, *health.kill);
    bool own = probe != nullptr && probe->grace.count() >= 0;
    kill(*now, own ? probe->grace : spec_.grace, health.message);
  }

  // Runs the init containers in turn. True when the main ones may run.
  bool run_init(const CriSandbox& sandbox) {
    bool mains = std::ranges::any_of(spec_.containers,
                                     [&](const auto& c) { return seen_.newest_in(c.name, sandbox.id) != nullptr; });
    for (const auto& c : spec_.init_containers) {
      const auto* now = seen_.newest_in(c.name, sandbox.id);
      if (c.restart_always) {
        keep_running(c, sandbox, RestartPolicy::always);
        if (!mains && !in_.probes.health(c, now).started) return false;
        continue;
      }
      if (mains) continue;  // they ran before: their records may be gone
      if (now != nullptr && now->state == CriState::exited && now->exit_code == 0) continue;
      bool again = spec_.restart_policy != RestartPolicy::never;  // Always means "until it succeeds" here
      keep_running(c, sandbox, again ? RestartPolicy::on_failure : RestartPolicy::never);
      return false;
    }
    return true;
  }

  void run_containers(const CriSandbox& sandbox) {
    for (const auto& c : spec_.containers) keep_running(c, sandbox, spec_.restart_policy);
  }

  // Keeps the newest container of each name and the one before it (its exit and log are still asked for).
  void collect_garbage() {
    std::map<std::string, int> kept;
    for (const auto& c : seen_.containers) {
      if (may_run(c) || ++kept[c.name] <= 1 || busy(c.name)) continue;
      if (c.sandbox_id != seen_.newest_sandbox()->id) continue;  // goes with its sandbox
      act({.kind = Kind::remove_container, .container = c.name, .id = c.id});
    }
    if (busy(kSandboxKey) || seen_.sandboxes.size() < 2) return;
    const auto& old = seen_.sandboxes.back();
    for (const auto& c : seen_.containers)
      if (c.sandbox_id == old.id && may_run(c)) return kill(c, spec_.grace, "it belongs to a former sandbox");
    act({.kind = old.ready ? Kind::stop_sandbox : Kind::remove_sandbox, .id = old.id});
  }

  const SyncInput& in_;
  const kube::PodSpec& spec_;
  const PodObserved& seen_;
  SyncOutput out_;
};

}  // namespace

PodEnd pod_end(const PodRecord& record, const PodObserved& seen, Time now) {
  const auto& spec = record.pod.spec;
  if (spec.active_deadline && now >= record.created + *spec.active_deadline) return PodEnd::deadline;
  if (spec.restart_policy == RestartPolicy::always || !seen.known) return PodEnd::none;
  bool never = spec.restart_policy == RestartPolicy::never;
  bool mains = std::ranges::any_of(spec.containers, [&](const auto& c) { return seen.newest(c.name) != nullptr; });
  if (never && !mains) {
    for (const auto& c : spec.init_containers) {
      const auto* now_seen = seen.newest(c.name);
      if (!c.restart_always && now_seen != nullptr && now_seen->state == CriState::exited && now_seen->exit_code != 0)
        return PodEnd::failed;
    }
  }
  bool failed = false;
  // A Pod that may not restart and lost its sandbox lost what had not run as well.
  const auto* sandbox = seen.newest_sandbox();
  bool lost = never && sandbox != nullptr && !sandbox->ready && !seen.containers.empty() && !seen.any_running();
  for (const auto& c : spec.containers) {
    const auto* newest = seen.newest(c.name);
    if (newest == nullptr || newest->state != CriState::exited) {
      if (!lost) return PodEnd::none;
      failed = true;
    } else if (newest->exit_code != 0) {
      if (!never) return PodEnd::none;
      failed = true;
    }
  }
  return failed ? PodEnd::failed : PodEnd::succeeded;
}

SyncOutput sync_pod(const SyncInput& in) { return PodSync(in).run(); }

std::string_view action_kind_text(Kind kind) {
  switch (kind) {
    case Kind::run_sandbox:
      return "run sandbox";
    case Kind::stop_sandbox:
      return "stop sandbox";
    case Kind::remove_sandbox:
      return "remove sandbox";
    case Kind::start_container:
      return "start container";
    case Kind::kill_container:
      return "kill container";
    case Kind::remove_container:
      return "remove container";
    case Kind::forget_pod:
      return "forget pod";
  }
  return "?";
}

}  // namespace podshim::podlet
