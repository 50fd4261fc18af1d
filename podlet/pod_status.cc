#include "podlet/pod_status.h"

#include <algorithm>

namespace podshim::podlet {
namespace {

using State = ContainerStatus::State;

ContainerStatus::Ended ended_of(const CriContainer& c) {
  std::string reason = c.reason.empty() ? (c.exit_code == 0 ? "Completed" : "Error") : c.reason;
  return {.exit_code = c.exit_code,
          .reason = reason,
          .message = c.message,
          .id = c.id,
          .started = c.started,
          .finished = c.finished};
}

ContainerStatus container_status(const SyncInput& in, const SyncOutput& plan, const kube::Container& c) {
  ContainerStatus out{.name = c.name, .image = c.image};
  const auto* seen = in.seen.newest(c.name);
  if (auto n = in.attempts.find(c.name); n != in.attempts.end()) out.restarts = n->second;
  auto failure = in.failures.find(c.name);
  auto waiting = plan.waiting.find(c.name);
  if (failure != in.failures.end()) {
    out.reason = failure->second.reason;
    out.message = failure->second.message;
  }
  if (waiting != plan.waiting.end()) out.reason = waiting->second;
  if (seen == nullptr) return out;
  out.id = seen->id;
  out.image_id = seen->image_ref;
  out.restarts = std::max(out.restarts, seen->attempt);
  const auto* before = in.seen.before(*seen);
  if (before != nullptr) out.last = ended_of(*before);
  if (seen->state == CriState::running) {
    auto health = in.probes.health(c, seen);
    out.state = State::running;
    out.started = seen->started;
    out.is_started = health.started;
    out.ready = health.ready;
    out.probe_message = health.message;
  } else if (seen->state == CriState::exited) {
    bool will_run = waiting != plan.waiting.end();
    if (will_run) {  // waiting for its back-off: what ended is the last state
      out.last = ended_of(*seen);
      if (out.reason == "CrashLoopBackOff")
        out.message = "back-off " + age_text(in.backoff.current(c.name)) + " restarting failed container";
    } else {
      out.state = State::terminated;
      out.ended = ended_of(*seen);
    }
  }
  return out;
}

bool init_done(const SyncInput& in, const PodStatus& s) {
  const auto& spec = in.record.pod.spec;
  bool mains = std::ranges::any_of(s.containers, [](const auto& c) { return !c.id.empty(); });
  if (mains) return true;
  for (std::size_t i = 0; i < s.init.size(); i++) {
    const auto& c = s.init[i];
    bool done =
        spec.init_containers[i].restart_always ? c.is_started : c.state == State::terminated && c.ended.exit_code == 0;
    if (!done) return false;
  }
  return true;
}

PodPhase phase_of(const SyncInput& in, const PodStatus& s) {
  switch (pod_end(in.record, in.seen, in.now)) {
    case PodEnd::succeeded:
      return PodPhase::succeeded;
    case PodEnd::failed:
    case PodEnd::deadline:
      return PodPhase::failed;
    case PodEnd::none:
      break;
  }
  if (!s.initialized) return PodPhase::pending;
  // Pending until every container has been made once (kubelet: getPhase).
  bool all_made = std::ranges::all_of(s.containers, [](const auto& c) { return !c.id.empty() || c.last; });
  return all_made ? PodPhase::running : PodPhase::pending;
}

// What kubectl prints under STATUS for the init containers; "" when they are done.
std::string init_word(const SyncInput& in, const PodStatus& s) {
  const auto& spec = in.record.pod.spec;
  for (std::size_t i = 0; i < s.init.size(); i++) {
    const auto& c = s.init[i];
    bool sidecar = spec.init_containers[i].restart_always;
    if (sidecar ? c.is_started : c.state == State::terminated && c.ended.exit_code == 0) continue;
    if (c.state == State::terminated) return "Init:" + c.ended.reason;
    if (c.state == State::waiting && c.reason != "ContainerCreating") return "Init:" + c.reason;
    return "Init:" + std::to_string(i) + "/" + std::to_string(s.init.size());
  }
  return "";
}

std::string word_of(const SyncInput& in, const PodStatus& s) {
  if (in.record.deleted) return "Terminating";
  if (!s.reason.empty()) return s.reason;
  if (!s.initialized) {
    auto init = init_word(in, s);
    if (!init.empty()) return init;
  }
  std::string word(phase_text(s.phase));
  bool running = false;
  for (auto c = s.containers.rbegin(); c != s.containers.rend(); ++c) {  // the first one's word wins, as kubectl has it
    if (c->state == State::waiting) word = c->reason;
    if (c->state == State::terminated) word = c->ended.reason;
    running = running || (c->state == State::running && c->ready);
  }
  if (word == "Completed" && running) return s.ready ? "Running" : "NotReady";
  return word;
}

json::Value encode_ended(const ContainerStatus::Ended& e) {
  json::Value out;
  out.set("exitCode", e.exit_code).set("reason", e.reason);
  if (!e.message.empty()) out.set("message", e.message);
  out.set("startedAt", rfc3339(e.started)).set("finishedAt", rfc3339(e.finished)).set("containerID", e.id);
  return out;
}

json::Value encode_container(const ContainerStatus& c) {
  auto state = json::Value::object();
  if (c.state == State::running) {
    state.set("running", json::Value::object().set("startedAt", rfc3339(c.started)));
  } else if (c.state == State::terminated) {
    state.set("terminated", encode_ended(c.ended));
  } else {
    auto waiting = json::Value::object().set("reason", c.reason);
    if (!c.message.empty()) waiting.set("message", c.message);
    state.set("waiting", std::move(waiting));
  }
  json::Value out;
  out.set("name", c.name).set("state", std::move(state));
  out.set("lastState", c.last ? json::Value::object().set("terminated", encode_ended(*c.last)) : json::Value::object());
  out.set("ready", c.ready).set("started", c.is_started).set("restartCount", c.restarts).set("image", c.image);
  out.set("imageID", c.image_id).set("containerID", c.id);
  return out;
}

json::Value condition(const char* type, bool status, const std::string& reason = {}, const std::string& message = {}) {
  json::Value out;
  out.set("type", type).set("status", status ? "True" : "False");
  if (!reason.empty()) out.set("reason", reason);
  if (!message.empty()) out.set("message", message);
  return out;
}

}  // namespace

std::string_view phase_text(PodPhase phase) {
  switch (phase) {
    case PodPhase::pending:
      return "Pending";
    case PodPhase::running:
      return "Running";
    case PodPhase::succeeded:
      return "Succeeded";
    case PodPhase::failed:
      return "Failed";
  }
  return "?";
}

PodStatus pod_status(const SyncInput& in, const SyncOutput& plan) {
  PodStatus s;
  const auto& spec = in.record.pod.spec;
  for (const auto& c : spec.init_containers) {
    auto& status = s.init.emplace_back(container_status(in, plan, c));
    // kubelet: ready says of an init container that it has done its work.
    if (!c.restart_always) status.ready = status.state == State::terminated && status.ended.exit_code == 0;
  }
  for (const auto& c : spec.containers) s.containers.push_back(container_status(in, plan, c));
  s.initialized = init_done(in, s);
  s.phase = phase_of(in, s);
  if (pod_end(in.record, in.seen, in.now) == PodEnd::deadline) {
    s.reason = "DeadlineExceeded";
    s.message = "the Pod was active longer than activeDeadlineSeconds";
  }
  if (auto f = in.failures.find(kSandboxKey); f != in.failures.end() && s.message.empty())
    s.message = f->second.message;
  const auto* sandbox = in.seen.newest_sandbox();
  if (spec.host_network) {  // kubelet: the node's addresses from the first, whatever comes of the sandbox
    s.ips.assign(in.node_ips.begin(), in.node_ips.end());
  } else if (sandbox != nullptr && sandbox->ready) {
    s.ips = sandbox->ips;
  }
  s.ready = s.phase == PodPhase::running;
  for (std::size_t i = 0; i < s.init.size(); i++) {
    s.restarts += s.init[i].restarts;
    if (!spec.init_containers[i].restart_always) continue;
    s.total++;
    s.ready_count += s.init[i].ready ? 1 : 0;
    s.ready = s.ready && s.init[i].ready;
  }
  for (const auto& c : s.containers) {
    s.restarts += c.restarts;
    s.total++;
    s.ready_count += c.ready ? 1 : 0;
    s.ready = s.ready && c.ready;
  }
  s.word = word_of(in, s);
  return s;
}

json::Value encode_status(const PodStatus& s, const PodRecord& record, const std::string& host_ip,
                          std::optional<Time> ready_since) {
  std::string not_ready;
  for (const auto& c : s.containers)
    if (!c.ready) not_ready += (not_ready.empty() ? "" : " ") + c.name;
  std::string why = not_ready.empty() ? "" : "containers with unready status: [" + not_ready + "]";
  auto conditions = json::Value::array();
  conditions.push(condition("PodScheduled", true)).push(condition("Initialized", s.initialized));
  conditions.push(condition("ContainersReady", s.ready, s.ready ? "" : "ContainersNotReady", s.ready ? "" : why));
  auto ready = condition("Ready", s.ready, s.ready ? "" : "ContainersNotReady", s.ready ? "" : why);
  if (ready_since) ready.set("lastTransitionTime", rfc3339_millis(*ready_since));
  conditions.push(std::move(ready));
  json::Value out;
  out.set("phase", phase_text(s.phase));
  if (!s.reason.empty()) out.set("reason", s.reason);
  if (!s.message.empty()) out.set("message", s.message);
  out.set("startTime", rfc3339(record.created)).set("hostIP", host_ip);
  if (!s.ips.empty()) {
    auto ips = json::Value::array();
    for (const auto& ip : s.ips) ips.push(json::Value::object().set("ip", ip));
    out.set("podIP", s.ips.front()).set("podIPs", std::move(ips));
  }
  out.set("conditions", std::move(conditions));
  for (bool init : {true, false}) {
    const auto& list = init ? s.init : s.containers;
    if (list.empty()) continue;
    auto all = json::Value::array();
    for (const auto& c : list) all.push(encode_container(c));
    out.set(init ? "initContainerStatuses" : "containerStatuses", std::move(all));
  }
  return out;
}

}  // namespace podshim::podlet
