// The table as the kernel has it, read by software that is not ours (nft), and one bad Service among good ones.
#include <algorithm>
#include <sstream>

#include "netproxy/proxy.h"
#include "tests/root/netproxy/net_fixture.h"
#include "tests/support/services.h"

namespace podshim::test {
namespace {

// nft sorts and breaks lists of elements as it likes: one element a line, sorted within its set; the rest as it is.
std::string normal(const std::string& listing) {
  std::istringstream lines(listing);
  std::string out, list;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    auto from = line.find_first_not_of("\t ");
    line = from == std::string::npos ? "" : line.substr(from);
    if (line.starts_with("elements = {")) {
      inside = true;
      line = line.substr(12);
      list.clear();
    }
    if (!inside) {
      out += line + "\n";
      continue;
    }
    list += " " + line;
    if (!line.ends_with("}")) continue;
    inside = false;
    list.pop_back();
    std::vector<std::string> elements;
    std::istringstream parts(list);
    for (std::string e; std::getline(parts, e, ',');) {
      auto first = e.find_first_not_of(' ');
      elements.push_back(e.substr(first, e.find_last_not_of(' ') - first + 1));
    }
    std::ranges::sort(elements);
    for (const auto& e : elements) out += e + "\n";
  }
  return out;
}

class TableTest : public NetTest {
 protected:
  void write_world() {
    write_service({.node_port = 30080});
    write_slice("web", {"10.42.0.2", "10.42.0.3", "10.42.0.4"});
    write_service({.name = "dns", .vip = "10.43.0.10", .protocol = "UDP", .port = 53, .node_port = 30053});
    write_slice("dns", {"10.42.0.5"}, "UDP");
    write_service({.name = "none", .vip = "10.43.0.2"});
  }
};

TEST_F(TableTest, TheKernelListsWhatTheTextSays) {
  write_world();
  auto text = proxy_once("--once --dry-run");
  ASSERT_EQ(text.code, 0) << log();
  ASSERT_EQ(proxy_once("--once").code, 0) << log();
  auto listed = sh("nft list table inet podshim");
  ASSERT_EQ(listed.code, 0) << listed.text;
  EXPECT_EQ(normal(listed.text), normal(text.text));
  // And the text is a table of its own right.
  ASSERT_EQ(sh("nft delete table inet podshim").code, 0);
  ASSERT_EQ(proxy_once("--once --dry-run > " + dir + "/t.nft && nft -f " + dir + "/t.nft").code, 0);
  EXPECT_EQ(normal(sh("nft list table inet podshim").text), normal(text.text));
}

TEST_F(TableTest, NftListsSavesAndLoadsIt) {
  write_world();
  ASSERT_EQ(proxy_once("--once").code, 0) << log();
  auto before = sh("nft list ruleset");
  ASSERT_EQ(before.code, 0);
  auto as_json = sh("nft -j list ruleset");
  ASSERT_EQ(as_json.code, 0);
  auto doc = json::parse(as_json.text);
  ASSERT_TRUE(doc) << doc.error().text();
  std::size_t rules = 0, shown = 0;
  for (const auto& item : doc->find("nftables")->as_array()) rules += item.find("rule") != nullptr ? 1 : 0;
  // Every rule of the text has a counterpart.
  std::istringstream lines(before.text);
  bool chain = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("\tchain "))
      chain = true;
    else if (line == "\t}")
      chain = false;
    else if (chain && line.find("type nat hook") == std::string::npos)
      shown++;
  }
  EXPECT_EQ(rules, shown);
  EXPECT_GT(shown, 25U);
  auto again = sh("nft list table inet podshim > " + dir + "/t.nft; nft flush ruleset; nft -f " + dir +
                  "/t.nft && nft list ruleset");
  ASSERT_EQ(again.code, 0) << again.text;
  EXPECT_EQ(normal(again.text), normal(before.text));
  // Loaded by nft, it still works for us: the next start replaces it.
  ASSERT_EQ(proxy_once("--once").code, 0) << log();
  EXPECT_EQ(normal(sh("nft list ruleset").text), normal(before.text));
}

TEST_F(TableTest, CleanupTakesTheTableAwayTwiceAndNothingElse) {
  write_world();
  ASSERT_EQ(sh("nft add table inet others").code, 0);
  ASSERT_EQ(proxy_once("--once").code, 0);
  EXPECT_EQ(proxy_once("--cleanup").code, 0);
  EXPECT_EQ(sh("nft list ruleset").text, "table inet others {\n}\n");
  EXPECT_EQ(proxy_once("--cleanup").code, 0);
}

TEST_F(TableTest, BadUsageIsTwo) {
  EXPECT_EQ(proxy_once("--cluster-cidr nonsense --once").code, 2);
  EXPECT_EQ(proxy_once("--no-such-flag").code, 2);
  EXPECT_EQ(proxy_once("--dry-run").code, 2) << "only with --once";
  EXPECT_EQ(proxy_once("--config /nonexistent --once").code, 2);
}

TEST_F(TableTest, AProbeFindsNothingLackingAndLeavesNothing) {
  auto kernel = netproxy::Kernel::open();
  ASSERT_TRUE(kernel);
  auto probe = netproxy::render_probe(layout());
  auto outcome = kernel->commit(probe.batch);
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->accepted());
  EXPECT_EQ(sh("nft list ruleset").text, "");
}

TEST_F(TableTest, OneBadServiceIsSetAsideAndTheOthersServe) {
  using namespace netproxy;
  auto kernel = Kernel::open();
  auto conntrack = Conntrack::open();
  ASSERT_TRUE(kernel && conntrack);
  Tracker tracker({});
  Status status("");
  Proxy proxy({.kernel = *kernel, .conntrack = *conntrack, .tracker = tracker, .status = status}, layout(),
              std::nullopt);
  testing::internal::CaptureStderr();
  auto now = Clock::now();
  proxy.rebuild(now);
  // Somebody's element stands where a Service's front has to go: the kernel refuses that one (EEXIST).
  ASSERT_EQ(sh("nft 'add element inet podshim svc_ip { 10.43.0.9 . tcp . 80 : 7000:0 }'").code, 0);
  for (int i = 1; i <= 20; i++) {
    kube::Service s;
    s.meta.name = "s" + std::to_string(i);
    s.cluster_ips = {ip("10.43.0." + std::to_string(i))};
    s.ports = {{.name = "http", .port = 80}};
    tracker.set(s, now);
  }
  proxy.sync(now);
  EXPECT_EQ(proxy.applied().services().size(), 19U);
  EXPECT_EQ(proxy.applied().find("default/s9"), nullptr);
  EXPECT_FALSE(proxy.clean());
  EXPECT_NE(status.text().find("quarantined"), std::string::npos);
  auto wake = proxy.wake_at();
  ASSERT_TRUE(wake);
  // Still there at the first retry; gone at the next.
  proxy.sync(now + std::chrono::seconds(2));
  EXPECT_FALSE(proxy.clean());
  ASSERT_EQ(sh("nft 'delete element inet podshim svc_ip { 10.43.0.9 . tcp . 80 }'").code, 0);
  proxy.sync(now + std::chrono::seconds(3));
  EXPECT_FALSE(proxy.clean()) << "not before its pause is over";
  proxy.sync(now + std::chrono::seconds(5));
  EXPECT_TRUE(proxy.clean());
  EXPECT_EQ(proxy.applied().services().size(), 20U);
  EXPECT_EQ(status.text().find("quarantined"), std::string::npos);
  auto log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("add element inet podshim svc_ip { 10.43.0.9 . tcp . 80 "), std::string::npos)
      << "the batch is logged as text: " << log;
  EXPECT_NE(log.find("Service set aside service=default/s9 tries=1"), std::string::npos) << log;
}

TEST_F(TableTest, ATableThatVanishesUnseenIsBuiltAgainAtTheNextChange) {
  using namespace netproxy;
  auto kernel = Kernel::open();
  auto conntrack = Conntrack::open();
  ASSERT_TRUE(kernel && conntrack);
  Tracker tracker({});
  Status status("");
  Proxy proxy({.kernel = *kernel, .conntrack = *conntrack, .tracker = tracker, .status = status}, layout(),
              std::nullopt);
  testing::internal::CaptureStderr();
  proxy.rebuild(Clock::now());
  ASSERT_EQ(sh("nft flush ruleset").code, 0);
  kube::Service s;
  s.meta.name = "web";
  s.cluster_ips = {ip("10.43.0.1")};
  s.ports = {{.port = 80}};
  tracker.set(s, Clock::now());
  proxy.sync(Clock::now());
  proxy.sync(Clock::now());
  testing::internal::GetCapturedStderr();
  EXPECT_NE(sh("nft list table inet podshim").text.find("10.43.0.1 . tcp . 80 comment \"default/web\" : 7000:0"),
            std::string::npos);
}

}  // namespace
}  // namespace podshim::test
