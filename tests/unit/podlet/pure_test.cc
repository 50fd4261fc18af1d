// Back-off, probes, workloads.
#include <gtest/gtest.h>

#include "fakes.h"

namespace podshim::podlet {
namespace {

using std::chrono::seconds;

TEST(Backoff, DoublesAndResets) {
  Backoff b;
  Time t = at(0);
  EXPECT_EQ(b.ready_at("c", t), t);  // the first restart is at once
  for (int want : {10, 20, 40, 80, 160, 300, 300}) {
    b.acted("c", t, t);
    EXPECT_EQ(b.ready_at("c", t) - t, Duration(seconds(want)));
    t += seconds(want);
  }
  Time late = t + seconds(601);  // it ran for more than ten minutes
  EXPECT_EQ(b.ready_at("c", late), late);
  b.acted("c", late, late);
  EXPECT_EQ(b.current("c"), Duration(seconds(10)));
  EXPECT_EQ(b.ready_at("other", t), t);
}

kube::PodSpec spec_of(const std::string& yaml_container) {
  auto m = decode_manifest(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - " + yaml_container + "\n", "t");
  EXPECT_TRUE(m.errors.empty()) << m.errors[0].text;
  return std::get<kube::Pod>(m.objects.at(0).value).spec;
}

PodObserved running(const std::string& id, Time started) {
  PodObserved out{.known = true};
  out.containers.push_back({.id = id, .name = "c", .state = CriState::running, .started = started});
  return out;
}

TEST(ProbeBook, Thresholds) {
  auto spec = spec_of(
      "{name: c, image: x, readinessProbe: {tcpSocket: {port: 1}, periodSeconds: 2, initialDelaySeconds: 3, "
      "successThreshold: 2, failureThreshold: 2}}");
  ProbeBook book;
  auto seen = running("1", at(0));
  book.follow(spec, seen, at(0));
  EXPECT_TRUE(book.take_due(spec, at(2)).empty());
  EXPECT_EQ(book.next_due(), at(3));
  auto ready = [&] { return book.health(spec.containers[0], &seen.containers[0]).ready; };
  auto probe = [&](double t, bool good) {
    auto due = book.take_due(spec, at(t));
    ASSERT_EQ(due.size(), 1u) << t;
    EXPECT_TRUE(book.take_due(spec, at(t)).empty());  // handed out once
    book.record("c", "1", kube::ProbeKind::readiness,
                {.outcome = good ? ProbeOutcome::success : ProbeOutcome::failure, .message = good ? "" : "no"}, at(t));
  };
  EXPECT_FALSE(ready());
  probe(3, true);
  EXPECT_FALSE(ready());
  probe(5, true);
  EXPECT_TRUE(ready());
  probe(7, false);
  EXPECT_TRUE(ready());
  probe(9, false);
  EXPECT_FALSE(ready());
  EXPECT_EQ(book.health(spec.containers[0], &seen.containers[0]).message, "Readiness probe failed: no");
  auto other = running("2", at(10));  // a new container begins from nothing
  book.follow(spec, other, at(10));
  EXPECT_FALSE(book.record("c", "1", kube::ProbeKind::readiness, {.outcome = ProbeOutcome::success}, at(10)));
  EXPECT_EQ(book.next_due(), at(13));
}

// Until it was ready once a container is asked soon again: 25 ms, doubling to the period.
TEST(ProbeBook, NotReadyYetIsAskedSooner) {
  auto spec =
      spec_of("{name: c, image: x, readinessProbe: {tcpSocket: {port: 1}, periodSeconds: 1, failureThreshold: 1}}");
  ProbeBook book;
  auto seen = running("1", at(0));
  book.follow(spec, seen, at(0));
  Time t = at(0);
  for (int want : {25, 50, 100, 200, 400, 800, 1000, 1000}) {
    ASSERT_EQ(book.take_due(spec, t).size(), 1u);
    book.record("c", "1", kube::ProbeKind::readiness, {.message = "no"}, t);
    EXPECT_FALSE(book.health(spec.containers[0], &seen.containers[0]).ready);
    EXPECT_EQ(*book.next_due() - t, Duration(std::chrono::milliseconds(want)));
    t = *book.next_due();
  }
  ASSERT_EQ(book.take_due(spec, t).size(), 1u);
  book.record("c", "1", kube::ProbeKind::readiness, {.outcome = ProbeOutcome::success}, t);
  EXPECT_TRUE(book.health(spec.containers[0], &seen.containers[0]).ready);
  EXPECT_EQ(*book.next_due() - t, Duration(seconds(1)));
}

// As a kubelet: an error of the probe itself is thrown away, and what was counted before it goes on.
TEST(ProbeBook, NoAnswerCountsForNothing) {
  auto spec = spec_of(
      "{name: c, image: x, livenessProbe: {exec: {command: [a]}, periodSeconds: 2, failureThreshold: 2}, "
      "readinessProbe: {exec: {command: [a]}, periodSeconds: 2, failureThreshold: 2}}");
  struct Case {
    const char* name;
    const char* answers;  // + success, - failure, ? no answer
    bool ready, killed;
  };
  const Case cases[] = {{"never an answer", "?????", false, false},   {"away while it was well", "+?????", true, false},
                        {"failures go on", "+-?-", false, true},      {"one failure is not two", "+-???", true, false},
                        {"no success either", "+-?+-?", true, false}, {"two failures", "+--", false, true}};
  for (const auto& c : cases) {
    ProbeBook book;
    auto seen = running("1", at(0));
    book.follow(spec, seen, at(0));
    double t = 0;
    for (const char* a = c.answers; *a != 0; a++, t += 2) {
      for (auto kind : {kube::ProbeKind::liveness, kube::ProbeKind::readiness}) {
        auto outcome = *a == '+' ? ProbeOutcome::success : *a == '-' ? ProbeOutcome::failure : ProbeOutcome::no_answer;
        bool told = book.record("c", "1", kind, {.outcome = outcome, .message = *a == '+' ? "" : "why"}, at(t));
        if (*a == '?') {
          EXPECT_FALSE(told) << c.name;
        }
      }
      EXPECT_EQ(book.next_due(), at(t + 2)) << c.name;
    }
    auto health = book.health(spec.containers[0], &seen.containers[0]);
    EXPECT_EQ(health.ready, c.ready) << c.name;
    EXPECT_EQ(health.kill.has_value(), c.killed) << c.name;
  }
}

TEST(ProbeBook, StartupRulesAlone) {
  auto spec = spec_of(
      "{name: c, image: x, startupProbe: {tcpSocket: {port: 1}, periodSeconds: 1}, livenessProbe: {tcpSocket: {port: "
      "1}, failureThreshold: 1}}");
  ProbeBook book;
  auto seen = running("1", at(0));
  book.follow(spec, seen, at(0));
  auto due = book.take_due(spec, at(0));
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].kind, kube::ProbeKind::startup);
  EXPECT_FALSE(book.health(spec.containers[0], &seen.containers[0]).started);
  book.record("c", "1", kube::ProbeKind::startup, {.outcome = ProbeOutcome::success}, at(0));
  EXPECT_TRUE(book.health(spec.containers[0], &seen.containers[0]).ready);
  due = book.take_due(spec, at(0));
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].kind, kube::ProbeKind::liveness);
  book.record("c", "1", kube::ProbeKind::liveness, {.message = "dead"}, at(1));
  EXPECT_EQ(book.health(spec.containers[0], &seen.containers[0]).kill, kube::ProbeKind::liveness);
}

TEST(ProbeBook, ReadyBeforeARestartOfPodletStaysReady) {
  auto spec = spec_of("{name: c, image: x, readinessProbe: {tcpSocket: {port: 1}}}");
  ProbeBook book;
  book.assume_ready({"1"});
  auto seen = running("1", at(0));
  book.follow(spec, seen, at(0));
  EXPECT_TRUE(book.health(spec.containers[0], &seen.containers[0]).ready);
}

// ---- workloads
kube::Workload workload(int replicas, const char* surge = "25%", const char* unavailable = "25%") {
  auto count = [](std::string_view t) {
    return t.ends_with('%') ? kube::CountOrPercent{.number = std::stoi(std::string(t)), .percent = true}
                            : kube::CountOrPercent{.number = std::stoi(std::string(t))};
  };
  return {
      .replicas = replicas, .template_hash = "new", .max_surge = count(surge), .max_unavailable = count(unavailable)};
}
OwnedPod owned(const char* uid, const char* hash, bool ready, double born = 0) {
  return {.uid = uid,
          .template_hash = hash,
          .running = true,
          .ready_since = ready ? std::optional(at(1)) : std::nullopt,
          .created = at(born)};
}

TEST(Workload, Plans) {
  auto deleting = owned("d", "new", true);
  deleting.deleting = true;
  auto ended = owned("e", "new", false);
  ended.ended = true;
  struct Case {
    const char* name;
    kube::Workload w;
    std::vector<OwnedPod> pods;
    int create;
    std::vector<std::string> remove;
  };
  auto recreate = workload(2);
  recreate.recreate = true;
  auto old_leaving = owned("o", "old", true);
  old_leaving.deleting = true;
  auto paused = workload(1);
  paused.paused = true;
  const Case cases[] = {
      {"from nothing", workload(3), {}, 3, {}},
      {"complete", workload(1), {owned("a", "new", true)}, 0, {}},
      {"a deleted one is replaced at once", workload(1), {deleting}, 1, {}},
      {"a failed one is removed and replaced", workload(1), {ended}, 1, {"e"}},
      {"scale down takes the unready first",
       workload(1),
       {owned("a", "new", true), owned("b", "new", false)},
       0,
       {"b"}},
      {"scale down takes the youngest",
       workload(1),
       {owned("a", "new", true, 1), owned("b", "new", true, 2)},
       0,
       {"b"}},
      {"scale to zero", workload(0), {owned("a", "new", true)}, 0, {"a"}},
      {"rolling: one more than wanted, none less",
       workload(3),
       {owned("a", "old", true), owned("b", "old", true), owned("c", "old", true)},
       1,
       {}},
      {"rolling: the new one is ready, an old one goes",
       workload(3),
       {owned("a", "old", true), owned("b", "old", true), owned("c", "old", true), owned("n", "new", true)},
       0,
       {"a"}},
      {"rolling: the new one is not ready, all wait",
       workload(3),
       {owned("a", "old", true), owned("b", "old", true), owned("c", "old", true), owned("n", "new", false)},
       0,
       {}},
      {"rolling: an old one that serves nobody waits for its replacement",
       workload(3),
       {owned("a", "old", true), owned("b", "old", false), owned("c", "old", true)},
       1,
       {}},
      {"rolling: old ones that serve nobody go first",
       workload(3),
       {owned("a", "old", true), owned("b", "old", false), owned("c", "old", true), owned("n", "new", true)},
       0,
       {"b"}},
      {"rolling: three old ones that serve nobody do not go at once",
       workload(3),
       {owned("a", "old", false), owned("b", "old", false), owned("c", "old", false)},
       1,
       {}},
      {"rolling with maxUnavailable 1, no surge",
       workload(3, "0", "1"),
       {owned("a", "old", true), owned("b", "old", true), owned("c", "old", true)},
       0,
       {"a"}},
      {"rolling with maxUnavailable 1: the gap is filled",
       workload(3, "0", "1"),
       {owned("b", "old", true), owned("c", "old", true)},
       1,
       {}},
      {"recreate: all old go", recreate, {owned("a", "old", true), owned("b", "old", true)}, 0, {"a", "b"}},
      {"recreate: nothing new before the last is gone", recreate, {old_leaving}, 0, {}},
      {"recreate: then all new", recreate, {}, 2, {}},
      {"paused: no roll-out", paused, {owned("a", "old", true)}, 0, {}},
  };
  for (const auto& c : cases) {
    auto plan = plan_workload(c.w, c.pods, at(10));
    EXPECT_EQ(plan.create, c.create) << c.name;
    EXPECT_EQ(plan.remove, c.remove) << c.name;
  }
}

// Whatever the order of events: never above replicas + surge, never under replicas - unavailable available ones.
TEST(Workload, RollingKeepsItsBounds) {
  for (auto [surge, unavailable] :
       {std::pair{"25%", "25%"}, std::pair{"0", "1"}, std::pair{"2", "0"}, std::pair{"1", "2"}}) {
    auto w = workload(5, surge, unavailable);
    std::vector<OwnedPod> pods;
    for (int i = 0; i < 5; i++) pods.push_back(owned(("o" + std::to_string(i)).c_str(), "old", true));
    int made = 0, turns = 0;
    for (; turns < 100; turns++) {
      auto plan = plan_workload(w, pods, at(10));
      for (const auto& uid : plan.remove) std::erase_if(pods, [&](const auto& p) { return p.uid == uid; });
      for (int i = 0; i < plan.create; i++) pods.push_back(owned(("n" + std::to_string(made++)).c_str(), "new", false));
      auto s = workload_status(w, pods, at(10));
      ASSERT_LE(s.replicas, 5 + w.max_surge.of(5, true));
      ASSERT_GE(s.available, 5 - w.max_unavailable.of(5, false));
      if (s.complete) break;
      for (auto& p : pods)
        if (!p.ready_since) {  // one becomes ready a turn
          p.ready_since = at(2);
          break;
        }
    }
    EXPECT_LT(turns, 100) << surge << " " << unavailable;
    EXPECT_EQ(made, 5);
  }
}

TEST(Workload, MinReadySeconds) {
  auto w = workload(1);
  w.min_ready = seconds(10);
  std::vector<OwnedPod> pods = {owned("o", "old", true), owned("n", "new", true)};
  pods[0].ready_since = at(-100);
  auto plan = plan_workload(w, pods, at(5));
  EXPECT_TRUE(plan.remove.empty());
  EXPECT_EQ(plan.wake, at(11));
  EXPECT_EQ(plan_workload(w, pods, at(11)).remove, std::vector<std::string>{"o"});
}

// ---- env, resources, config
TEST(Age, Text) {
  EXPECT_EQ(age_text(seconds(5)), "5s");
  EXPECT_EQ(age_text(seconds(200)), "3m20s");
  EXPECT_EQ(age_text(seconds(3600 * 5)), "5h");
  EXPECT_EQ(age_text(seconds(86400 * 4)), "4d");
}

}  // namespace
}  // namespace podshim::podlet
