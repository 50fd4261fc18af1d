#include "shim/cni_client/network.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <utility>

namespace podshim::cni {
namespace {

// A plugin as a function: keeps what it was called with and answers as the test says.
class FakePlugins : public PluginRunner {
 public:
  struct Seen {
    std::string type, verb;
    std::map<std::string, std::string> env;
    json::Value config;
  };
  std::map<std::string, PluginAnswer> answers;  // by type; default: an ADD result that counts the plugins before it
  std::vector<Seen> seen;
  std::set<std::string> waiting_ones;  // these types say that they wait for their configuration
  bool deaf = false;                   // VERSION fails
  std::vector<std::string> events;     // "start bridge", "feed bridge", "run bridge", "drop bridge"

  Result<PluginAnswer> run(const PluginCall& call) override {
    events.push_back("run " + call.program.substr(call.program.rfind('/') + 1));
    return answer(call);
  }
  Result<std::unique_ptr<WaitingPlugin>> start(const PluginCall& call) override {
    return std::make_unique<Waiting>(*this, call);
  }

 private:
  class Waiting : public WaitingPlugin {
   public:
    Waiting(FakePlugins& plugins, PluginCall call) : plugins_(plugins), call_(std::move(call)) { note("start"); }
    ~Waiting() override {
      if (call_.input.empty()) note("drop");
    }
    void give(std::string input) override {
      note("feed");
      call_.input = std::move(input);
    }
    Result<PluginAnswer> answer(std::chrono::milliseconds) override { return plugins_.answer(call_); }

   private:
    void note(const std::string& what) {
      plugins_.events.push_back(what + " " + call_.program.substr(call_.program.rfind('/') + 1));
    }
    FakePlugins& plugins_;
    PluginCall call_;
  };

  Result<PluginAnswer> answer(const PluginCall& call) {
    Seen s{.type = call.program.substr(call.program.rfind('/') + 1), .config = json::parse(call.input).value()};
    for (const auto& e : call.environment) s.env[e.substr(0, e.find('='))] = e.substr(e.find('=') + 1);
    s.verb = s.env["CNI_COMMAND"];
    if (s.verb == "VERSION" && deaf) return PluginAnswer{.wait_status = 1 << 8};
    if (s.verb == "VERSION")
      return PluginAnswer{.out = waiting_ones.contains(s.type) ? R"({"podshim.dev/waits-for-config":true})" : "{}"};
    seen.push_back(s);
    if (auto at = answers.find(s.type); at != answers.end()) return at->second;
    return PluginAnswer{.out =
                            R"({"cniVersion":"1.1.0","from":")" + s.type + R"(","ips":[{"address":"10.42.0.5/16"}]})"};
  }
};

class ChainTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "podshim-net-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    for (const char* name : {"bridge", "portmap", "bandwidth"}) {
      std::ofstream(dir_ + "/" + name) << "\177ELF";
      std::filesystem::permissions(dir_ + "/" + name, std::filesystem::perms::owner_all);
    }
    list_ = parse_network(
                R"({"cniVersion":"1.1.0","name":"podshim","plugins":[{"type":"bridge","capabilities":{"ipRanges":true}},
      {"type":"portmap","capabilities":{"portMappings":true}},{"type":"bandwidth","capabilities":{"bandwidth":true}}]})",
                "f")
                .value();
    attachment_ = {.container_id = "id1",
                   .netns = "/run/netns/x",
                   .pod = {.name = "web", .uid = "u1", .name_space = "default"},
                   .ports = {{.container_port = 80, .host_port = 8080, .host_ip = "127.0.0.1"}, {.container_port = 81}},
                   .pod_cidr = "10.42.1.0/24",
                   .bandwidth = {.ingress_rate = 1000000},
                   .drops_netns = true};
    chain_.emplace(plugins_, std::vector<std::string>{dir_ + "/none", dir_}, std::chrono::seconds(5));
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string dir_;
  FakePlugins plugins_;
  std::optional<Network> chain_;
  NetworkList list_;
  Attachment attachment_;
};

TEST_F(ChainTest, AddHandsEachResultToTheNext) {
  auto result = chain_->add(list_, attachment_, {});
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_EQ(result->find("from")->as_string(), "bandwidth");
  ASSERT_EQ(plugins_.seen.size(), 3U);
  EXPECT_EQ(plugins_.seen[0].config.find("prevResult"), nullptr);
  EXPECT_EQ(plugins_.seen[1].config.find("prevResult")->find("from")->as_string(), "bridge");
  EXPECT_EQ(plugins_.seen[2].config.find("prevResult")->find("from")->as_string(), "portmap");
  auto& env = plugins_.seen[0].env;
  EXPECT_EQ(env["CNI_CONTAINERID"], "id1");
  EXPECT_EQ(env["CNI_NETNS"], "/run/netns/x");
  EXPECT_EQ(env["CNI_IFNAME"], "eth0");
  EXPECT_EQ(env["CNI_PATH"], dir_ + "/none:" + dir_);
  EXPECT_EQ(env["CNI_ARGS"],
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=id1;K8S_POD_UID=u1;"
            "podshim.dev/drops-netns=1");
}

TEST_F(ChainTest, EachPluginGetsTheCapabilitiesItDeclares) {
  ASSERT_TRUE(chain_->add(list_, attachment_, {}));
  auto text = [&](int i) { return json::dump(*plugins_.seen[i].config.find("runtimeConfig")); };
  EXPECT_EQ(text(0), R"({"ipRanges":[[{"subnet":"10.42.1.0/24"}]]})");
  EXPECT_EQ(text(1),
            R"({"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp","hostIP":"127.0.0.1"}]})");
  EXPECT_EQ(text(2), R"({"bandwidth":{"ingressRate":1000000,"ingressBurst":2147483647}})");
}

TEST_F(ChainTest, DelGoesBackwardWithTheCachedResultAndSurvivesAFailure) {
  plugins_.answers["portmap"] = {.wait_status = 1 << 8, .out = R"({"code":7,"msg":"no table"})"};
  json::Value cached = json::Value::object().set("cniVersion", "1.1.0");
  auto done = chain_->del(list_, attachment_, cached);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().text().find("portmap"), std::string::npos);
  EXPECT_NE(done.error().text().find("no table (plugin code 7)"), std::string::npos);
  ASSERT_EQ(plugins_.seen.size(), 3U);
  EXPECT_EQ(plugins_.seen[0].type, "bandwidth");
  EXPECT_EQ(plugins_.seen[2].type, "bridge");
  for (const auto& s : plugins_.seen) EXPECT_EQ(*s.config.find("prevResult"), cached);
}

TEST_F(ChainTest, APluginThatWaitsIsStartedWhileTheOneBeforeWorks) {
  using Events = std::vector<std::string>;
  plugins_.waiting_ones = {"bridge", "portmap"};
  auto before = [&] { return std::exchange(plugins_.events, {}); };
  EXPECT_EQ(chain_->start_add(list_, attachment_), nullptr) << "nobody was asked yet";
  ASSERT_TRUE(chain_->status(list_));
  before();
  auto first = chain_->start_add(list_, attachment_);
  EXPECT_EQ(before(), Events({"start bridge"}));
  auto result = chain_->add(list_, attachment_, std::move(first));
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_EQ(before(), Events({"feed bridge", "start portmap", "feed portmap", "run bandwidth"}));
  EXPECT_EQ(plugins_.seen.back().config.find("prevResult")->find("from")->as_string(), "portmap");
  EXPECT_EQ(plugins_.seen.back().env["CNI_NETNS"], "/run/netns/x");
  ASSERT_TRUE(chain_->del(list_, attachment_, *result));
  EXPECT_EQ(before(), Events({"start portmap", "run bandwidth", "feed portmap", "start bridge", "feed bridge"}));
}

TEST_F(ChainTest, AFailureLeavesNoPluginWaiting) {
  plugins_.waiting_ones = {"bridge", "portmap"};
  ASSERT_TRUE(chain_->status(list_));
  plugins_.answers["bridge"] = {.wait_status = 1 << 8, .out = R"({"code":7,"msg":"no table"})"};
  plugins_.events.clear();
  EXPECT_FALSE(chain_->add(list_, attachment_, nullptr));
  EXPECT_EQ(plugins_.events,
            (std::vector<std::string>{"start bridge", "feed bridge", "start portmap", "drop portmap"}));
}

TEST_F(ChainTest, AChangedProgramIsAskedAgainBeforeItIsStartedEarly) {
  plugins_.waiting_ones = {"bridge"};
  ASSERT_TRUE(chain_->status(list_));
  EXPECT_NE(chain_->start_add(list_, attachment_), nullptr);
  std::ofstream(dir_ + "/bridge") << "\177ELF another one";
  EXPECT_EQ(chain_->start_add(list_, attachment_), nullptr);
  ASSERT_TRUE(chain_->status(list_));
  EXPECT_NE(chain_->start_add(list_, attachment_), nullptr);
  std::ofstream(dir_ + "/bridge") << "#!/bin/sh\nflock /run/x bridge.real";
  ASSERT_TRUE(chain_->status(list_));
  EXPECT_EQ(chain_->start_add(list_, attachment_), nullptr) << "a script is not believed";
}

TEST_F(ChainTest, OneThatWaitsIsStartedBesideOneThatDoesNot) {
  plugins_.waiting_ones = {"portmap"};
  ASSERT_TRUE(chain_->status(list_));
  plugins_.events.clear();
  ASSERT_TRUE(chain_->add(list_, attachment_, chain_->start_add(list_, attachment_)));
  EXPECT_EQ(plugins_.events,
            (std::vector<std::string>{"start portmap", "run bridge", "feed portmap", "run bandwidth"}));
}

TEST_F(ChainTest, AVersionThatWasNotAnsweredIsAskedForAgain) {
  plugins_.waiting_ones = {"bridge"};
  plugins_.deaf = true;
  ASSERT_TRUE(chain_->status(list_));
  EXPECT_EQ(chain_->start_add(list_, attachment_), nullptr);
  plugins_.deaf = false;
  ASSERT_TRUE(chain_->status(list_));
  EXPECT_NE(chain_->start_add(list_, attachment_), nullptr);
}

TEST_F(ChainTest, DelOfAnOldListHasNoPrevResult) {
  list_.version = {0, 3, 1};
  ASSERT_TRUE(chain_->del(list_, attachment_, json::Value::object()));
  EXPECT_EQ(plugins_.seen[0].config.find("prevResult"), nullptr);
}

TEST_F(ChainTest, FailuresKeepThePluginsWords) {
  struct Case {
    const char* name;
    PluginAnswer answer;
    const char* want;
  } cases[] = {
      {"error object",
       {.wait_status = 1 << 8,
        .out = R"({"cniVersion":"1.0.0","code":11,"msg":"no free address","details":"10.42.0.0/24"})"},
       "no free address; 10.42.0.0/24 (plugin code 11)"},
      {"words on stderr", {.wait_status = 2 << 8, .err = "panic: boom\n"}, "exit code 2: panic: boom"},
      {"words on stdout", {.wait_status = 2 << 8, .out = "usage: x\n"}, "exit code 2: usage: x"},
      {"silent", {.wait_status = 3 << 8}, "exit code 3, no message"},
      {"signal", {.wait_status = 11}, "ended by signal 11"},
      {"garbage", {.out = "hello"}, "no CNI result: hello"},
      {"no output", {}, "printed no result"},
      {"a list", {.out = "[]"}, "no CNI result"},
  };
  for (const auto& c : cases) {
    plugins_.answers["portmap"] = c.answer;
    auto result = chain_->add(list_, attachment_, {});
    ASSERT_FALSE(result) << c.name;
    EXPECT_EQ(result.error().kind, ErrorKind::unavailable) << c.name;
    EXPECT_NE(result.error().text().find(c.want), std::string::npos) << c.name << ": " << result.error().text();
    EXPECT_NE(result.error().text().find("ADD network podshim"), std::string::npos) << c.name;
  }
}

TEST_F(ChainTest, AResultThatMakesNoSenseFailsTheAdd) {
  plugins_.answers["bandwidth"] = {.out = R"({"cniVersion":"1.1.0","ips":[{"address":"nonsense"}]})"};
  auto result = chain_->add(list_, attachment_, {});
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().text().find("ips[0].address"), std::string::npos);
}

TEST_F(ChainTest, AMissingPluginNamesTheDirectories) {
  list_.plugins[1].type = "nowhere";
  auto result = chain_->add(list_, attachment_, {});
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(ENOENT));
  EXPECT_NE(result.error().text().find("nowhere"), std::string::npos);
  EXPECT_NE(result.error().text().find(dir_), std::string::npos);
}

TEST_F(ChainTest, StatusAndGcAreForLists11) {
  ASSERT_TRUE(chain_->status(list_));
  ASSERT_EQ(plugins_.seen.size(), 3U);
  EXPECT_EQ(plugins_.seen[0].verb, "STATUS");
  EXPECT_FALSE(plugins_.seen[0].env.contains("CNI_CONTAINERID"));
  plugins_.seen.clear();
  ASSERT_TRUE(chain_->gc(list_, {{"id1", "eth0"}}));
  EXPECT_EQ(json::dump(*plugins_.seen[0].config.find("cni.dev/valid-attachments")),
            R"([{"containerID":"id1","ifname":"eth0"}])");
  plugins_.seen.clear();
  list_.version = {1, 0, 0};
  ASSERT_TRUE(chain_->status(list_));
  ASSERT_TRUE(chain_->gc(list_, {}));
  EXPECT_TRUE(plugins_.seen.empty());
}

TEST(CniArgs, NamesThatWouldForgeArgumentsAreRefused) {
  Attachment a{.container_id = "x", .pod = {.name = "web;IP=10.0.0.1"}};
  auto args = cni_args(a);
  ASSERT_FALSE(args);
  EXPECT_EQ(args.error().kind, ErrorKind::invalid_argument);
  EXPECT_NE(args.error().text().find("K8S_POD_NAME"), std::string::npos);
}

TEST(Annotations, BandwidthAndAddresses) {
  auto b = bandwidth_of({{"kubernetes.io/ingress-bandwidth", "10M"}, {"kubernetes.io/egress-bandwidth", "1Gi"}});
  ASSERT_TRUE(b);
  EXPECT_EQ(b->ingress_rate, 10000000);
  EXPECT_EQ(b->egress_rate, 1073741824);
  for (const char* bad : {"", "x", "10X", "1", "-5M", "1e30"})
    EXPECT_FALSE(bandwidth_of({{"kubernetes.io/ingress-bandwidth", bad}})) << bad;
  EXPECT_EQ(wanted_ips({{"podshim.dev/ips", "10.42.0.9,fd00::9"}}).value(),
            (std::vector<std::string>{"10.42.0.9", "fd00::9"}));
  EXPECT_FALSE(wanted_ips({{"podshim.dev/ips", "10.42.0.9,"}}));
}

}  // namespace
}  // namespace podshim::cni
