// Deployments and their files: up, scaled, rolled, removed, broken, drained.
#include "node_rig.h"

namespace podshim::podlet {
namespace {

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

TEST(Node, DrainLeavesNothing) {
  Machine m;
  m.write("web.yaml", kWeb);
  m.write("one.yaml", kSingle);
  Rig r(m);
  r.settle();
  r.node.drain(std::nullopt);
  r.run(seconds(2));
  EXPECT_TRUE(r.node.drained());
  EXPECT_TRUE(m.runtime.sandboxes.empty());
  EXPECT_EQ(service_file(m), "");
}

}  // namespace
}  // namespace podshim::podlet
