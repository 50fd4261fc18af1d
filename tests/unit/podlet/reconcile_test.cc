// Each state of a Pod -> the actions of this turn.
#include <gtest/gtest.h>

#include "fakes.h"

namespace podshim::podlet {
namespace {

using Kind = Action::Kind;
using std::chrono::seconds;

// A Pod as it is seen, built line by line.
struct Scene {
  PodRecord record;
  PodObserved seen{.known = true};
  ProbeBook probes;
  Backoff backoff;
  std::map<std::string, Failure> failures;
  std::map<std::string, std::uint32_t> attempts;
  std::set<std::string> busy, starting;
  std::map<std::string, Time> held;
  std::vector<std::string> node_ips = {"192.0.2.1", "2001:db8::1"};
  bool may_stop = true;
  Time now = at(100);

  explicit Scene(const std::string& spec = "") {
    auto m = decode_manifest("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  " +
                                 (spec.empty() ? std::string("containers: [{name: c, image: x}]") : spec) + "\n",
                             "t");
    EXPECT_TRUE(m.errors.empty()) << m.errors[0].text;
    record = {.uid = "u", .pod = std::get<kube::Pod>(m.objects.at(0).value), .created = at(0)};
  }
  Scene& sandbox(const std::string& id = "s", bool ready = true, std::uint32_t attempt = 0) {
    seen.sandboxes.push_back(
        {.id = id, .attempt = attempt, .ready = ready, .created = at(attempt), .ips = {"10.42.0.5"}});
    seen.sort();
    return *this;
  }
  Scene& container(const std::string& name, CriState state, int code = 0, std::uint32_t attempt = 0,
                   const std::string& sandbox = "s", double finished = 50) {
    seen.containers.push_back({.id = name + std::to_string(attempt),
                               .sandbox_id = sandbox,
                               .name = name,
                               .attempt = attempt,
                               .state = state,
                               .created = at(attempt),
                               .started = at(1),
                               .finished = at(finished),
                               .exit_code = code});
    seen.sort();
    return *this;
  }
  SyncInput input() {
    probes.follow(record.pod.spec, seen, now);
    return {.record = record,
            .seen = seen,
            .probes = probes,
            .backoff = backoff,
            .failures = failures,
            .attempts = attempts,
            .busy = busy,
            .starting = starting,
            .held = held,
            .node_ips = node_ips,
            .may_stop = may_stop,
            .now = now};
  }
  std::string plan() {
    auto in = input();
    last = sync_pod(in);
    std::string out;
    for (const auto& a : last.actions) {
      out += (out.empty() ? "" : ", ") + std::string(action_kind_text(a.kind));
      if (!a.container.empty()) out += " " + a.container;
      if (a.kind == Kind::start_container || a.kind == Kind::run_sandbox) out += " #" + std::to_string(a.attempt);
      if (a.kind == Kind::kill_container) out += " " + std::to_string(a.grace.count()) + "s";
      if (a.kind == Kind::stop_sandbox || a.kind == Kind::remove_sandbox) out += " " + a.id;
    }
    return out;
  }
  PodStatus status() {
    auto in = input();
    auto out = sync_pod(in);
    return pod_status(in, out);
  }
  SyncOutput last;
};

constexpr auto kRun = CriState::running;
constexpr auto kExit = CriState::exited;

TEST(Reconcile, FromNothingToRunning) {
  Scene s;
  s.seen.known = false;
  EXPECT_EQ(s.plan(), "");
  s.seen.known = true;
  EXPECT_EQ(s.plan(), "run sandbox #0");
  s.busy = {""};
  EXPECT_EQ(s.plan(), "");
  s.busy.clear();
  s.sandbox();
  EXPECT_EQ(s.plan(), "start container c #0");
  EXPECT_EQ(s.status().word, "ContainerCreating");
  s.busy = {"c"};
  EXPECT_EQ(s.plan(), "");
  s.busy.clear();
  s.container("c", kRun);
  EXPECT_EQ(s.plan(), "");
  EXPECT_EQ(s.status().word, "Running");
  EXPECT_TRUE(s.status().ready);
}

TEST(Reconcile, RestartPolicies) {
  struct Case {
    const char* policy;
    int code;
    const char* want;
    const char* word;
  };
  const Case cases[] = {
      {"Always", 0, "start container c #1", "Completed"}, {"Always", 1, "start container c #1", "Error"},
      {"OnFailure", 0, "stop sandbox s", "Completed"},    {"OnFailure", 1, "start container c #1", "Error"},
      {"Never", 0, "stop sandbox s", "Completed"},        {"Never", 1, "stop sandbox s", "Error"}};
  for (const auto& c : cases) {
    Scene s("restartPolicy: " + std::string(c.policy) + "\n  containers: [{name: c, image: x}]");
    s.sandbox().container("c", kExit, c.code);
    EXPECT_EQ(s.plan(), c.want) << c.policy << c.code;
    EXPECT_EQ(s.status().word, c.word) << c.policy << c.code;
  }
}

TEST(Reconcile, CrashLoopWaits) {
  Scene s;
  s.sandbox().container("c", kExit, 1, 3, "s", 95);
  s.backoff.acted("c", at(90), at(90));
  EXPECT_EQ(s.plan(), "");
  EXPECT_EQ(s.last.wake, at(105));
  auto status = s.status();
  EXPECT_EQ(status.word, "CrashLoopBackOff");
  EXPECT_EQ(status.restarts, 3u);
  EXPECT_EQ(status.containers[0].last->exit_code, 1);
  s.now = at(105);
  EXPECT_EQ(s.plan(), "start container c #4");
}

TEST(Reconcile, FailedStartsWaitWithTheirReason) {
  Scene s;
  s.sandbox();
  s.failures["c"] = {.reason = "ErrImagePull", .message = "no registry", .at = at(99)};
  s.backoff.acted("c", at(99), at(99));
  EXPECT_EQ(s.plan(), "");
  EXPECT_EQ(s.status().word, "ImagePullBackOff");
  EXPECT_EQ(s.status().containers[0].message, "no registry");
  s.failures["c"].reason = "CreateContainerError";
  EXPECT_EQ(s.status().word, "CreateContainerError");
  s.now = at(110);
  EXPECT_EQ(s.plan(), "start container c #0");
}

TEST(Reconcile, HalfMadeContainersAreRemoved) {
  Scene s;
  s.sandbox().container("c", CriState::created);
  EXPECT_EQ(s.plan(), "remove container c");
}

TEST(Reconcile, InitContainersInTurn) {
  Scene s(
      "initContainers: [{name: a, image: x}, {name: b, image: x}]\n  containers: [{name: c, image: x}, {name: d, "
      "image: x}]");
  s.sandbox();
  EXPECT_EQ(s.plan(), "start container a #0");
  EXPECT_EQ(s.status().word, "Init:0/2");
  s.container("a", kRun);
  EXPECT_EQ(s.plan(), "");
  s.seen.containers[0].state = kExit;
  EXPECT_EQ(s.plan(), "start container b #0");
  EXPECT_EQ(s.status().word, "Init:1/2");
  s.container("b", kExit, 1);
  EXPECT_EQ(s.plan(), "start container b #1");
  EXPECT_EQ(s.status().word, "Init:Error");
  s.seen.containers.erase(std::ranges::find(s.seen.containers, "b", &CriContainer::name));
  s.container("b", kExit, 0);
  EXPECT_EQ(s.plan(), "start container c #0, start container d #0");
}

TEST(Reconcile, FailedInitWithNeverFailsThePod) {
  Scene s("restartPolicy: Never\n  initContainers: [{name: a, image: x}]\n  containers: [{name: c, image: x}]");
  s.sandbox().container("a", kExit, 1);
  EXPECT_EQ(s.plan(), "stop sandbox s");
  EXPECT_EQ(s.status().phase, PodPhase::failed);
  EXPECT_EQ(s.status().word, "Init:Error");
}

TEST(Reconcile, SidecarsStartFirstAndEndLast) {
  Scene s("initContainers: [{name: side, image: x, restartPolicy: Always}]\n  containers: [{name: c, image: x}]");
  s.sandbox();
  EXPECT_EQ(s.plan(), "start container side #0");
  s.container("side", kRun);
  EXPECT_EQ(s.plan(), "start container c #0");
  s.container("c", kRun);
  EXPECT_EQ(s.status().total, 2);
  s.record.deleted = at(99);
  EXPECT_EQ(s.plan(), "kill container c 30s");
  for (auto& c : s.seen.containers)
    if (c.name == "c") c.state = kExit;
  EXPECT_EQ(s.plan(), "kill container side 30s");
}

TEST(Reconcile, ASidecarThatEndsComesBack) {
  Scene s("initContainers: [{name: side, image: x, restartPolicy: Always}]\n  containers: [{name: c, image: x}]");
  s.sandbox().container("side", kExit, 0).container("c", kRun);
  EXPECT_EQ(s.plan(), "start container side #1");
}

TEST(Reconcile, ProbesKill) {
  Scene s(
      "containers: [{name: c, image: x, livenessProbe: {tcpSocket: {port: 1}, failureThreshold: 1, "
      "terminationGracePeriodSeconds: 7}}]");
  s.sandbox().container("c", kRun);
  (void)s.input();
  ASSERT_EQ(s.probes.take_due(s.record.pod.spec, s.now).size(), 1u);
  s.probes.record("c", "c0", kube::ProbeKind::liveness, {.message = "HTTP 500"}, s.now);
  EXPECT_EQ(s.plan(), "kill container c 7s");
  EXPECT_EQ(s.last.actions[0].reason, "Liveness probe failed: HTTP 500");
  s.busy = {"c"};
  EXPECT_EQ(s.plan(), "");
}

// All probes fail; the one that kills is named.
TEST(Reconcile, AKillNamesTheProbeThatKills) {
  auto tcp = [](const char* kind) { return std::string(kind) + ": {tcpSocket: {port: 1}, failureThreshold: 1}"; };
  struct Case {
    std::string probes;
    std::vector<kube::ProbeKind> fail;
    const char* want;
  };
  using enum kube::ProbeKind;
  auto both = tcp("livenessProbe") + ", " + tcp("readinessProbe");
  const Case cases[] = {
      {both, {liveness, readiness}, "Liveness probe failed: 1"},
      {both, {readiness, liveness}, "Liveness probe failed: 1"},
      {both + ", " + tcp("startupProbe"), {startup}, "Startup probe failed: 0"},
  };
  for (const auto& c : cases) {
    Scene s("containers: [{name: c, image: x, " + c.probes + "}]");
    s.sandbox().container("c", kRun);
    (void)s.input();
    for (auto kind : c.fail)
      s.probes.record("c", "c0", kind, {.message = std::to_string(static_cast<int>(kind))}, s.now);
    EXPECT_EQ(s.plan(), "kill container c 30s");
    EXPECT_EQ(s.last.actions.at(0).reason, c.want);
  }
}

TEST(Reconcile, ALostSandboxIsReplaced) {
  Scene s;
  s.sandbox("s", false).container("c", kRun);
  EXPECT_EQ(s.plan(), "kill container c 30s");
  s.seen.containers[0].state = kExit;
  EXPECT_EQ(s.plan(), "run sandbox #1");
  s.failures[""] = {.reason = "FailedCreatePodSandBox", .message = "no free address", .at = at(99)};
  s.held[kRunSandboxHold] = at(101);
  EXPECT_EQ(s.plan(), "");
  EXPECT_EQ(s.last.wake, at(101));
  EXPECT_EQ(s.status().message, "no free address");
  s.failures.clear();
  s.held.clear();
  s.sandbox("t", true, 1);
  EXPECT_EQ(s.plan(), "start container c #1, remove sandbox s");
}

TEST(Reconcile, ASandboxWithoutAddressIsNotUsed) {
  Scene s;
  s.sandbox();
  s.seen.sandboxes[0].ips.clear();
  EXPECT_EQ(s.plan(), "stop sandbox s");
  Scene host("hostNetwork: true\n  containers: [{name: c, image: x}]");
  host.sandbox();
  host.seen.sandboxes[0].ips.clear();
  EXPECT_EQ(host.plan(), "start container c #0");
  EXPECT_EQ(host.status().ips, host.node_ips);
}

TEST(Reconcile, NeverAndALostSandboxIsFailure) {
  Scene s("restartPolicy: Never\n  containers: [{name: c, image: x}, {name: d, image: x}]");
  s.sandbox("s", false).container("c", kExit, 0);
  EXPECT_EQ(s.plan(), "");
  EXPECT_EQ(s.status().phase, PodPhase::failed);
}

TEST(Reconcile, Deletion) {
  Scene s;
  s.sandbox().container("c", kRun);
  s.record.deleted = at(99);
  s.record.grace = seconds(5);
  s.may_stop = false;  // its endpoint is not known to have left
  EXPECT_EQ(s.plan(), "");
  EXPECT_EQ(s.status().word, "Terminating");
  s.may_stop = true;
  EXPECT_EQ(s.plan(), "kill container c 5s");
  s.seen.containers[0].state = kExit;
  EXPECT_EQ(s.plan(), "stop sandbox s");
  s.seen.sandboxes[0].ready = false;
  s.held[kRunSandboxHold] = at(101);  // the last attempt to make one: nothing to wait for
  EXPECT_EQ(s.plan(), "remove sandbox s");
  s.held[""] = at(101);  // it failed: not again at once
  EXPECT_EQ(s.plan(), "");
  EXPECT_EQ(s.last.wake, at(101));
  s.held.clear();
  s.seen.sandboxes.clear();
  s.seen.containers.clear();
  EXPECT_EQ(s.plan(), "forget pod");
}

// Ready of an init container means that it has ended with 0; of a sidecar what it means everywhere.
TEST(Reconcile, ReadyOfInitContainers) {
  struct Case {
    const char* name;
    CriState state;
    int code;
    bool sidecar, want;
  };
  const Case cases[] = {{"runs", kRun, 0, false, false},
                        {"ended well", kExit, 0, false, true},
                        {"ended badly", kExit, 1, false, false},
                        {"sidecar runs", kRun, 0, true, true},
                        {"sidecar ended", kExit, 0, true, false}};
  for (const auto& c : cases) {
    Scene s(std::string("restartPolicy: Never\n  initContainers: [{name: i, image: x") +
            (c.sidecar ? ", restartPolicy: Always" : "") + "}]\n  containers: [{name: c, image: x}]");
    s.sandbox().container("i", c.state, c.code);
    s.plan();
    auto status = s.status();
    EXPECT_EQ(status.init.at(0).ready, c.want) << c.name;
    EXPECT_EQ(status.total, c.sidecar ? 2 : 1) << c.name;
    EXPECT_EQ(status.ready_count, c.sidecar && c.want ? 1 : 0) << c.name;
  }
}

// A postStart may hang for an hour: a deletion does not wait for it, nothing else disturbs it.
TEST(Reconcile, DeletionKillsWhatIsStillStarting) {
  Scene s("containers: [{name: c, image: x, livenessProbe: {tcpSocket: {port: 1}, failureThreshold: 1}}]");
  s.sandbox().container("c", kRun);
  s.busy = s.starting = {"c"};
  EXPECT_EQ(s.plan(), "");
  s.record.deleted = at(99);
  s.record.grace = seconds(5);
  EXPECT_EQ(s.plan(), "kill container c 5s");
  s.busy.insert(kill_key("c"));
  EXPECT_EQ(s.plan(), "");
  s.busy = {"c"};  // killed, and the start has not come back yet
  s.seen.containers[0].state = kExit;
  EXPECT_EQ(s.plan(), "");
  s.busy.clear();
  s.starting.clear();
  EXPECT_EQ(s.plan(), "stop sandbox s");
}

TEST(Reconcile, DeadlineAndGarbage) {
  Scene s("activeDeadlineSeconds: 60\n  containers: [{name: c, image: x}]");
  s.sandbox().container("c", kRun);
  s.now = at(59);
  EXPECT_EQ(s.plan(), "");
  s.now = at(60);
  EXPECT_EQ(s.plan(), "kill container c 30s");
  EXPECT_EQ(s.status().word, "DeadlineExceeded");
  Scene g;
  g.sandbox().container("c", kExit, 1, 0).container("c", kExit, 1, 1).container("c", kRun, 0, 2);
  EXPECT_EQ(g.plan(), "remove container c");
  EXPECT_EQ(g.last.actions[0].id, "c0");
}

// Whatever is seen: no container is asked to start while another of its name may run, nothing busy is touched, and the
// same input gives the same plan.
TEST(Reconcile, InvariantsOverManyStates) {
  const CriState states[] = {CriState::created, kRun, kExit, CriState::unknown};
  for (const char* policy : {"Always", "OnFailure", "Never"}) {
    for (int mask = 0; mask < 4 * 4 * 4 * 8; mask++) {
      Scene s("restartPolicy: " + std::string(policy) +
              "\n  initContainers: [{name: i, image: x}]\n  containers: [{name: c, image: x}]");
      int m = mask;
      bool ready = (m & 1) != 0, gone = (m & 2) != 0, busy = (m & 4) != 0;
      m /= 8;
      s.sandbox("s", ready);
      s.container("i", states[m % 4], m % 2)
          .container("c", states[m / 4 % 4], m % 3)
          .container("c", states[m / 16], 1, 1);
      if (gone) s.record.deleted = at(99);
      if (busy) s.busy = {"c"};
      auto first = s.plan();
      EXPECT_EQ(first, s.plan());
      for (const auto& a : s.last.actions) {
        EXPECT_FALSE(busy && a.container == "c") << first;
        if (a.kind != Kind::start_container) continue;
        EXPECT_FALSE(gone);
        EXPECT_TRUE(ready);
        const auto* newest = s.seen.newest(a.container);
        EXPECT_FALSE(newest != nullptr && may_run(*newest)) << first;
      }
    }
  }
}

}  // namespace
}  // namespace podshim::podlet
