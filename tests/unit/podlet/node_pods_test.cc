// Single Pods: restarts, failures, probes, changed specs.
#include "node_rig.h"

namespace podshim::podlet {
namespace {

TEST(Node, CrashLoopBacksOffAndResets) {
  Machine m;
  m.write("one.yaml", kSingle);
  Rig r(m);
  r.settle();
  auto crash = [&] {
    m.runtime.exit(m.runtime.running("main"), 1);
    r.run(seconds(1));
  };
  crash();
  EXPECT_EQ(m.runtime.count_running(), 1);  // the first restart is at once
  crash();
  EXPECT_EQ(m.runtime.count_running(), 0);
  EXPECT_EQ(r.first().status.word, "CrashLoopBackOff");
  r.run(seconds(8));
  EXPECT_EQ(m.runtime.count_running(), 0);
  r.run(seconds(2));
  EXPECT_EQ(m.runtime.count_running(), 1);
  EXPECT_EQ(r.first().status.restarts, 2u);
  r.run(seconds(700), seconds(20));
  crash();
  EXPECT_EQ(m.runtime.count_running(), 1);  // it ran for ten minutes: begun anew
}

TEST(Node, ImageThatIsNotThere) {
  Machine m;
  std::string text = kSingle;
  text.replace(text.find("probe:1"), 7, "none:1");
  m.write("one.yaml", text);
  Rig r(m);
  r.settle();
  EXPECT_EQ(r.first().status.word, "ImagePullBackOff");
  EXPECT_EQ(r.first().status.restarts, 0u);
  m.runtime.images.insert("none:1");
  r.run(seconds(11));
  EXPECT_EQ(m.runtime.count_running(), 1);
  EXPECT_EQ(r.first().status.restarts, 0u);
}

TEST(Node, SandboxThatCannotBeMadeIsRetried) {
  Machine m;
  m.write("one.yaml", kSingle);
  m.runtime.sandbox_error = "no free address";
  Rig r(m);
  r.settle();
  EXPECT_NE(r.first().status.message.find("no free address"), std::string::npos);
  EXPECT_EQ(r.first().status.word, "ContainerCreating");
  m.runtime.sandbox_error.clear();
  r.run(seconds(1));
  EXPECT_EQ(m.runtime.count_running(), 1);
}

// The next attempt to make its sandbox may be 32 s away: a deletion does not wait for it.
TEST(Node, APodWhoseSandboxFailsIsDeletedAtOnce) {
  Machine m;
  m.write("one.yaml", kSingle);
  m.runtime.sandbox_error = "no free address";
  Rig r(m);
  r.run(seconds(40));
  ASSERT_EQ(r.node.pods().size(), 1u);
  EXPECT_GT(r.first().held.at(kRunSandboxHold), m.clock.now() + seconds(2));
  m.remove("one.yaml");
  r.node.rescan();
  r.settle();
  EXPECT_TRUE(r.node.pods().empty());
}

TEST(Node, LivenessKillsAndRestarts) {
  Machine m;
  m.write("one.yaml",
          std::string(kSingle).replace(std::string(kSingle).find("\"probe:1\""), 9,
                                       "\"probe:1\", livenessProbe: {exec: {command: [check]}, periodSeconds: 1}"));
  Rig r(m);
  m.runtime.exec = [](const CriContainer& c, const std::vector<std::string>&) {
    return CriExec{.err = "bad", .exit_code = c.attempt == 0 ? 1 : 0};
  };
  r.run(seconds(4));
  EXPECT_EQ(std::ranges::count(m.runtime.log, "stop main 30"), 1);
  EXPECT_EQ(m.runtime.count_running(), 1);
  EXPECT_EQ(r.first().status.restarts, 1u);
  bool told = false;
  for (const auto& e : r.node.events().all())
    told = told || (e.reason == "Killing" && e.message.find("exit code 1: bad") != std::string::npos);
  EXPECT_TRUE(told);
}

// As a kubelet: podIP of a Pod on the host's network is the node's, for everybody who asks.
TEST(Node, HostNetworkHasTheNodesAddress) {
  Machine m;
  m.write("one.yaml", R"(
apiVersion: v1
kind: Pod
metadata: {name: one, labels: {app: web}}
spec:
  hostNetwork: true
  containers:
  - name: main
    image: "probe:1"
    env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]
    readinessProbe: {tcpSocket: {port: 80}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
)");
  m.runtime.keeps_addresses = false;
  Rig r(m);
  std::string probed;
  r.prober.answer = [&](const ProbeTarget& t) {
    probed = t.address.str();
    return ProbeResult{.outcome = ProbeOutcome::success};
  };
  r.settle();
  EXPECT_EQ(probed, "192.0.2.1");
  EXPECT_EQ(r.ready_addresses(), std::vector<std::string>{"192.0.2.1"});
  ASSERT_EQ(m.runtime.configs.size(), 1u);
  EXPECT_EQ(m.runtime.configs.begin()->second.envs.back(), (std::pair<std::string, std::string>("IP", "192.0.2.1")));
  EXPECT_NE(r.get("Pod", "wide").find("192.0.2.1"), std::string::npos) << r.get("Pod", "wide");
  EXPECT_NE(r.get("Pod", "json").find("\"podIP\": \"192.0.2.1\""), std::string::npos) << r.get("Pod", "json");
  EXPECT_NE(describe_view(r.node, {.kind = "Pod"})->find("IP:               192.0.2.1"), std::string::npos);
}

// Exit codes and timeouts are the container's; every other error of ExecSync is the runtime's.
TEST(Node, ARuntimeThatIsAwayFailsNoProbe) {
  std::string text = kSingle;
  text.replace(text.find("\"probe:1\""), 9,
               "\"probe:1\", livenessProbe: {exec: {command: [check]}, periodSeconds: 2}, readinessProbe: {exec: "
               "{command: [check]}, periodSeconds: 2}");
  for (auto kind : {ErrorKind::unavailable, ErrorKind::not_found, ErrorKind::failed_precondition, ErrorKind::os,
                    ErrorKind::internal, ErrorKind::deadline_exceeded}) {
    Machine m;
    m.write("one.yaml", text);
    Rig r(m);
    r.run(seconds(4));
    ASSERT_TRUE(r.first().status.ready);
    m.runtime.down = kind == ErrorKind::unavailable;
    m.runtime.exec_error = kind;
    r.run(seconds(9));
    bool late = kind == ErrorKind::deadline_exceeded;
    EXPECT_EQ(r.first().status.ready, !late) << static_cast<int>(kind);
    m.runtime.down = false;
    m.runtime.exec_error.reset();
    r.run(seconds(4));
    EXPECT_TRUE(r.first().status.ready) << static_cast<int>(kind);
    EXPECT_EQ(r.first().status.restarts, late ? 1u : 0u) << static_cast<int>(kind);
    bool told = false;
    for (const auto& e : r.node.events().all())
      told = told || (e.reason == "Unhealthy" && e.message.starts_with("main: Liveness probe errored: "));
    EXPECT_EQ(told, !late) << static_cast<int>(kind);
  }
}

TEST(Node, ChangedSpecMakesThePodAnewLabelsDoNot) {
  Machine m;
  m.write("one.yaml", kSingle);
  Rig r(m);
  r.settle();
  auto uid = r.first().record.uid;
  std::string text = kSingle;
  m.write("one.yaml", std::string(text).replace(text.find("{name: one}"), 11, "{name: one, labels: {a: b}}"));
  r.node.rescan();
  r.settle();
  EXPECT_EQ(r.first().record.uid, uid);
  EXPECT_EQ(r.first().record.pod.meta.labels.at("a"), "b");
  m.write("one.yaml", text.replace(text.find("probe:1"), 7, "busybox:1"));
  r.node.rescan();
  r.settle();
  ASSERT_EQ(r.node.pods().size(), 1u);
  EXPECT_NE(r.first().record.uid, uid);
  EXPECT_EQ(m.runtime.containers.begin()->second.image, "busybox:1");
}

TEST(Node, FinishedPodsKeepTheirStatus) {
  Machine m;
  m.write("job.yaml",
          "apiVersion: v1\nkind: Pod\nmetadata: {name: job}\nspec: {restartPolicy: Never, containers: [{name: main, "
          "image: 'probe:1'}]}\n");
  Rig r(m);
  r.settle();
  m.runtime.exit(m.runtime.running("main"), 0);
  r.run(seconds(3));
  EXPECT_EQ(r.first().status.phase, PodPhase::succeeded);
  EXPECT_EQ(r.first().status.word, "Completed");
  EXPECT_FALSE(m.runtime.sandboxes.begin()->second.ready);
  EXPECT_NE(r.get("Pod").find("0/1     Completed"), std::string::npos) << r.get("Pod");
}

std::string with(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

// Every thread that starts containers hangs: what happens to the others is seen all the same.
TEST(Node, HangingStartsDoNotBlindTheLoop) {
  Machine m;
  m.write("one.yaml", with(kSingle, "spec:", "spec:\n  restartPolicy: Never"));
  Rig r(m);
  r.settle();
  std::vector<Lane> lanes;
  r.executor.on_submit = [&](Lane lane) { lanes.push_back(lane); };
  r.executor.hanging = {Lane::work, Lane::slow, Lane::stop};
  m.runtime.exit(m.runtime.running("main"), 0);
  r.run(seconds(2));
  EXPECT_EQ(r.first().status.word, "Completed");
  r.executor.hanging.clear();
  r.settle();
  lanes.clear();
  m.write("two.yaml", with(with(kSingle, "name: one", "name: two"), "\"probe:1\"",
                           "\"probe:1\", lifecycle: {postStart: {exec: {command: [hook]}}}"));
  r.node.rescan();
  r.settle();
  EXPECT_EQ(std::ranges::count(lanes, Lane::slow), 1);  // a start that may hang has its own threads
}

// Deleted while its image is pulled, or before a thread was free for that: nothing is waited for and nothing started.
TEST(Node, ADeletedPodGivesItsPullUp) {
  for (bool begun : {true, false}) {
    Machine m;
    m.runtime.registry = {"far:1"};
    m.write("far.yaml", with(kSingle, "probe:1", "far:1"));
    Rig r(m);
    r.executor.hanging = {Lane::slow};
    r.settle();
    ASSERT_EQ(r.node.pods().size(), 1u);
    auto remove = [&] {
      m.remove("far.yaml");
      r.node.rescan();
      r.node.step();
    };
    if (begun) {
      m.runtime.on_pull = remove;
      r.executor.hanging.clear();
    } else {
      remove();
    }
    r.settle();
    EXPECT_EQ(std::ranges::count(m.runtime.log, "pull far:1"), begun ? 1 : 0);
    EXPECT_TRUE(r.node.pods().empty()) << begun;
    EXPECT_TRUE(m.runtime.containers.empty()) << begun;
    EXPECT_TRUE(m.runtime.sandboxes.empty()) << begun;
    r.executor.hanging.clear();
    r.settle();  // what a thread takes up too late
    EXPECT_TRUE(m.runtime.containers.empty()) << begun;
    EXPECT_EQ(std::ranges::count(m.runtime.log, "pull far:1"), begun ? 1 : 0);
  }
}

// A pull may take minutes: it is found out where starts are fast, and done where nobody waits.
TEST(Node, PullingHoldsNobodyUp) {
  Machine m;
  m.runtime.registry = {"far:1"};
  m.write("far.yaml", with(with(kSingle, "name: one", "name: far"), "probe:1", "far:1"));
  Rig r(m);
  r.executor.hanging = {Lane::slow};
  r.settle();
  EXPECT_EQ(std::ranges::count(m.runtime.log, "pull far:1"), 0);
  m.write("one.yaml", kSingle);
  r.node.rescan();
  r.settle();
  EXPECT_EQ(m.runtime.count_running(), 1);
  r.executor.hanging.clear();
  r.settle();
  EXPECT_EQ(m.runtime.count_running(), 2);
  EXPECT_EQ(std::ranges::count(m.runtime.log, "pull far:1"), 1);
  // The image went meanwhile: the first restart is at once all the same.
  auto crash = [&] {
    for (const auto& [id, c] : m.runtime.containers) {
      if (c.image != "far:1" || c.state != CriState::running) continue;
      m.runtime.exit(id, 1);
      break;
    }
    r.run(seconds(1));
  };
  m.runtime.images.erase("far:1");
  crash();
  EXPECT_EQ(std::ranges::count(m.runtime.log, "pull far:1"), 2);
  EXPECT_EQ(m.runtime.count_running(), 2);
  // Always: pulled at every start.
  m.write("far.yaml", with(with(with(kSingle, "name: one", "name: far"), "probe:1", "far:1"), "\"far:1\"",
                           "\"far:1\", imagePullPolicy: Always"));
  r.node.rescan();
  r.settle();
  EXPECT_EQ(std::ranges::count(m.runtime.log, "pull far:1"), 3);
  crash();
  EXPECT_EQ(std::ranges::count(m.runtime.log, "pull far:1"), 4);
  EXPECT_EQ(m.runtime.count_running(), 2);
}

// As the kubelet: a group without a user goes beside the image's user.
TEST(Node, GroupWithoutUser) {
  struct Case {
    const char* name;
    CriImage image;
    std::optional<std::int64_t> user;
    const char* username;
  };
  const Case cases[] = {{"no user in the image", {.id = "i"}, 0, ""},
                        {"a number", {.id = "i", .uid = 1003}, 1003, ""},
                        {"a name", {.id = "i", .username = "www-data"}, std::nullopt, "www-data"}};
  for (const auto& c : cases) {
    Machine m;
    m.write("one.yaml", with(kSingle, "spec:", "spec:\n  securityContext: {runAsGroup: 33}"));
    m.runtime.users["probe:1"] = c.image;
    Rig r(m);
    r.settle();
    ASSERT_EQ(m.runtime.configs.size(), 1u) << c.name;
    const auto& config = m.runtime.configs.begin()->second;
    EXPECT_EQ(config.run_as_group, 33) << c.name;
    EXPECT_EQ(config.run_as_user, c.user) << c.name;
    EXPECT_EQ(config.run_as_username, c.username) << c.name;
    EXPECT_FALSE(sandbox_config(r.first().record, 0, {}).run_as_group) << c.name;  // the sandbox has no image
  }
}

// Told with the file and the line that its author knows, not those of podlet's copy.
TEST(Node, AnUnknownFieldOfAnAppliedObject) {
  Machine m;
  Rig r(m);
  auto text = with(kSingle, "spec:", "spec:\n  hostNetwrok: true");
  auto answer = r.ask(json::Value().set("verb", "apply").set("text", text).set("file", "/home/me/one.yaml"));
  r.settle();
  const std::string want = "/home/me/one.yaml:6: spec.hostNetwrok: is not a known field here, ignored";
  EXPECT_NE(answer.find("output")->as_string().find("warning: " + want), std::string::npos) << json::dump(answer);
  std::vector<std::string> told;
  for (const auto& e : r.node.events().all())
    if (e.reason == "UnknownField") told.push_back(e.message);
  EXPECT_EQ(told, std::vector<std::string>{want});
}

// Several names of one kind go together: none waits for the grace period of another.
TEST(Node, SeveralNamesAreDeletedTogether) {
  Machine m;
  Rig r(m);
  for (const char* name : {"name: one", "name: two", "name: three"})
    ASSERT_EQ(r.ask(json::Value().set("verb", "apply").set("text", with(kSingle, "name: one", name))).find("error"),
              nullptr);
  r.settle();
  ASSERT_EQ(m.runtime.count_running(), 3);
  auto names = json::Value::strings({"one", "nobody", "two"});
  auto answer = r.ask(json::Value().set("verb", "delete").set("kind", "pod").set("names", std::move(names)));
  EXPECT_EQ(answer.find("output")->as_string(), "pod \"one\" deleted\npod \"two\" deleted\n");
  ASSERT_NE(answer.find("error"), nullptr);
  EXPECT_NE(answer.find("error")->as_string().find("nobody"), std::string::npos) << json::dump(answer);
  EXPECT_EQ(answer.find("exit")->as_integer(), 1);
  ASSERT_EQ(r.node.pods().size(), 1u);
  EXPECT_EQ(r.first().record.pod.meta.name, "three");
}

// `get -o name` is kubectl's, group and all, and what it prints can be given back.
TEST(Node, NamesArePrintedAsKubectlDoesAndAreTaken) {
  Machine m;
  Rig r(m);
  auto apply = [&](const std::string& text) {
    auto answer = r.ask(json::Value().set("verb", "apply").set("text", text));
    EXPECT_EQ(answer.find("error"), nullptr) << json::dump(answer);
  };
  apply(kSingle);
  apply(kWeb);
  apply(
      "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: set}\nspec:\n  replicas: 0\n"
      "  selector: {matchLabels: {app: set}}\n  template:\n    metadata: {labels: {app: set}}\n"
      "    spec: {containers: [{name: main, image: \"probe:1\"}]}\n");
  apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {a: b}\n");
  apply("apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {a: b}\n");
  r.settle();
  struct Case {
    const char* kind;
    std::string want;
  };
  const Case cases[] = {{"Pod", "pod/one"},
                        {"Deployment", "deployment.apps/web"},
                        {"ReplicaSet", "replicaset.apps/set"},
                        {"Service", "service/web"},
                        {"Endpoints", "endpoints/web"},
                        {"EndpointSlice", "endpointslice.discovery.k8s.io/web-0"},
                        {"ConfigMap", "configmap/conf"},
                        {"Secret", "secret/key"}};
  json::Value get;
  get.set("verb", "get").set("output", "name");
  for (const auto& c : cases) {
    const std::string printed = r.get(c.kind, "name");
    EXPECT_NE(("\n" + printed).find("\n" + c.want + "\n"), std::string::npos) << c.kind << ": " << printed;
    auto again = r.ask(json::Value(get).set("kind", c.want));
    EXPECT_EQ(again.find("output")->as_string(), c.want + "\n") << json::dump(again);
  }
  for (auto [kind, name] : {std::pair{"pod/one", "two"}, std::pair{"pod", "pod/one"}, std::pair{"pod/", ""},
                            std::pair{"pod/one", "pod/two"}, std::pair{"podz/one", ""}}) {
    auto answer = r.ask(json::Value(get).set("kind", kind).set("name", name));
    EXPECT_EQ(answer.find("exit")->as_integer(), 2) << kind << " " << name << ": " << json::dump(answer);
  }
  auto page = r.ask(json::Value().set("verb", "describe").set("kind", "deployment.apps/web"));
  EXPECT_NE(page.find("output")->as_string().find("Replicas"), std::string::npos) << json::dump(page);
  auto log = r.ask(json::Value().set("verb", "logs").set("name", "pod/one"));
  EXPECT_NE(log.find("path"), nullptr) << json::dump(log);
  EXPECT_EQ(r.ask(json::Value().set("verb", "logs").set("name", "service/web")).find("exit")->as_integer(), 2);
  auto ran =
      r.ask(json::Value().set("verb", "exec").set("name", "po/one").set("command", json::Value::strings({"true"})));
  EXPECT_EQ(ran.find("error"), nullptr) << json::dump(ran);
  EXPECT_EQ(r.ask(json::Value().set("verb", "events").set("output", "name")).find("exit")->as_integer(), 2);
  auto gone = r.ask(
      json::Value().set("verb", "delete").set("kind", "pod/one").set("names", json::Value::strings({"deploy/web"})));
  EXPECT_EQ(gone.find("output")->as_string(), "pod \"one\" deleted\ndeployment \"web\" deleted\n") << json::dump(gone);
  EXPECT_TRUE(r.node.pods().empty());
}

TEST(Node, EveryDeleteKeepsTheGracePeriod) {
  json::Value request;
  request.set("verb", "delete").set("namespace", "default").set("grace", 3);
  auto by_kind = request, by_file = request, all = request;
  by_kind.set("kind", "deployment").set("name", "web");
  by_file.set("text", kWeb).set("file", "web.yaml");
  all.set("all", true);
  for (const auto& one : {by_kind, by_file, all}) {
    Machine m;
    Rig r(m);
    r.settle();
    ASSERT_EQ(r.ask(json::Value().set("verb", "apply").set("text", kWeb).set("file", "w")).find("error"), nullptr);
    r.settle();
    ASSERT_EQ(m.runtime.count_running(), 3);
    auto answer = r.ask(one);
    EXPECT_EQ(answer.find("error"), nullptr) << json::dump(answer);
    EXPECT_EQ(std::ranges::count(m.runtime.log, "stop main 3"), 3) << json::dump(one);
    EXPECT_TRUE(m.runtime.sandboxes.empty());
  }
}

}  // namespace
}  // namespace podshim::podlet
