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

// Every kind of set, chain and rule there is, in both families.
class WideTableTest : public TableTest {
 protected:
  void SetUp() override {
    TableTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    write_world();
    write_service({.name = "front",
                   .vip = "10.43.0.20",
                   .node_port = 30090,
                   .vip6 = "2001:db8:43::20",
                   .load_balancer = {"203.0.113.10", "2001:db8:f::10"},
                   .external = {"203.0.113.20"},
                   .ranges = {"192.0.2.0/24", "198.51.100.7/32", "0.0.0.0/1", "2001:db8::/64"},
                   .external_local = true});
    write_slice("front", {"10.42.0.7", "10.42.9.8"}, "TCP", {{"10.42.0.7", "node"}, {"10.42.9.8", "other"}});
    write_slice("front", {"2001:db8:42::7"});
    write_service({.name = "cart",
                   .vip = "10.43.0.21",
                   .node_port = 30091,
                   .external = {"203.0.113.11"},
                   .internal_local = true,
                   .affinity = 10800});
    write_slice("cart", {"10.42.0.7", "10.42.9.8"}, "TCP", {{"10.42.0.7", "node"}, {"10.42.9.8", "other"}});
    write_service({.name = "away",
                   .vip = "10.43.0.22",
                   .node_port = 30092,
                   .load_balancer = {"203.0.113.12"},
                   .external_local = true,
                   .affinity = 93784});
    write_slice("away", {"10.42.9.8"}, "TCP", {{"10.42.9.8", "other"}});
  }
};

TEST_F(WideTableTest, TheKernelListsWhatTheTextSaysAndNftSavesAndLoadsIt) {
  const std::string node = " --node-name node --cluster-cidr 10.42.0.0/16,2001:db8:42::/48";
  auto text = proxy_once("--once --dry-run" + node);
  ASSERT_EQ(text.code, 0) << log();
  ASSERT_EQ(proxy_once("--once" + node).code, 0) << log();
  auto listed = sh("nft list ruleset");
  ASSERT_EQ(listed.code, 0) << listed.text;
  EXPECT_EQ(normal(listed.text), normal(text.text));
  auto again =
      sh("nft list ruleset > " + dir + "/t.nft; nft flush ruleset; nft -f " + dir + "/t.nft && nft list ruleset");
  ASSERT_EQ(again.code, 0) << again.text;
  EXPECT_EQ(normal(again.text), normal(text.text));
  // In JSON, nft 1.0.6 shows the update of a map as a string, and says so on stderr.
  auto as_json = sh("nft -j list ruleset 2>/dev/null");
  ASSERT_EQ(as_json.code, 0);
  EXPECT_NE(as_json.text.find("update @aff_ip_10800 { ip saddr . ct original ip daddr"), std::string::npos);
  auto doc = json::parse(as_json.text);
  ASSERT_TRUE(doc) << doc.error().text();
  std::size_t rules = 0, shown = 0;
  for (const auto& item : doc->find("nftables")->as_array()) {
    if (const auto* rule = item.find("rule"); rule != nullptr) {
      rules++;
      EXPECT_FALSE(rule->find("expr")->as_array().empty()) << json::dump(*rule);
    }
  }
  std::istringstream lines(listed.text);
  bool chain = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("\tchain ") || line == "\t}")
      chain = line != "\t}";
    else if (chain && line.find("type nat hook") == std::string::npos)
      shown++;
  }
  EXPECT_EQ(rules, shown);
  // The next start replaces what nft loaded.
  ASSERT_EQ(proxy_once("--once" + node).code, 0) << log();
  EXPECT_EQ(normal(sh("nft list ruleset").text), normal(text.text));
}

// nft 1.0.6 lists the IPv6 form of the rule that remembers; what it cannot do is load it (docs/nftables.md).
TEST_F(WideTableTest, AffinityOverIPv6IsListed) {
  write_service({.name = "six", .vip = "10.43.0.30", .vip6 = "2001:db8:43::30", .affinity = 60});
  write_slice("six", {"2001:db8:42::7"});
  ASSERT_EQ(proxy_once("--once").code, 0) << log();
  auto listed = sh("nft list ruleset");
  ASSERT_EQ(listed.code, 0) << listed.text;
  EXPECT_NE(listed.text.find("update @aff_ip6_60 { ip6 saddr . ct original ip6 daddr . meta l4proto . ct original "
                             "proto-dst : ip6 daddr . ct reply proto-src } return"),
            std::string::npos);
  EXPECT_EQ(sh("nft -j list ruleset").code, 0);
  // The two ways round that docs/nftables.md names: both load, and a start puts back what the file has not.
  const char* const saves[] = {
      "nft list ruleset | sed '/update @aff_ip6_/d'",
      "nft list tables | grep -vx 'table inet podshim' | while read -r _ f t; do nft list table \"$f\" \"$t\"; done",
  };
  ASSERT_EQ(sh("nft add table inet others").code, 0);
  for (const char* save : saves) {
    auto loaded = sh(std::string(save) + " > " + dir + "/t.nft; nft flush ruleset; nft -f " + dir + "/t.nft");
    EXPECT_EQ(loaded.code, 0) << save << ": " << loaded.text;
    EXPECT_EQ(sh("nft list table inet others").code, 0) << save;
    ASSERT_EQ(proxy_once("--once").code, 0) << log();
    EXPECT_EQ(normal(sh("nft list table inet podshim").text), normal(listed.text)) << save;
  }
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

// A Proxy in this process, on a Tracker of the test's.
class ProxyTest : public TableTest {
 protected:
  void SetUp() override {
    TableTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    kernel = netproxy::Kernel::open();
    conntrack = netproxy::Conntrack::open();
    health = netproxy::HealthServer::open(layout(), 10);
    ASSERT_TRUE(kernel && conntrack && health);
    proxy.emplace(
        netproxy::Proxy::Parts{
            .kernel = *kernel, .conntrack = *conntrack, .tracker = tracker, .status = told, .health = &*health},
        layout(), std::nullopt);
  }
  Result<netproxy::Kernel> kernel = fail(Error());
  Result<netproxy::Conntrack> conntrack = fail(Error());
  Result<netproxy::HealthServer> health = fail(Error());
  netproxy::Tracker tracker{netproxy::NodeFacts{}};
  netproxy::Status told{""};
  std::optional<netproxy::Proxy> proxy;
};

TEST_F(ProxyTest, OneBadServiceIsSetAsideAndTheOthersServe) {
  using namespace netproxy;
  testing::internal::CaptureStderr();
  auto now = Clock::now();
  proxy->rebuild(now);
  // Somebody's element stands where a Service's front has to go: the kernel refuses that one (EEXIST).
  ASSERT_EQ(sh("nft 'add element inet podshim svc_ip { 10.43.0.9 . tcp . 80 : 7000:0 }'").code, 0);
  for (int i = 1; i <= 20; i++) {
    kube::Service s;
    s.meta.name = "s" + std::to_string(i);
    s.cluster_ips = {ip("10.43.0." + std::to_string(i))};
    s.ports = {{.name = "http", .port = 80}};
    tracker.set(s, now);
  }
  proxy->sync(now);
  EXPECT_EQ(proxy->applied().services().size(), 19U);
  EXPECT_EQ(proxy->applied().find("default/s9"), nullptr);
  EXPECT_FALSE(proxy->clean());
  EXPECT_NE(told.text().find("quarantined"), std::string::npos);
  auto wake = proxy->wake_at();
  ASSERT_TRUE(wake);
  // Still there at the first retry; gone at the next.
  proxy->sync(now + std::chrono::seconds(2));
  EXPECT_FALSE(proxy->clean());
  ASSERT_EQ(sh("nft 'delete element inet podshim svc_ip { 10.43.0.9 . tcp . 80 }'").code, 0);
  proxy->sync(now + std::chrono::seconds(3));
  EXPECT_FALSE(proxy->clean()) << "not before its pause is over";
  proxy->sync(now + std::chrono::seconds(5));
  EXPECT_TRUE(proxy->clean());
  EXPECT_EQ(proxy->applied().services().size(), 20U);
  EXPECT_EQ(told.text().find("quarantined"), std::string::npos);
  auto log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("add element inet podshim svc_ip { 10.43.0.9 . tcp . 80 "), std::string::npos)
      << "the batch is logged as text: " << log;
  EXPECT_NE(log.find("Service set aside service=default/s9 tries=1"), std::string::npos) << log;
}

// A packet that looked up the old table may write what it chose after the batch that took its endpoint away.
TEST_F(ProxyTest, AClientRememberedAfterTheChangeIsForgottenAtTheSecondLook) {
  using namespace netproxy;
  testing::internal::CaptureStderr();
  kube::Service s;
  s.meta.name = "web";
  s.cluster_ips = {ip("10.43.0.1")};
  s.ports = {{.name = "p", .port = 80}};
  s.affinity_seconds = 60;
  kube::EndpointSlice slice;
  slice.meta.name = "web-1";
  slice.service_name = "web";
  slice.ports = {{.name = "p", .port = 8080}};
  slice.endpoints = {{.addresses = {ip("10.42.0.2")}}, {.addresses = {ip("10.42.0.3")}}};
  auto now = Clock::now();
  tracker.set(s, now);
  tracker.set(slice, now);
  proxy->rebuild(now);
  auto remember = [](const char* client, const char* endpoint) {
    return sh(std::string("nft 'add element inet podshim aff_ip_60 { ") + client +
              " . 10.43.0.1 . tcp . 80 : " + endpoint + " . 8080 }'")
        .code;
  };
  auto remembered = [](const char* endpoint) {
    return sh("nft list map inet podshim aff_ip_60").text.find(std::string(" : ") + endpoint) != std::string::npos;
  };
  ASSERT_EQ(remember("10.42.0.100", "10.42.0.2"), 0);
  ASSERT_EQ(remember("10.42.0.101", "10.42.0.3"), 0);
  slice.endpoints.pop_back();
  tracker.set(slice, now);
  proxy->sync(now);
  EXPECT_FALSE(remembered("10.42.0.3")) << "in the batch of the change";
  EXPECT_TRUE(remembered("10.42.0.2"));
  ASSERT_EQ(remember("10.42.0.102", "10.42.0.3"), 0);
  auto due = proxy->wake_at();
  ASSERT_TRUE(due);
  EXPECT_LT(*due - now, std::chrono::seconds(1));
  proxy->sync(*due);
  EXPECT_FALSE(remembered("10.42.0.3")) << "at the second look";
  EXPECT_TRUE(remembered("10.42.0.2"));
  testing::internal::GetCapturedStderr();
}

// Somebody changes the table in the turn in which a Service goes.
TEST_F(ProxyTest, ARebuildTellsOfServicesThatWent) {
  using namespace netproxy;
  testing::internal::CaptureStderr();
  auto now = Clock::now();
  kube::Service s{.type = kube::ServiceType::load_balancer};
  s.meta.name = "web";
  s.cluster_ips = {ip("10.43.0.1")};
  s.ports = {{.name = "p", .protocol = kube::Protocol::udp, .port = 53, .node_port = 30053}};
  s.external_policy = kube::TrafficPolicy::local;
  s.health_check_node_port = 31000;
  tracker.set(s, now);
  kube::EndpointSlice slice;
  slice.meta.name = "web-1";
  slice.service_name = "web";
  slice.ports = {{.name = "p", .protocol = kube::Protocol::udp, .port = 53}};
  slice.endpoints = {{.addresses = {ip("10.42.0.2")}}};
  tracker.set(slice, now);
  proxy->rebuild(now);
  EXPECT_NE(ask_tcp("127.0.0.1", 31000, 1).error, ECONNREFUSED);
  EXPECT_NE(told.text().find("default/web"), std::string::npos);
  ASSERT_EQ(sh("conntrack -I -p udp -s 192.0.2.100 -d 192.0.2.1 --sport 4000 --dport 30053 -t 600 "
               "--dst-nat 10.42.0.2:53")
                .code,
            0);
  tracker.remove_service("default/web", now);
  proxy->foreign_change(now);
  EXPECT_EQ(ask_tcp("127.0.0.1", 31000, 1).error, ECONNREFUSED);
  EXPECT_EQ(told.text().find("default/web"), std::string::npos) << told.text();
  EXPECT_EQ(sh("conntrack -L -p udp --orig-port-dst 30053 2>/dev/null").text, "") << "its UDP flows went too";
  testing::internal::GetCapturedStderr();
}

// The kernel tells of a flush in several messages, and the first may be read and answered before the others are there.
TEST_F(ProxyTest, AFlushThatIsToldInPartsCountsOnce) {
  using namespace netproxy;
  testing::internal::CaptureStderr();
  auto watch = Watch::open(kernel->port());
  ASSERT_TRUE(watch);
  proxy.emplace(Proxy::Parts{.kernel = *kernel,
                             .watch = &*watch,
                             .conntrack = *conntrack,
                             .tracker = tracker,
                             .status = told,
                             .health = &*health},
                layout(), std::nullopt);
  auto listed = [] { return sh("nft list table inet podshim").code == 0; };
  auto flush = [] { return sh("nft flush ruleset").code; };
  const auto now = Clock::now();
  auto change_a_service = [&](const char* address) {
    kube::Service s;
    s.meta.name = "web";
    s.cluster_ips = {ip(address)};
    s.ports = {{.port = 80}};
    tracker.set(s, now);
    proxy->sync(now);
  };
  proxy->rebuild(now);
  ASSERT_EQ(flush(), 0);
  EXPECT_EQ(watch->read().value_or(Watch::Seen::lost), Watch::Seen::foreign) << "or this tests nothing";
  proxy->foreign_change(now);
  for (int i = 2; i <= 4; i++) {
    ASSERT_EQ(flush(), 0);
    if (i == 3) {  // our own batch notices first
      change_a_service("10.43.0.1");
      EXPECT_FALSE(listed());
    }
    proxy->foreign_change(now);  // for the first part; the others wait
    proxy->sync(now);
    EXPECT_TRUE(listed()) << "at once, flush " << i;
    EXPECT_EQ(watch->read().value_or(Watch::Seen::lost), Watch::Seen::nothing) << "the others, flush " << i;
  }
  ASSERT_EQ(flush(), 0);
  for (int part = 1; part <= 3; part++) proxy->foreign_change(now);
  change_a_service("10.43.0.2");  // refused: it notices, too
  EXPECT_FALSE(listed()) << "the fifth in a row waits";
  const auto due = now + std::chrono::seconds(1);
  proxy->sync(due);
  EXPECT_TRUE(listed()) << "one pause for all of its parts";
  EXPECT_EQ(watch->read().value_or(Watch::Seen::lost), Watch::Seen::nothing);
  // The sixth: the pause has grown by one step.
  ASSERT_EQ(flush(), 0);
  proxy->foreign_change(due);
  proxy->sync(due + std::chrono::seconds(1));
  EXPECT_FALSE(listed());
  proxy->sync(due + std::chrono::seconds(2));
  EXPECT_TRUE(listed());
  testing::internal::GetCapturedStderr();
}

TEST_F(ProxyTest, ATableThatVanishesUnseenIsBuiltAgainAtTheNextChange) {
  using namespace netproxy;
  testing::internal::CaptureStderr();
  proxy->rebuild(Clock::now());
  ASSERT_EQ(sh("nft flush ruleset").code, 0);
  kube::Service s;
  s.meta.name = "web";
  s.cluster_ips = {ip("10.43.0.1")};
  s.ports = {{.port = 80}};
  tracker.set(s, Clock::now());
  proxy->sync(Clock::now());
  proxy->sync(Clock::now());
  testing::internal::GetCapturedStderr();
  EXPECT_NE(sh("nft list table inet podshim").text.find("10.43.0.1 . tcp . 80 comment \"default/web\" : 7000:0"),
            std::string::npos);
}

}  // namespace
}  // namespace podshim::test
