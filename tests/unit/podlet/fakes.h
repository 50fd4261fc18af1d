// Small honest stand-ins for podlet's surroundings: a runtime that keeps tables of sandboxes and containers, a clock
// that moves when told, an executor that runs jobs when told, a prober that asks a function.
#pragma once

#include <algorithm>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <set>

#include "common/ids.h"
#include "podlet/node.h"
#include "podlet/view.h"

namespace podshim::podlet {

inline Time at(double seconds) {
  return Time(std::chrono::nanoseconds(static_cast<std::int64_t>((1'700'000'000 + seconds) * 1e9)));
}

class FakeClock : public Clock {
 public:
  Time now() const override { return now_; }
  void advance(Duration d) { now_ += d; }
  Time now_ = at(0);
};

class FakeExecutor : public Executor {
 public:
  void submit(Lane lane, std::function<void()> job) override {
    if (on_submit) on_submit(lane);  // from here on a real thread might run it
    jobs.emplace_back(lane, std::move(job));
  }
  bool run_all() {
    bool any = false;
    for (;;) {
      auto next = std::ranges::find_if(jobs, [&](const auto& j) { return !hanging.contains(j.first); });
      if (next == jobs.end()) return any;
      auto job = std::move(next->second);
      jobs.erase(next);
      job();
      any = true;
    }
  }
  std::deque<std::pair<Lane, std::function<void()>>> jobs;
  std::set<Lane> hanging;  // their threads are all busy: nothing of these lanes is run
  std::function<void(Lane)> on_submit;
};

class FakeProber : public ProbeRunner {
 public:
  void start(ProbeTarget target, Done done) override { done(answer(target)); }
  std::function<ProbeResult(const ProbeTarget&)> answer = [](const ProbeTarget&) {
    return ProbeResult{.outcome = ProbeOutcome::success};
  };
};

class FakeRuntime : public RuntimeClient {
 public:
  explicit FakeRuntime(FakeClock& clock) : clock_(clock) {}

  Result<CriVersion> version() override {
    if (down) return fail(Error::of(ErrorKind::unavailable, "Version", ""));
    return CriVersion{.runtime_name = "podshim", .runtime_version = "0"};
  }
  Result<CriStatus> status() override { return CriStatus{.runtime_ready = true, .network_ready = true}; }

  Result<std::vector<CriSandbox>> list_sandboxes(const std::string& uid) override {
    if (down) return fail(Error::of(ErrorKind::unavailable, "ListPodSandbox", ""));
    std::vector<CriSandbox> out;
    for (auto [id, s] : sandboxes) {
      s.ips.clear();
      if (uid.empty() || s.uid == uid) out.push_back(s);
    }
    return out;
  }
  Result<std::vector<CriContainer>> list_containers(const std::string& uid) override {
    if (down) return fail(Error::of(ErrorKind::unavailable, "ListContainers", ""));
    std::vector<CriContainer> out;
    for (auto [id, c] : containers) {
      if (!uid.empty() && sandboxes.at(c.sandbox_id).uid != uid) continue;
      out.push_back({.id = c.id,
                     .sandbox_id = c.sandbox_id,
                     .name = c.name,
                     .attempt = c.attempt,
                     .state = c.state,
                     .image = c.image,
                     .created = c.created,
                     .labels = c.labels,
                     .annotations = c.annotations});
    }
    return out;
  }
  Result<CriSandbox> sandbox_status(const std::string& id) override {
    auto found = sandboxes.find(id);
    if (found == sandboxes.end()) return fail(Error::of(ErrorKind::not_found, "PodSandboxStatus", id));
    return found->second;
  }
  Result<CriContainer> container_status(const std::string& id) override {
    auto found = containers.find(id);
    if (found == containers.end()) return fail(Error::of(ErrorKind::not_found, "ContainerStatus", id));
    auto out = found->second;
    out.sandbox_id.clear();  // CRI's ContainerStatus does not have it
    return out;
  }
  Result<std::string> run_sandbox(const CriSandboxConfig& c) override {
    if (!sandbox_error.empty()) return fail(Error::of(ErrorKind::unavailable, "RunPodSandbox", c.name, sandbox_error));
    for (const auto& [id, s] : sandboxes)
      if (s.uid == c.uid && s.attempt == c.attempt)
        return fail(Error::of(ErrorKind::already_exists, "RunPodSandbox", c.name));
    auto id = "sandbox-" + std::to_string(++last_);
    sandboxes[id] = {.id = id,
                     .name = c.name,
                     .uid = c.uid,
                     .name_space = c.name_space,
                     .attempt = c.attempt,
                     .ready = true,
                     .created = tick(),
                     .labels = c.labels,
                     .annotations = c.annotations,
                     .ips = {"10.42.0." + std::to_string(++last_ip_)}};
    if (!keeps_addresses) sandboxes[id].ips.clear();
    log.push_back("run " + c.name);
    return id;
  }
  Result<> stop_sandbox(const std::string& id) override {
    auto found = sandboxes.find(id);
    if (found == sandboxes.end()) return {};
    found->second.ready = false;
    for (auto& [cid, c] : containers)
      if (c.sandbox_id == id && c.state == CriState::running) exit(cid, 137);
    log.push_back("stop-sandbox " + found->second.name);
    return {};
  }
  Result<> remove_sandbox(const std::string& id) override {
    std::erase_if(containers, [&](const auto& c) { return c.second.sandbox_id == id; });
    sandboxes.erase(id);
    return {};
  }
  Result<std::string> create_container(const std::string& sandbox, const CriContainerConfig& c,
                                       const CriSandboxConfig&) override {
    if (!create_error.empty())
      return fail(Error::of(ErrorKind::invalid_argument, "CreateContainer", c.name, create_error));
    if (!sandboxes.contains(sandbox)) return fail(Error::of(ErrorKind::not_found, "CreateContainer", sandbox));
    auto id = "container-" + std::to_string(++last_);
    containers[id] = {.id = id,
                      .sandbox_id = sandbox,
                      .name = c.name,
                      .attempt = c.attempt,
                      .state = CriState::created,
                      .image = c.image,
                      .image_ref = c.image,
                      .created = tick(),
                      .labels = c.labels,
                      .annotations = c.annotations};
    configs[id] = c;
    return id;
  }
  Result<> start_container(const std::string& id) override {
    auto& c = containers.at(id);
    c.state = CriState::running;
    c.started = clock_.now();
    log.push_back("start " + c.name);
    return {};
  }
  Result<> stop_container(const std::string& id, std::chrono::seconds grace) override {
    auto found = containers.find(id);
    if (found == containers.end() || found->second.state != CriState::running) return {};
    log.push_back("stop " + found->second.name + " " + std::to_string(grace.count()));
    if (on_stop) on_stop(found->second);
    exit(id, 143);
    return {};
  }
  Result<> remove_container(const std::string& id) override {
    containers.erase(id);
    return {};
  }
  Result<CriExec> exec_sync(const std::string& id, const std::vector<std::string>& command,
                            std::chrono::seconds) override {
    if (exec_error) return fail(Error::of(*exec_error, "ExecSync", id));
    return exec ? exec(containers.at(id), command) : CriExec{};
  }
  Result<std::optional<CriImage>> image_status(const std::string& reference) override {
    if (!images.contains(reference)) return std::nullopt;
    auto user = users.find(reference);
    return user == users.end() ? CriImage{.id = reference} : user->second;
  }
  Result<std::string> pull_image(const std::string& reference, std::stop_token given_up) override {
    log.push_back("pull " + reference);
    if (on_pull) on_pull();
    if (given_up.stop_requested()) return fail(Error::of(ErrorKind::cancelled, "PullImage", reference));
    if (!registry.contains(reference))
      return fail(Error::of(ErrorKind::not_found, "PullImage", reference, "not in the registry"));
    images.insert(reference);
    return reference;
  }

  // ---- what a test does to it
  void exit(const std::string& id, int code) {
    auto& c = containers.at(id);
    c.state = CriState::exited;
    c.finished = clock_.now();
    c.exit_code = code;
  }
  // The running container of that name; "" = none.
  std::string running(const std::string& name) const {
    for (const auto& [id, c] : containers)
      if (c.name == name && c.state == CriState::running) return id;
    return "";
  }
  int count_running() const {
    int n = 0;
    for (const auto& [id, c] : containers) n += c.state == CriState::running ? 1 : 0;
    return n;
  }
  Time tick() { return clock_.now() + Duration(++last_); }  // creation times are distinct

  bool down = false, keeps_addresses = true;
  std::string sandbox_error, create_error;
  std::optional<ErrorKind> exec_error;
  std::set<std::string> images = {"probe:1", "busybox:1"};
  std::set<std::string> registry;         // what can be pulled
  std::map<std::string, CriImage> users;  // images with a user of their own
  std::map<std::string, CriSandbox> sandboxes;
  std::map<std::string, CriContainer> containers;
  std::map<std::string, CriContainerConfig> configs;
  std::vector<std::string> log;
  std::function<void(const CriContainer&)> on_stop;
  std::function<void()> on_pull;  // while it is under way
  std::function<CriExec(const CriContainer&, const std::vector<std::string>&)> exec;

 private:
  FakeClock& clock_;
  std::int64_t last_ = 0, last_ip_ = 1;
};

// A directory that goes with the test.
struct TempDir {
  TempDir() : path(std::filesystem::temp_directory_path() / ("podlet-test-" + random_hex(6))) {
    std::filesystem::create_directories(path);
  }
  ~TempDir() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

// Test addresses: Pods 10.42.0.0/16, Services 10.43.0.0/16.
inline IpAddress ip(const char* text) { return *IpAddress::parse(text); }

inline kube::Service service(const char* name, kube::ServiceType type = kube::ServiceType::cluster_ip) {
  kube::Service s{.type = type};
  s.meta.name = name;
  s.selector = {{"app", "web"}};
  s.ports = {{.name = "http", .port = 80, .target_port = {.name = "http"}}};
  return s;
}

}  // namespace podshim::podlet
