// Endpoints: who is in, who leaves, and in which order with the containers.
#include "node_rig.h"

namespace podshim::podlet {
namespace {

TEST(Node, ReadinessMovesTheEndpointAtOnce) {
  Machine m;
  m.write("web.yaml", kWeb);
  Rig r(m);
  r.settle();
  std::string sick = r.ready_addresses().at(0);
  r.prober.answer = [&](const ProbeTarget& t) {
    return t.address.str() == sick ? ProbeResult{.message = "HTTP 503"} : ProbeResult{.outcome = ProbeOutcome::success};
  };
  m.clock.advance(seconds(1));
  r.settle();
  EXPECT_EQ(r.ready_addresses().size(), 2u);
  auto page = describe_view(r.node, {.kind = "Service", .name = "web", .name_space = "default"});
  ASSERT_TRUE(page);
  EXPECT_EQ(page->find(sick), std::string::npos);
  r.prober.answer = [](const ProbeTarget&) { return ProbeResult{.outcome = ProbeOutcome::success}; };
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
  Rig r(m, status);
  r.settle();
  for (bool answer : {true, false}) {
    kernel_has(status, r.ready_addresses());
    m.runtime.log.clear();
    r.node.delete_pod(r.first().record.uid, std::nullopt, "test");
    r.settle();
    EXPECT_EQ(std::ranges::count(m.runtime.log, "stop main 30"), 0);
    if (answer) kernel_has(status, {});
    m.clock.advance(answer ? milliseconds(2) : milliseconds(200));
    r.settle();
    EXPECT_EQ(std::ranges::count(m.runtime.log, "stop main 30"), 1) << answer;
  }
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

// publishNotReadyAddresses: the address stays while the Pod ends, so nobody is waited for; it goes with the containers.
TEST(Node, APublishedPodStaysWhileItEnds) {
  Machine m;
  std::string text = kWeb;
  text.replace(text.find("type: NodePort"), 14, "publishNotReadyAddresses: true");
  m.write("web.yaml", text);
  auto status = (m.dir.path / "netproxy-status.json").string();
  Rig r(m, status);
  r.settle();
  auto gone = r.first();
  auto address = gone.status.ips.at(0);
  kernel_has(status, r.ready_addresses());
  bool checked = false;
  m.runtime.on_stop = [&](const CriContainer&) {
    checked = true;
    auto slice = *json::parse(slice_file(m));
    for (const auto& e : slice.find("endpoints")->as_array()) {
      if (e.find("addresses")->as_array()[0].as_string() != address) continue;
      EXPECT_EQ(json::dump(*e.find("conditions")), R"({"ready":true,"serving":true,"terminating":true})");
    }
  };
  r.node.delete_pod(gone.record.uid, std::nullopt, "test");
  r.settle();  // the clock stands: it did not wait for netproxy
  EXPECT_TRUE(checked);
  EXPECT_EQ(slice_file(m).find(address), std::string::npos);
}

const char* kKinds = R"(
apiVersion: v1
kind: Service
metadata: {name: balanced}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{port: 80}]
  externalIPs: [192.0.2.7]
  externalTrafficPolicy: Local
  internalTrafficPolicy: Local
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}
  loadBalancerSourceRanges: [192.0.2.0/24]
status: {loadBalancer: {ingress: [{ip: 198.51.100.99}]}}
---
apiVersion: v1
kind: Service
metadata: {name: elsewhere}
spec: {type: LoadBalancer, loadBalancerClass: example.com/lb, selector: {app: web}, ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: 198.51.100.98}]}}
---
apiVersion: v1
kind: Service
metadata: {name: heads}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: outside}
spec: {type: ExternalName, externalName: db.example.com}
)";

// A refused change of a living Service changes nothing, wherever it comes from.
TEST(Node, TheClusterAddressOfALivingServiceStays) {
  Machine m;
  Rig r(m);
  auto text = [](const char* spec) {
    return std::string("apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {") + spec +
           ", selector: {app: web}, ports: [{port: 80}]}\n";
  };
  auto apply = [&](const char* spec) {
    auto answer = r.ask(json::Value().set("verb", "apply").set("text", text(spec)).set("file", "web.yaml"));
    r.settle();
    return answer;
  };
  EXPECT_EQ(apply("clusterIP: 10.43.0.50").find("error"), nullptr);
  auto before = service_file(m);
  EXPECT_NE(before.find("10.43.0.50"), std::string::npos) << before;
  auto applied = sys::read_file(m.dir.path / "state" / "objects" / "Service_default_web.json").value_or("");
  auto answer = apply("clusterIP: 10.43.0.51");
  ASSERT_NE(answer.find("error"), nullptr);
  EXPECT_EQ(answer.find("exit")->as_integer(), 1);
  const std::string why = "spec.clusterIPs[0]: Invalid value: [\"10.43.0.51\"]: may not change once set";
  EXPECT_NE(answer.find("output")->as_string().find(why), std::string::npos) << answer.find("output")->as_string();
  EXPECT_EQ(service_file(m), before);
  EXPECT_EQ(sys::read_file(m.dir.path / "state" / "objects" / "Service_default_web.json").value_or(""), applied);
  EXPECT_EQ(apply("type: NodePort").find("error"), nullptr) << "the rest may change";
  EXPECT_NE(service_file(m).find("10.43.0.50"), std::string::npos);
  // Deleted and made anew it may have another; from a file the refusal is an event and stands in describe.
  ASSERT_EQ(r.ask(json::Value().set("verb", "delete").set("kind", "service").set("name", "web")).find("error"),
            nullptr);
  r.settle();
  m.write("web.yaml", text("clusterIP: 10.43.0.52"));
  r.node.rescan();
  r.settle();
  before = service_file(m);
  EXPECT_NE(before.find("10.43.0.52"), std::string::npos) << before;
  m.write("web.yaml", text("clusterIP: 10.43.0.51, type: ClusterIP"));
  r.node.rescan();
  r.settle();
  EXPECT_EQ(service_file(m), before);
  auto page = describe_view(r.node, {.kind = "Service", .name = "web", .name_space = "default"}).value_or("");
  EXPECT_NE(page.find(why), std::string::npos) << page;
  Rig again(m);  // and after a restart
  again.settle();
  EXPECT_EQ(service_file(m), before);
}

// Wishes of a Service that is refused are not shown as if it were served, and its Pods are not to blame.
TEST(Node, ARefusedServiceSaysSo) {
  Machine m;
  m.write("a.yaml", std::string(kWeb) + R"(
---
apiVersion: v1
kind: Service
metadata: {name: first}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: 30080}]}
---
apiVersion: v1
kind: Service
metadata: {name: second}
spec:
  type: NodePort
  clusterIP: 10.43.0.99
  externalIPs: [192.0.2.7]
  selector: {app: web}
  ports: [{port: 80, nodePort: 30080}]
)");
  Rig r(m);
  r.settle();
  auto page = describe_view(r.node, {.kind = "Service", .name = "second", .name_space = "default"}).value_or("");
  EXPECT_NE(page.find("Refused:          "), std::string::npos) << page;
  EXPECT_NE(page.find("30080"), std::string::npos) << page;
  EXPECT_NE(page.find("IP:               <refused>"), std::string::npos) << page;
  EXPECT_EQ(page.find("10.43.0.99"), std::string::npos) << page;
  EXPECT_EQ(page.find("none is ready"), std::string::npos) << page;
  auto list = r.get("Service");
  EXPECT_EQ(list.find("10.43.0.99"), std::string::npos) << list;
  EXPECT_EQ(list.find("192.0.2.7"), std::string::npos) << list;
  auto line = list.substr(list.find("second"));
  EXPECT_NE(line.substr(0, line.find('\n')).find("<refused>"), std::string::npos) << list;
}

// Every field reaches the services directory; status is what podlet gave, not what the manifest says.
TEST(Node, ServicesOfEveryKind) {
  Machine m;
  m.write("kinds.yaml", kKinds);
  Rig r(m);
  r.settle();
  auto read = [&](const std::string& name) {
    auto text = sys::read_file(m.dir.path / "services" / ("service_default_" + name + ".json"));
    EXPECT_TRUE(text) << name;
    auto value = *json::parse(text.value_or("{}"));
    kube::Unknowns unknowns;
    auto out = kube::decode_service(*json::Reader::of(value), unknowns);
    EXPECT_TRUE(out) << name << ": " << out.error().text();
    return *out;
  };
  auto balanced = read("balanced");
  ASSERT_EQ(balanced.load_balancer_ips.size(), 1u);
  auto vip = balanced.load_balancer_ips[0].str();
  EXPECT_TRUE(vip.starts_with("203.0.113.")) << vip;
  EXPECT_EQ(balanced.external_ips.at(0).str(), "192.0.2.7");
  EXPECT_EQ(balanced.external_policy, kube::TrafficPolicy::local);
  EXPECT_EQ(balanced.internal_policy, kube::TrafficPolicy::local);
  EXPECT_EQ(balanced.affinity_seconds, 60);
  EXPECT_EQ(balanced.source_ranges.at(0).str(), "192.0.2.0/24");
  EXPECT_NE(balanced.ports[0].node_port, 0);
  EXPECT_NE(balanced.health_check_node_port, 0);
  EXPECT_TRUE(read("heads").headless);
  EXPECT_EQ(read("outside").external_name, "db.example.com");
  EXPECT_TRUE(read("elsewhere").load_balancer_ips.empty());
  auto list = r.get("Service");
  for (const auto& cell : {vip + ",192.0.2.7 ", std::string("<pending> "), std::string("db.example.com ")})
    EXPECT_NE(list.find(cell), std::string::npos) << cell << "\n" << list;
  EXPECT_NE(r.get("Service", "yaml").find("ip: " + vip), std::string::npos) << r.get("Service", "yaml");
  auto page = [&](const char* name) {
    return describe_view(r.node, {.kind = "Service", .name = name, .name_space = "default"}).value_or("");
  };
  EXPECT_NE(page("elsewhere").find("<pending> (loadBalancerClass example.com/lb is another implementation's)"),
            std::string::npos)
      << page("elsewhere");
  EXPECT_NE(page("balanced").find("External Traffic Policy:  Local\n"), std::string::npos) << page("balanced");
  EXPECT_NE(page("balanced").find("Session Affinity:  ClientIP (60s)\n"), std::string::npos) << page("balanced");
  Rig again(m);
  again.settle();
  EXPECT_EQ(read("balanced").load_balancer_ips[0].str(), vip);  // kept over a restart
}

}  // namespace
}  // namespace podshim::podlet
