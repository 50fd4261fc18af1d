// Pods: pure plans carried out on worker threads, and their results taken in.
#include <algorithm>

#include "common/log.h"
#include "common/sys/file.h"
#include "podlet/dns.h"
#include "podlet/node.h"
#include "podlet/volumes.h"

namespace podshim::podlet {

using Kind = Action::Kind;

SyncInput Node::sync_input(const PodEntry& e, Time* wake) const {
  return {.record = e.record,
          .seen = e.seen,
          .probes = e.probes,
          .backoff = e.backoff,
          .failures = e.failures,
          .attempts = e.attempts,
          .busy = e.busy,
          .starting = e.starting,
          .held = e.held,
          .node_ips = options_.facts.node_ips,
          .may_stop = may_stop(e, wake),
          .now = clock_.now()};
}

void Node::update_status(PodEntry& e) {
  Time wake{};
  auto input = sync_input(e, &wake);
  e.plan = sync_pod(input);
  if (wake != Time{}) e.plan.wake = e.plan.wake ? std::min(*e.plan.wake, wake) : wake;
  auto status = pod_status(input, e.plan);
  bool moved = status.ready != e.status.ready || status.ips != e.status.ips || status.phase != e.status.phase;
  if (moved) {
    if (status.ready && !e.status.ready) e.ready_since = clock_.now();
    if (!status.ready) e.ready_since.reset();
    changed_backends_.push_back(&e);
    workloads_dirty_ = true;
  }
  std::vector<std::string> ready;
  for (const auto& c : status.containers)
    if (c.ready) ready.push_back(c.id);
  e.status = std::move(status);
  if (ready != e.record.ready_containers) {
    e.record.ready_containers = std::move(ready);
    save(e);
  }
}

void Node::sync_pods() {
  auto now = clock_.now();
  std::vector<std::string> due;
  for (auto& [uid, e] : pods_) {
    if (e.plan.wake && *e.plan.wake <= now) e.dirty = true;
    if (e.dirty) {
      due.push_back(uid);
      e.dirty = false;  // set again below when the slices change under it
      e.probes.follow(e.record.pod.spec, e.seen, now);
      update_status(e);
    }
    if (auto at = e.probes.next_due(); at && *at <= now) start_probes(e);
  }
  sync_services();
  for (const auto& uid : due) {
    auto found = pods_.find(uid);
    if (found != pods_.end()) submit_actions(found->second);
  }
  bool again = workloads_dirty_ && (all_known() || draining_);
  for (auto& [uid, e] : pods_) {
    again = again || e.dirty;
    if (e.plan.wake) want_wake(*e.plan.wake);
    if (auto at = e.probes.next_due()) want_wake(*at);
  }
  if (again) want_wake(clock_.now());
}

void Node::start_probes(PodEntry& e) {
  auto uid = e.record.uid;
  auto ip = e.status.ips.empty() ? "" : e.status.ips.front();
  for (auto& due : e.probes.take_due(e.record.pod.spec, clock_.now())) {
    const auto& probe = *due.probe;
    const auto& container = *e.record.pod.spec.find(due.container);
    auto done = [this, uid, due](ProbeResult result) {
      post([this, uid, due, result = std::move(result)] { probe_done(uid, due, result); });
    };
    if (std::holds_alternative<kube::ExecAction>(probe.handler)) {
      executor_.submit(Lane::probe, [this, handler = probe.handler, container, due, timeout = probe.timeout, done] {
        done(run_handler(runtime_, prober_, handler, container, due.container_id, "", timeout));
      });
      continue;
    }
    auto target = probe_target(probe.handler, container, ip, probe.timeout);
    if (target) {
      prober_.start(*std::move(target), done);
    } else {
      done({.outcome = ProbeOutcome::no_answer, .message = target.error().detail});
    }
  }
}

void Node::probe_done(const std::string& uid, const DueProbe& due, const ProbeResult& result) {
  auto found = pods_.find(uid);
  if (found == pods_.end()) return;
  auto& e = found->second;
  bool early = e.probes.in_first_period(due.container, due.kind, clock_.now());
  if (!result.success() && !e.record.deleted && !early) {
    bool failed = result.outcome == ProbeOutcome::failure;
    auto what = std::string(kube::probe_kind_text(due.kind)) + (failed ? " probe failed: " : " probe errored: ");
    what += result.message;
    event(e.key(), true, "Unhealthy", due.container + ": " + what);
  }
  if (e.probes.record(due.container, due.container_id, due.kind, result, clock_.now())) e.dirty = true;
}

void Node::submit_actions(PodEntry& e) {
  if (!runtime_known_) return;  // nothing was heard of the runtime yet
  auto actions = e.plan.actions;
  auto uid = e.record.uid;
  for (const auto& action : actions) {
    if (action.kind == Kind::forget_pod) return forget(uid);
    submit(e, action);
  }
}

void Node::submit(PodEntry& e, const Action& a) {
  bool of_container = !a.container.empty();
  std::string key = of_container ? a.container : kSandboxKey;
  if (a.kind == Kind::kill_container && e.starting.contains(key)) key = kill_key(key);
  if (e.busy.contains(key)) return;
  auto uid = e.record.uid;
  auto ip = e.status.ips.empty() ? "" : e.status.ips.front();
  switch (a.kind) {
    case Kind::run_sandbox:
      options_.facts.host_dns = read_host_dns(options_.resolv_conf);
      return run_job({uid, key, true}, Lane::work,
                     [this, record = e.record, attempt = a.attempt, facts = options_.facts] {
                       return podlet::run_sandbox(runtime_, clock_, record, attempt, facts);
                     });
    case Kind::stop_sandbox:
    case Kind::remove_sandbox:
    case Kind::remove_container:
      return run_job({uid, key}, Lane::work, [this, a] {
        auto done = a.kind == Kind::stop_sandbox     ? runtime_.stop_sandbox(a.id)
                    : a.kind == Kind::remove_sandbox ? runtime_.remove_sandbox(a.id)
                                                     : runtime_.remove_container(a.id);
        JobResult out;
        if (!done) {
          auto text = done.error().text();
          out.failure = Failure{.reason = "FailedKillPod", .message = text, .at = clock_.now()};
          out.events.push_back({.warning = true,
                                .reason = "FailedKillPod",
                                .message = std::string(action_kind_text(a.kind)) + ": " + text});
        }
        return out;
      });
    case Kind::start_container:
      return submit_start(e, a);
    case Kind::kill_container: {
      KillJob job{
          .record = e.record, .container = a.container, .id = a.id, .pod_ip = ip, .reason = a.reason, .grace = a.grace};
      return run_job({uid, key}, Lane::stop,
                     [this, job = std::move(job)] { return podlet::kill_container(runtime_, prober_, clock_, job); });
    }
    case Kind::forget_pod:
      return;
  }
}

void Node::submit_start(PodEntry& e, const Action& a) {
  const auto& key = a.container;
  const auto* container = e.record.pod.spec.find(key);
  bool pulls = e.pulling.contains(key) || (container != nullptr && container->pull_policy == kube::PullPolicy::always);
  const auto* sandbox = e.seen.find_sandbox(a.id);
  StartJob job{.record = e.record,
               .container = key,
               .sandbox = a.id,
               .attempt = a.attempt,
               .sandbox_attempt = sandbox == nullptr ? 0 : sandbox->attempt,
               .pod_ips = e.status.ips,
               .node = options_.facts,
               .maps = config_maps(e.record.pod.meta.name_space),
               .service_env = service_env_of(e.record.pod.meta.name_space),
               .may_pull = pulls};
  if (pulls) job.given_up = e.pulls[key].stop.get_token();
  bool slow = pulls || (container != nullptr && container->post_start);
  run_job({.uid = e.record.uid, .key = key, .starts = true, .after = a.after}, slow ? Lane::slow : Lane::work,
          [this, job = std::move(job)] { return podlet::start_container(runtime_, prober_, clock_, job); });
}

// The job and the look at the Pod that follows are one: `busy` ends when the look has been taken in.
void Node::run_job(Job job, Lane lane, std::function<JobResult()> work) {
  auto& e = pods_.at(job.uid);
  e.busy.insert(job.key);
  if (job.starts) e.starting.insert(job.key);
  auto begun = std::make_shared<std::atomic_flag>();
  std::function<void()> run = [this, job, begun, work = std::move(work), before = e.seen] {
    if (begun->test_and_set()) return;
    auto result = work();
    auto box = std::make_shared<Result<PodObserved>>();
    // The ticket is taken before the look: a later look cannot be undone by an earlier one.
    auto ticket = std::make_shared<std::uint64_t>(++tickets_);
    *box = observe_pod(runtime_, job.uid, before);
    post([this, job, result = std::move(result), ticket, box] { finish_job(job, result, *ticket, std::move(*box)); });
  };
  if (auto pull = e.pulls.find(job.key); job.starts && pull != e.pulls.end()) pull->second.begin = run;
  executor_.submit(lane, std::move(run));
}

void Node::observe(PodEntry& e) {
  if (e.observing) return;
  e.observing = true;
  executor_.submit(Lane::observe, [this, uid = e.record.uid, before = e.seen] {
    std::uint64_t ticket = ++tickets_;
    auto box = std::make_shared<Result<PodObserved>>(observe_pod(runtime_, uid, before));
    post([this, uid, ticket, box] {
      auto found = pods_.find(uid);
      if (found == pods_.end()) return;
      found->second.observing = false;
      apply_observation(found->second, ticket, std::move(*box));
    });
  });
}

void Node::finish_job(const Job& job, const JobResult& result, std::uint64_t ticket, Result<PodObserved> seen) {
  auto found = pods_.find(job.uid);
  if (found == pods_.end()) return;
  auto& e = found->second;
  e.busy.erase(job.key);
  if (job.starts) e.starting.erase(job.key);
  e.pulling.erase(job.key);
  if (job.starts) e.pulls.erase(job.key);
  if (result.wants_pull) e.pulling.insert(job.key);
  std::string hold = job.starts && job.key == kSandboxKey ? kRunSandboxHold : job.key;
  if (result.wants_pull) {
    // The next plan starts it again, where pulling holds nobody up; what it failed of before is still so.
  } else if (!result.failure) {
    if (job.after) e.backoff.acted(job.key, *job.after, clock_.now());
    if (job.starts) e.failures.erase(job.key);
    e.held.erase(hold);
    e.hold_count.erase(hold);
  } else {
    if (job.starts) e.failures[job.key] = *result.failure;
    if (job.starts && job.key != kSandboxKey) {
      e.backoff.acted(job.key, result.failure->at, clock_.now());
    } else {  // 1 s, doubling to 32 s
      e.held[hold] = clock_.now() + std::chrono::seconds(1 << std::min(e.hold_count[hold]++, 5));
    }
  }
  for (const auto& ev : result.events) event(e.key(), ev.warning, ev.reason, ev.message);
  apply_observation(e, ticket, std::move(seen));
}

void Node::apply_observation(PodEntry& e, std::uint64_t ticket, Result<PodObserved> seen) {
  e.dirty = true;
  if (!seen) {
    e.seen.known = false;  // nothing is done to this Pod before it has been seen again
    next_relist_ = std::min(next_relist_, clock_.now() + options_.relist);
    return;
  }
  if (ticket < e.ticket) return;
  e.ticket = ticket;
  auto now = clock_.now();
  for (auto& c : seen->containers) {
    auto& attempt = e.attempts[c.name];
    attempt = std::max(attempt, c.attempt);
    if (c.state != CriState::exited) continue;
    auto old = std::ranges::find(e.seen.containers, c.id, &CriContainer::id);
    // Seen running before: it ended between two looks. Our clock counts, so that a jump of the machine's does not.
    if (old != e.seen.containers.end() && old->state == CriState::running) c.finished = now;
    c.finished = std::min(c.finished, now);
  }
  e.seen = *std::move(seen);
  changed_backends_.push_back(&e);
}

void Node::forget(std::string uid) {
  auto& e = pods_.at(uid);
  auto removed = remove_volumes(e.record, options_.facts);
  if (!removed) log::warn("a Pod's files could not be removed", {{"why", removed.error().text()}});
  (void)sys::remove_file(record_path(uid));
  event(e.key(), false, "Removed", "the Pod is gone");
  gone_labels_.push_back(e.record.pod.meta.labels);
  std::erase(changed_backends_, &e);
  pods_.erase(uid);
  forgotten_.insert(uid);
  workloads_dirty_ = true;
  sync_pod_objects();  // one of the same name may be waiting for its turn
  want_wake(clock_.now());
}

}  // namespace podshim::podlet
