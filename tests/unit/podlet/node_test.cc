// The whole loop over fakes: a Deployment's life, restarts, Services, deletion, a restart of podlet.
#include <gtest/gtest.h>

#include <fstream>

#include "common/sys/file.h"
#include "fakes.h"
#include "podlet/commands.h"

namespace podshim::podlet {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const char* kWeb = R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: main
        image: probe:1
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 1, failureThreshold: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
)";

// One machine of fakes; a second Rig over the same directory is podlet started anew.
struct Machine {
  TempDir dir;
  FakeClock clock;
  FakeRuntime runtime{clock};
  Machine() { std::filesystem::create_directories(dir.path / "manifests"); }
  void write(const std::string& name, const std::string& text) { std::ofstream(dir.path / "manifests" / name) << text; }
  void remove(const std::string& name) { std::filesystem::remove(dir.path / "manifests" / name); }
};

struct Rig {
  explicit Rig(Machine& machine, const std::string& netproxy_status = "")
      : m(machine),
        source(m.dir.path / "manifests", m.dir.path / "state" / "objects"),
        node(options(machine, netproxy_status), m.runtime, executor, prober, m.clock, source, [] {}) {
    EXPECT_TRUE(node.load());
  }
  static NodeOptions options(Machine& m, const std::string& status) {
    NodeOptions o{.service_cidr = *Cidr::parse("10.43.0.0/16"),
                  .cluster_dns = *IpAddress::parse("10.43.0.10"),
                  .services_dir = m.dir.path / "services",
                  .netproxy_status = status};
    o.facts = {.node_name = "n1", .node_ips = {"192.0.2.1"}, .state_dir = m.dir.path / "state", .podlet_id = "abc123"};
    return o;
  }
  // Turns until nothing is left to do at this moment.
  void settle() {
    for (int i = 0; i < 200; i++) {
      auto next = node.step();
      bool worked = executor.run_all();
      if (!worked && next > m.clock.now()) return;
    }
    FAIL() << "the loop does not settle";
  }
  void run(Duration d, Duration step = milliseconds(500)) {
    for (auto end = m.clock.now() + d; m.clock.now() < end; m.clock.advance(step)) settle();
    settle();
  }
  std::vector<std::string> ready_addresses(const std::string& service = "web") const {
    std::vector<std::string> out;
    for (const auto& s : node.slices())
      for (const auto& e : s.endpoints)
        if (s.service_name == service && e.ready) out.push_back(e.addresses[0].str());
    return out;
  }
  const PodEntry& first() const { return node.pods().begin()->second; }
  std::string get(const std::string& kind, const std::string& output = "") {
    return *get_view(node, {.kind = kind, .name_space = "default", .output = output});
  }
  Machine& m;
  FakeExecutor executor;
  FakeProber prober;
  ObjectSource source;
  Node node;
};

std::string service_file(const Machine& m) {
  return sys::read_file(m.dir.path / "services" / "service_default_web.json").value_or("");
}
std::string slice_file(const Machine& m) {
  return sys::read_file(m.dir.path / "services" / "endpointslice_default_web-0.json").value_or("");
}

TEST(Node, DeploymentComesUpBehindItsService) {
  Machine m;
  m.write("web.yaml", kWeb);
  Rig r(m);
  r.settle();
  EXPECT_EQ(m.runtime.count_running(), 3);
  EXPECT_EQ(r.ready_addresses().size(), 3u);
  EXPECT_NE(service_file(m).find("\"nodePort\":3"), std::string::npos) << service_file(m);
  EXPECT_NE(slice_file(m).find("\"port\":8080"), std::string::npos);
  auto pods = r.get("Pod", "wide");
  EXPECT_NE(pods.find("1/1     Running"), std::string::npos) << pods;
  EXPECT_NE(r.get("Deployment").find("web    3/3     3            3"), std::string::npos) << r.get("Deployment");
}

TEST(Node, ReadinessMovesTheEndpointAtOnce) {
  Machine m;
  m.write("web.yaml", kWeb);
  Rig r(m);
  r.settle();
  std::string sick = r.ready_addresses().at(0);
  r.prober.answer = [&](const ProbeTarget& t) {
    return t.address.str() == sick ? ProbeResult{.message = "HTTP 503"} : ProbeResult{.success = true};
  };
  m.clock.advance(seconds(1));
  r.settle();
  EXPECT_EQ(r.ready_addresses().size(), 2u);
  auto page = describe_view(r.node, {.kind = "Service", .name = "web", .name_space = "default"});
  ASSERT_TRUE(page);
  EXPECT_EQ(page->find(sick), std::string::npos);
  r.prober.answer = [](const ProbeTarget&) { return ProbeResult{.success = true}; };
  m.clock.advance(seconds(1));
  r.settle();
  EXPECT_EQ(r.ready_addresses().size(), 3u);
  EXPECT_EQ(m.runtime.log.size(), 6u);  // three sandboxes, three starts: nothing was restarted
}

TEST(Node, ADeletedPodLeavesTheSliceBeforeItIsStoppedAndIsReplaced) {
  Machine m;
  m.write("web.yaml", kWeb);
  Rig r(m);
  r.settle();
  auto uid = r.first().record.uid;
  auto address = r.first().status.ips.at(0);
  bool checked = false;
  m.runtime.on_stop = [&](const CriContainer&) {
    checked = true;
    auto slice = *json::parse(slice_file(m));
    for (const auto& e : slice.find("endpoints")->as_array()) {
      bool ready = e.find("conditions")->find("ready")->as_bool();
      bool mine = e.find("addresses")->as_array()[0].as_string() == address;
      EXPECT_FALSE(ready && mine) << "the endpoint is still there when the container is stopped";
    }
  };
  r.node.delete_pod(uid, seconds(5), "test");
  r.settle();
  EXPECT_TRUE(checked);
  EXPECT_EQ(m.runtime.count_running(), 3);
  EXPECT_FALSE(r.node.pods().contains(uid));
  auto now = r.ready_addresses();
  EXPECT_EQ(now.size(), 3u);
  EXPECT_EQ(std::ranges::count(now, address), 0);
  EXPECT_EQ(std::ranges::count(m.runtime.log, "stop main 5"), 1);
}

TEST(Node, DeletionWaitsForNetproxyButNotForever) {
  Machine m;
  m.write("web.yaml", kWeb);
  auto status = (m.dir.path / "netproxy-status.json").string();
  auto kernel_has = [&](const std::vector<std::string>& addresses) {
    auto list = json::Value::array();
    for (const auto& a : addresses) list.push(a + ":8080");
    auto port = json::Value::object().set("http", std::move(list));
    auto service = json::Value::object().set("endpoints", std::move(port));
    auto services = json::Value::object().set("default/web", std::move(service));
    auto text = json::dump(json::Value::object().set("services", std::move(services)));
    ASSERT_TRUE(sys::write_file_atomic(status, text));
  };
  Rig r(m, status);
  r.settle();
  for (bool answer : {true, false}) {
    kernel_has(r.ready_addresses());
    m.runtime.log.clear();
    r.node.delete_pod(r.first().record.uid, std::nullopt, "test");
    r.settle();
    EXPECT_EQ(std::ranges::count(m.runtime.log, "stop main 30"), 0);
    if (answer) kernel_has({});
    m.clock.advance(answer ? milliseconds(2) : milliseconds(200));
    r.settle();
    EXPECT_EQ(std::ranges::count(m.runtime.log, "stop main 30"), 1) << answer;
  }
}

TEST(Node, PodletRestartedAdoptsEverything) {
  Machine m;
  m.write("web.yaml", kWeb);
  std::string service;
  std::set<std::string> uids;
  {
    Rig r(m);
    r.settle();
    service = service_file(m);
    for (const auto& [uid, e] : r.node.pods()) uids.insert(uid);
  }
  auto log = m.runtime.log;
  auto slice = slice_file(m);
  Rig again(m);
  again.prober.answer = [](const ProbeTarget&) { return ProbeResult{.success = true}; };
  again.node.step();  // before the runtime was looked at: the slices stay
  EXPECT_EQ(slice_file(m), slice);
  again.settle();
  EXPECT_EQ(m.runtime.log, log);
  EXPECT_EQ(service_file(m), service);
  EXPECT_EQ(slice_file(m), slice);
  for (const auto& [uid, e] : again.node.pods()) EXPECT_TRUE(uids.contains(uid));
  EXPECT_EQ(again.ready_addresses().size(), 3u);
}

TEST(Node, PodletRestartedWhileTheRuntimeIsDownChangesNothing) {
  Machine m;
  m.write("web.yaml", kWeb);
  {
    Rig r(m);
    r.settle();
  }
  auto slice = slice_file(m);
  m.runtime.down = true;
  Rig again(m);
  again.run(seconds(5));
  EXPECT_EQ(slice_file(m), slice);
  EXPECT_NE(again.node.runtime_error(), "");
  m.runtime.down = false;
  again.run(seconds(2));
  EXPECT_EQ(again.ready_addresses().size(), 3u);
  EXPECT_EQ(m.runtime.count_running(), 3);
}

TEST(Node, ScaleRollAndRemove) {
  Machine m;
  m.write("web.yaml", kWeb);
  Rig r(m);
  r.settle();
  std::string text = kWeb;
  text.replace(text.find("replicas: 3"), 11, "replicas: 5");
  m.write("web.yaml", text);
  r.node.rescan();
  r.settle();
  EXPECT_EQ(m.runtime.count_running(), 5);
  text.replace(text.find("image: probe:1"), 14, "image: busybox:1");
  m.write("web.yaml", text);
  r.node.rescan();
  int lowest = 5;
  for (int i = 0; i < 400; i++) {
    r.node.step();
    r.executor.run_all();
    lowest = std::min(lowest, static_cast<int>(r.ready_addresses().size()));
    m.clock.advance(milliseconds(50));
  }
  EXPECT_GE(lowest, 4);  // maxUnavailable 25% of 5, rounded down
  for (const auto& [id, c] : m.runtime.containers) EXPECT_EQ(c.image, "busybox:1");
  EXPECT_EQ(m.runtime.count_running(), 5);
  m.remove("web.yaml");
  r.node.rescan();
  r.settle();
  EXPECT_TRUE(m.runtime.sandboxes.empty());
  EXPECT_TRUE(r.node.pods().empty());
  EXPECT_EQ(service_file(m), "");
  EXPECT_EQ(slice_file(m), "");
  EXPECT_TRUE(std::filesystem::is_empty(m.dir.path / "state" / "pods"));
}

TEST(Node, BrokenFileChangesNothing) {
  Machine m;
  m.write("web.yaml", kWeb);
  Rig r(m);
  r.settle();
  m.write("web.yaml", "apiVersion: [");
  r.node.rescan();
  r.settle();
  EXPECT_EQ(m.runtime.count_running(), 3);
  EXPECT_EQ(r.node.events().all().back().reason, "BadManifest");
  std::string bad = kWeb;
  bad.replace(bad.find("replicas: 3"), 11, "replicas: x");
  m.write("web.yaml", bad);
  r.node.rescan();
  r.settle();
  EXPECT_EQ(m.runtime.count_running(), 3);  // the last good version of the one bad object
}

const char* kSingle = R"(
apiVersion: v1
kind: Pod
metadata: {name: one}
spec:
  containers: [{name: main, image: "probe:1"}]
)";

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

TEST(Node, LivenessKillTakesTheEndpointOutFirst) {
  Machine m;
  std::string text = kWeb;
  text.replace(text.find("readinessProbe:"), 15,
               "livenessProbe: {exec: {command: [check]}, failureThreshold: 1}\n        readinessProbe:");
  m.write("web.yaml", text);
  Rig r(m);
  r.settle();
  ASSERT_EQ(r.ready_addresses().size(), 3u);
  auto sick = r.first().record.pod.meta.name;
  bool checked = false;
  r.executor.on_submit = [&](Lane lane) {
    if (lane != Lane::stop) return;
    checked = true;
    auto slice = *json::parse(slice_file(m));
    for (const auto& e : slice.find("endpoints")->as_array()) {
      bool mine = e.find("targetRef")->find("name")->as_string() == sick;
      EXPECT_EQ(e.find("conditions")->find("ready")->as_bool(), !mine);
    }
  };
  m.runtime.exec = [&](const CriContainer& c, const std::vector<std::string>&) {
    return CriExec{.exit_code = c.labels.at("io.kubernetes.pod.name") == sick && c.attempt == 0 ? 1 : 0};
  };
  r.run(seconds(11));
  EXPECT_TRUE(checked);
  EXPECT_EQ(r.ready_addresses().size(), 3u);
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

TEST(Node, OrphansOfOursAreRemovedOthersAreNot) {
  Machine m;
  for (const char* id : {"abc123", "other"})
    ASSERT_TRUE(m.runtime.run_sandbox({.name = id,
                                       .uid = id,
                                       .labels = {{"io.kubernetes.pod.uid", id}},
                                       .annotations = {{"podshim.dev/podlet", id}}}));
  Rig r(m);
  r.run(seconds(3));
  ASSERT_EQ(m.runtime.sandboxes.size(), 1u);
  EXPECT_EQ(m.runtime.sandboxes.begin()->second.name, "other");
}

TEST(Node, DrainLeavesNothing) {
  Machine m;
  m.write("web.yaml", kWeb);
  m.write("one.yaml", kSingle);
  Rig r(m);
  r.settle();
  r.node.drain();
  r.run(seconds(2));
  EXPECT_TRUE(r.node.drained());
  EXPECT_TRUE(m.runtime.sandboxes.empty());
  EXPECT_EQ(service_file(m), "");
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

}  // namespace
}  // namespace podshim::podlet
