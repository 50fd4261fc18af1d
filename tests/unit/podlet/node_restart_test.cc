// podlet started anew: it adopts what is there and takes over what was under way.
#include "node_rig.h"

namespace podshim::podlet {
namespace {

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
  again.prober.answer = [](const ProbeTarget&) { return ProbeResult{.outcome = ProbeOutcome::success}; };
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

// What the former podlet told netproxy is known to the new one: its first deletions wait for the kernel too.
TEST(Node, PodletRestartedStillWaitsForNetproxy) {
  Machine m;
  m.write("web.yaml", kWeb);
  auto status = (m.dir.path / "netproxy-status.json").string();
  {
    Rig r(m, status);
    r.settle();
    kernel_has(status, r.ready_addresses());
  }
  Rig again(m, status);
  EXPECT_EQ(again.ready_addresses().size(), 3u);  // from the services directory, before anything was looked at
  again.node.delete_pod(again.first().record.uid, std::nullopt, "test");
  again.settle();
  EXPECT_EQ(std::ranges::count(m.runtime.log, "stop main 30"), 0);
  kernel_has(status, {});
  m.clock.advance(milliseconds(2));
  again.settle();
  EXPECT_EQ(std::ranges::count(m.runtime.log, "stop main 30"), 1);
}

// A bad change of a running Service is told and changes nothing, also for a podlet started anew.
TEST(Node, ARefusedChangeLeavesTheServiceAsItWas) {
  Machine m;
  m.write("web.yaml", kWeb);
  std::string service;
  auto same = [&](Rig& r) {
    EXPECT_EQ(service_file(m), service);
    EXPECT_EQ(r.ready_addresses().size(), 3u);
    auto page = describe_view(r.node, {.kind = "Service", .name = "web", .name_space = "default"}).value_or("");
    EXPECT_NE(page.find("spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. "
                        "The range of valid ports is 30000-32767; what was accepted before is still served"),
              std::string::npos)
        << page;
  };
  {
    Rig r(m);
    r.settle();
    service = service_file(m);
    ASSERT_NE(service, "");
    std::string bad = kWeb;
    bad.replace(bad.find("{port: 80,"), 10, "{nodePort: 80, port: 8080,");
    m.write("web.yaml", bad);
    r.node.rescan();
    r.settle();
    same(r);
  }
  Rig again(m);
  again.settle();
  same(again);
  m.write("web.yaml", kWeb);
  again.node.rescan();
  again.settle();
  EXPECT_EQ(service_file(m), service);
  EXPECT_TRUE(again.node.allocation().refused.empty());
  m.remove("web.yaml");
  again.node.rescan();
  again.settle();
  EXPECT_EQ(service_file(m), "");
}

}  // namespace
}  // namespace podshim::podlet
