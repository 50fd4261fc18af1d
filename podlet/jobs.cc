#include "podlet/jobs.h"

#include <algorithm>
#include <future>
#include <thread>

#include "common/sys/file.h"
#include "podlet/dns.h"
#include "podlet/volumes.h"

namespace podshim::podlet {
namespace {

constexpr std::chrono::seconds kMinimumGrace{2};  // what StopContainer gets after a long preStop (kubelet)

JobResult failed(const Clock& clock, std::string reason, std::string message, std::vector<JobEvent> events = {}) {
  events.push_back({.warning = true,
                    .reason = reason == "ErrImagePull" || reason == "ErrImageNeverPull" ? reason : "Failed",
                    .message = message});
  return {.failure = Failure{.reason = std::move(reason), .message = std::move(message), .at = clock.now()},
          .events = std::move(events)};
}

// The image, pulled when the policy says so; nullopt when it would have to be and may not. Errors carry the reason as
// op.
Result<std::optional<CriImage>> ensure_image(RuntimeClient& runtime, const kube::Container& c, const StartJob& job,
                                             std::vector<JobEvent>& events) {
  auto known = TRY_IN(runtime.image_status(c.image), "look up image " + c.image);
  if (c.pull_policy == kube::PullPolicy::never) {
    if (!known)
      return fail(Error::of(ErrorKind::not_found, "ErrImageNeverPull", c.image,
                            "the image is not there, and imagePullPolicy is Never"));
    return known;
  }
  if (known && c.pull_policy == kube::PullPolicy::if_not_present) return known;
  if (!job.may_pull) return std::nullopt;
  events.push_back({.reason = "Pulling", .message = "pulling image " + c.image});
  auto id = runtime.pull_image(c.image, job.given_up);
  if (!id) return fail(Error::of(id.error().kind, "ErrImagePull", c.image, id.error().text()));
  auto image = TRY_IN(runtime.image_status(*id), "look up image " + c.image);
  events.push_back({.reason = "Pulled", .message = "image " + c.image + " is there"});
  return image.value_or(CriImage{.id = *id});
}

// runAsNonRoot, judged by what the image or the manifest says of the user.
std::optional<std::string> root_objection(const PodRecord& record, const kube::Container& c, const CriImage& image) {
  auto s = kube::merge_security(record.pod.spec.security, c.security);
  if (s.run_as_non_root != true) return std::nullopt;
  if (s.run_as_user)
    return *s.run_as_user != 0 ? std::nullopt : std::optional<std::string>("runAsNonRoot stands beside runAsUser 0");
  if (image.uid)
    return *image.uid != 0 ? std::nullopt : std::optional<std::string>("runAsNonRoot, and the image runs as root");
  if (!image.username.empty())
    return "runAsNonRoot, and the image's user \"" + image.username + "\" is a name: give runAsUser as a number";
  return "runAsNonRoot, and the image runs as root";
}

// As the kubelet: a group without a user stands beside the image's user, by number or name; root where it has none.
void complete_user(const CriImage& image, CriContainerConfig& config) {
  if (!config.run_as_group || config.run_as_user) return;
  config.run_as_username = image.username;
  if (image.uid || image.username.empty()) config.run_as_user = image.uid.value_or(0);
}

Result<CriContainerConfig> prepare(const StartJob& job, const kube::Container& c) {
  ContainerInput input{.record = job.record,
                       .container = c,
                       .attempt = job.attempt,
                       .pod_ips = job.pod_ips,
                       .node = job.node,
                       .maps = job.maps,
                       .service_env = job.service_env};
  auto config = TRY(container_config(input));
  // The client makes the log's directory, the runtime its file (kubelet: BuildContainerLogsDirectory).
  TRY(sys::make_dirs(log_directory(job.record, job.node) + "/" + c.name, 0755));
  auto needs = TRY(volume_needs(input));
  TRY(prepare_volumes(needs));
  return config;
}

std::string first_line(std::string text) {
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.pop_back();
  return text.size() > 1024 ? text.substr(0, 1024) : text;
}

}  // namespace

Result<ProbeTarget> probe_target(const kube::ProbeHandler& handler, const kube::Container& c, const std::string& pod_ip,
                                 Duration timeout) {
  const auto* http = std::get_if<kube::HttpAction>(&handler);
  const auto* tcp = std::get_if<kube::TcpAction>(&handler);
  const auto& port = http != nullptr ? http->port : tcp->port;
  const auto& host = http != nullptr ? http->host : tcp->host;
  ProbeTarget out{.http = http != nullptr, .port = port.number, .timeout = timeout};
  if (!port.name.empty()) {
    auto found = std::ranges::find(c.ports, port.name, &kube::ContainerPort::name);
    if (found == c.ports.end())
      return fail(Error::of(ErrorKind::not_found, "probe", c.name, "the container has no port named " + port.name));
    out.port = found->container_port;
  }
  auto address = IpAddress::parse(host.empty() ? pod_ip : host);
  if (!address)
    return fail(Error::of(ErrorKind::unavailable, "probe", c.name,
                          host.empty() ? "the Pod has no address" : "host " + host + " is not an IP address"));
  out.address = *address;
  if (http != nullptr) out.request = http_request(*http, address->str(), out.port);
  return out;
}

ProbeResult run_handler(RuntimeClient& runtime, ProbeRunner& prober, const kube::ProbeHandler& handler,
                        const kube::Container& c, const std::string& id, const std::string& pod_ip,
                        std::chrono::seconds timeout) {
  if (const auto* exec = std::get_if<kube::ExecAction>(&handler)) {
    auto result = runtime.exec_sync(id, exec->command, timeout);
    if (!result) {
      // kubelet: an exit code or a timeout is the container's answer; any other error says nothing of it.
      if (result.error().kind == ErrorKind::deadline_exceeded)
        return {.message = "the command took longer than " + age_text(timeout)};
      return {.outcome = ProbeOutcome::no_answer, .message = result.error().text()};
    }
    if (result->exit_code == 0) return {.outcome = ProbeOutcome::success};
    auto said = first_line(result->out + result->err);
    return {.message = "exit code " + std::to_string(result->exit_code) + (said.empty() ? "" : ": " + said)};
  }
  if (const auto* sleep = std::get_if<kube::SleepAction>(&handler)) {
    std::this_thread::sleep_for(std::min<std::chrono::seconds>(sleep->time, timeout));
    return {.outcome = ProbeOutcome::success};
  }
  auto target = probe_target(handler, c, pod_ip, timeout);
  if (!target) return {.outcome = ProbeOutcome::no_answer, .message = target.error().detail};
  auto promise = std::make_shared<std::promise<ProbeResult>>();
  auto future = promise->get_future();
  prober.start(*std::move(target), [promise](ProbeResult r) { promise->set_value(std::move(r)); });
  if (future.wait_for(timeout + std::chrono::seconds(1)) != std::future_status::ready) return {.message = "no answer"};
  return future.get();
}

JobResult start_container(RuntimeClient& runtime, ProbeRunner& prober, const Clock& clock, const StartJob& job) {
  const auto* c = job.record.pod.spec.find(job.container);
  std::vector<JobEvent> events;
  if (job.given_up.stop_requested()) return {};
  auto found = ensure_image(runtime, *c, job, events);
  if (job.given_up.stop_requested()) {
    events.push_back(
        {.reason = "PullCanceled", .message = "the Pod is deleted: image " + c->image + " is not waited for"});
    return {.events = std::move(events)};
  }
  if (!found) {
    std::string reason = found.error().op;
    bool named = reason == "ErrImageNeverPull" || reason == "ErrImagePull";
    return failed(clock, named ? reason : "ErrImagePull", found.error().text(), std::move(events));
  }
  const auto& image = *found;
  if (!image) return {.wants_pull = true};
  if (auto why = root_objection(job.record, *c, *image))
    return failed(clock, "CreateContainerConfigError", c->name + ": " + *why, std::move(events));
  auto config = prepare(job, *c);
  if (!config) return failed(clock, "CreateContainerConfigError", config.error().text(), std::move(events));
  config->image = image->id;
  complete_user(*image, *config);
  auto id = runtime.create_container(job.sandbox, *config, sandbox_config(job.record, job.sandbox_attempt, job.node));
  if (!id) return failed(clock, "CreateContainerError", id.error().text(), std::move(events));
  events.push_back({.reason = "Created", .message = "created container " + c->name});
  if (auto started = runtime.start_container(*id); !started)
    return failed(clock, "RunContainerError", started.error().text(), std::move(events));
  events.push_back({.reason = "Started", .message = "started container " + c->name});
  if (c->post_start) {
    auto pod_ip = job.pod_ips.empty() ? "" : job.pod_ips.front();
    auto result = run_handler(runtime, prober, *c->post_start, *c, *id, pod_ip, std::chrono::seconds(3600));
    if (!result.success()) {
      (void)runtime.stop_container(*id, job.record.pod.spec.grace);  // the next look at the Pod sees what came of it
      events.push_back({.warning = true, .reason = "FailedPostStartHook", .message = c->name + ": " + result.message});
      return failed(clock, "PostStartHookError", result.message, std::move(events));
    }
  }
  return {.events = std::move(events)};
}

JobResult kill_container(RuntimeClient& runtime, ProbeRunner& prober, const Clock& clock, const KillJob& job) {
  JobResult out;
  out.events.push_back({.reason = "Killing", .message = "stopping container " + job.container + ": " + job.reason});
  auto began = clock.now();
  const auto* c = job.record.pod.spec.find(job.container);
  auto left = job.grace;
  if (c != nullptr && c->pre_stop && job.grace.count() > 0) {
    auto result = run_handler(runtime, prober, *c->pre_stop, *c, job.id, job.pod_ip, job.grace);
    if (!result.success())
      out.events.push_back(
          {.warning = true, .reason = "FailedPreStopHook", .message = job.container + ": " + result.message});
    left = job.grace - std::chrono::duration_cast<std::chrono::seconds>(clock.now() - began);
    left = std::max(left, kMinimumGrace);
  }
  if (auto stopped = runtime.stop_container(job.id, left); !stopped) {
    out.failure = Failure{.reason = "KillContainerError", .message = stopped.error().text(), .at = clock.now()};
    out.events.push_back({.warning = true, .reason = "FailedKillPod", .message = stopped.error().text()});
  }
  return out;
}

JobResult run_sandbox(RuntimeClient& runtime, const Clock& clock, const PodRecord& record, std::uint32_t attempt,
                      const NodeFacts& node) {
  JobResult out;
  if (auto cut = pod_resolver(record.pod.spec, record.pod.meta.name_space, node).cut; !cut.empty())
    out.events.push_back({.warning = true, .reason = "DNSConfigForming", .message = cut});
  auto id = runtime.run_sandbox(sandbox_config(record, attempt, node));
  if (id) return out;
  out.failure = Failure{.reason = "FailedCreatePodSandBox", .message = id.error().text(), .at = clock.now()};
  out.events.push_back({.warning = true, .reason = "FailedCreatePodSandBox", .message = id.error().text()});
  return out;
}

Result<PodObserved> observe_pod(RuntimeClient& runtime, const std::string& uid, const PodObserved& before) {
  PodObserved out{.known = true};
  out.sandboxes = TRY(runtime.list_sandboxes(uid));
  out.containers = TRY(runtime.list_containers(uid));
  for (auto& s : out.sandboxes) {
    const auto* old = before.find_sandbox(s.id);
    if (old != nullptr) s.ips = old->ips;
    if (!s.ready || !s.ips.empty()) continue;
    auto status = runtime.sandbox_status(s.id);
    if (!status && status.error().kind == ErrorKind::not_found) continue;  // went between the two calls
    if (!status) return fail(std::move(status).error());
    s.ips = status->ips;
    s.ready = status->ready;
  }
  for (auto& c : out.containers) {
    auto old = std::ranges::find(before.containers, c.id, &CriContainer::id);
    if (old != before.containers.end() && old->state == c.state) {
      c = *old;
      continue;
    }
    auto status = runtime.container_status(c.id);
    if (!status && status.error().kind == ErrorKind::not_found) {
      c.id.clear();
      continue;
    }
    if (!status) return fail(std::move(status).error());
    status->sandbox_id = c.sandbox_id;  // ContainerStatus does not say it
    c = *std::move(status);
  }
  std::erase_if(out.containers, [](const auto& c) { return c.id.empty(); });
  out.sort();
  return out;
}

}  // namespace podshim::podlet
