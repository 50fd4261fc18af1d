// The whole loop over fakes: one machine of fakes, and podlet's loop on it. Test addresses: Pods 10.42.0.0/16, Services
// 10.43.0.0/16, load balancers 203.0.113.0/29, the node 192.0.2.1.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <future>

#include "common/sys/file.h"
#include "fakes.h"
#include "podlet/commands.h"

namespace podshim::podlet {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline const char* const kWeb = R"(
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
    NodeOptions o{.ranges = {.service_cidr = *Cidr::parse("10.43.0.0/16"),
                             .cluster_dns = *IpAddress::parse("10.43.0.10"),
                             .load_balancer_pool = *Cidr::parse("203.0.113.0/29")},
                  .services_dir = m.dir.path / "services",
                  .resolv_conf = m.dir.path / "resolv.conf",
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
  // What `podlet VERB` would ask; the loop turns meanwhile.
  json::Value ask(const json::Value& request) {
    Commands commands(node);
    auto answer = std::async(std::launch::async, [&] { return commands.handle(request); });
    while (answer.wait_for(milliseconds(1)) != std::future_status::ready) settle();
    return answer.get();
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

// netproxy's status file: what the kernel sends to, for the Service web.
inline void kernel_has(const std::string& status_file, const std::vector<std::string>& addresses) {
  auto list = json::Value::array();
  for (const auto& a : addresses) list.push(a + ":8080");
  auto port = json::Value::object().set("http", std::move(list));
  auto service = json::Value::object().set("endpoints", std::move(port));
  auto services = json::Value::object().set("default/web", std::move(service));
  auto text = json::dump(json::Value::object().set("services", std::move(services)));
  ASSERT_TRUE(sys::write_file_atomic(status_file, text));
}

inline std::string service_file(const Machine& m) {
  return sys::read_file(m.dir.path / "services" / "service_default_web.json").value_or("");
}
inline std::string slice_file(const Machine& m) {
  return sys::read_file(m.dir.path / "services" / "endpointslice_default_web-0.json").value_or("");
}

inline const char* const kSingle = R"(
apiVersion: v1
kind: Pod
metadata: {name: one}
spec:
  containers: [{name: main, image: "probe:1"}]
)";

}  // namespace podshim::podlet
