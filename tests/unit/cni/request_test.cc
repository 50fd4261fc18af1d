// The border of every plugin: environment, configuration, results, failures.
#include "cni/skel/request.h"

#include <gtest/gtest.h>

namespace podshim::cni {
namespace {

std::expected<Request, Failure> call(std::map<std::string, std::string> env, const std::string& text) {
  return decode([&](const char* name) { return env.contains(name) ? env[name].c_str() : nullptr; }, text);
}

std::map<std::string, std::string> full() {
  return {{"CNI_COMMAND", "ADD"},        {"CNI_CONTAINERID", "c1"},
          {"CNI_NETNS", "/run/netns/x"}, {"CNI_IFNAME", "eth0"},
          {"CNI_PATH", "/a:/b:"},        {"CNI_ARGS", "K8S_POD_NAME=p;IP=10.42.0.9;podshim.dev/drops-netns=1;junk"}};
}

constexpr const char* kConf = R"({"cniVersion":"1.0.0","name":"net","type":"bridge"})";

TEST(Request, GoodOneIsDecoded) {
  auto r = call(full(), kConf);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->command, Command::add);
  EXPECT_EQ(r->version, Version::v1_0_0);
  EXPECT_EQ(r->network, "net");
  EXPECT_EQ(r->attachment.str(), "c1/eth0");
  EXPECT_EQ(r->path, (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(r->args.at("ip"), "10.42.0.9");
  EXPECT_TRUE(r->drops_netns());
}

TEST(Request, BadOnesSayWhatAndWhy) {
  struct Case {
    const char* name;
    const char* variable;  // "" = none changed
    const char* value;
    std::string text;
    Code code;
    const char* says;
  };
  const Case cases[] = {
      {"no command", "CNI_COMMAND", "", kConf, Code::invalid_environment, "CNI_COMMAND is missing"},
      {"unknown command", "CNI_COMMAND", "FROB", kConf, Code::invalid_environment, "CNI_COMMAND is unknown"},
      {"no id", "CNI_CONTAINERID", "", kConf, Code::invalid_environment, "CNI_CONTAINERID"},
      {"id with a slash", "CNI_CONTAINERID", "../x", kConf, Code::invalid_environment, "CNI_CONTAINERID"},
      {"no interface", "CNI_IFNAME", "", kConf, Code::invalid_environment, "CNI_IFNAME"},
      {"long interface", "CNI_IFNAME", "abcdefghijklmnop", kConf, Code::invalid_environment, "CNI_IFNAME"},
      {"interface with a slash", "CNI_IFNAME", "a/b", kConf, Code::invalid_environment, "CNI_IFNAME"},
      {"dot", "CNI_IFNAME", "..", kConf, Code::invalid_environment, "CNI_IFNAME"},
      {"no netns", "CNI_NETNS", "", kConf, Code::invalid_environment, "CNI_NETNS"},
      {"no JSON", "", "", "{", Code::decoding_failure, "no JSON"},
      {"a list", "", "", "[]", Code::decoding_failure, "an object is expected"},
      {"old version", "", "", R"({"cniVersion":"0.2.0","name":"n"})", Code::incompatible_version,
       "\"0.2.0\" is not supported"},
      {"no version", "", "", R"({"name":"n"})", Code::incompatible_version, "\"0.1.0\""},
      {"version of another type", "", "", R"({"cniVersion":1,"name":"n"})", Code::decoding_failure, "cniVersion"},
      {"no name", "", "", R"({"cniVersion":"1.0.0"})", Code::invalid_config, "name: is missing"},
      {"name with a slash", "", "", R"({"cniVersion":"1.0.0","name":"a/b"})", Code::invalid_config,
       "name has a character"},
      {"CHECK too old", "CNI_COMMAND", "CHECK", R"({"cniVersion":"0.3.1","name":"n"})", Code::incompatible_version,
       "has no CHECK"},
      {"GC too old", "CNI_COMMAND", "GC", R"({"cniVersion":"1.0.0","name":"n"})", Code::incompatible_version,
       "has no GC"},
      {"STATUS too old", "CNI_COMMAND", "STATUS", kConf, Code::incompatible_version, "has no STATUS"},
  };
  for (const auto& c : cases) {
    auto env = full();
    if (*c.variable != '\0') env[c.variable] = c.value;
    auto r = call(env, c.text);
    ASSERT_FALSE(r) << c.name;
    EXPECT_EQ(r.error().code, c.code) << c.name;
    EXPECT_NE(r.error().message.find(c.says), std::string::npos) << c.name << ": " << r.error().message;
  }
}

TEST(Request, DelNeedsNoNetnsAndVersionNeedsNothing) {
  auto env = full();
  env["CNI_COMMAND"] = "DEL";
  env["CNI_NETNS"] = "";
  EXPECT_TRUE(call(env, kConf));
  EXPECT_TRUE(call({{"CNI_COMMAND", "VERSION"}}, ""));
  EXPECT_TRUE(call({{"CNI_COMMAND", "VERSION"}}, R"({"cniVersion":"9.9.9"})"));
}

TEST(Request, MembersOfRuntimeConfigFoldTheirCase) {
  auto r = call(
      full(),
      R"({"cniVersion":"1.0.0","name":"n","runtimeConfig":{"portMappings":[{"HostPort":1,"hostPort":2,"ContainerPort":3}]}})");
  ASSERT_TRUE(r);
  const auto& item = r->config.find("runtimeConfig")->find("portMappings")->as_array().front();
  EXPECT_EQ(item.find("hostPort")->as_integer(), 2);  // the exact spelling wins
  EXPECT_EQ(item.find("containerPort")->as_integer(), 3);
}

TEST(Result, EveryVersionReadsBackWhatItWrote) {
  AddResult full_result{
      .interfaces = {{.name = "cni0", .mac = "0a:58:0a:2a:00:01", .mtu = 1500},
                     {.name = "eth0", .mac = "0a:58:0a:2a:00:05", .mtu = 1500, .sandbox = "/x"}},
      .ips = {{.address = *Cidr::parse("10.42.0.5/24"), .gateway = *IpAddress::parse("10.42.0.1"), .interface = 1},
              {.address = *Cidr::parse("fd00::5/64")}},
      .routes = {{.dst = *Cidr::parse("0.0.0.0/0"),
                  .gw = *IpAddress::parse("10.42.0.1"),
                  .mtu = 1400,
                  .priority = 10,
                  .table = 100,
                  .scope = 0}},
      .dns = {.nameservers = {"10.43.0.10"}, .domain = "d", .search = {"s"}, .options = {"ndots:5"}}};
  for (std::size_t i = 0; i < kVersionNames.size(); i++) {
    auto version = static_cast<Version>(i);
    auto json = encode(full_result, version);
    auto read = parse_result(json, "result");
    ASSERT_TRUE(read) << read.error().text();
    auto want = full_result;
    if (!results_carry_metrics(version)) {
      for (auto& interface : want.interfaces) interface.mtu = 0;
      want.routes.front() = {.dst = want.routes.front().dst, .gw = want.routes.front().gw};
    }
    EXPECT_EQ(*read, want) << kVersionNames[i];
    EXPECT_EQ(parse_version(kVersionNames[i]), version);
  }
}

TEST(Result, BadFieldsAreNamed) {
  struct Case {
    const char* text;
    const char* says;
  };
  const Case cases[] = {
      {R"({"ips":[{"address":"10.0.0.1"}]})", "prev.ips[0].address"},
      {R"({"ips":[{"address":"10.0.0.1/8","interface":0}]})", "prev.ips[0].interface: 0 is not an index"},
      {R"({"routes":[{"dst":"0.0.0.0/0","gw":"fd00::1"}]})", "prev.routes[0].gw"},
      {R"({"interfaces":[{}]})", "prev.interfaces[0].name"},
      {R"({"dns":{"search":"x"}})", "prev.dns.search"}};
  for (const auto& c : cases) {
    auto r = parse_result(*json::parse(c.text), "prev");
    ASSERT_FALSE(r) << c.text;
    EXPECT_NE(r.error().text().find(c.says), std::string::npos) << r.error().text();
  }
}

TEST(Failure, EveryKindHasACodeAndTheWordsSurvive) {
  for (int i = 0; i <= static_cast<int>(ErrorKind::internal); i++)
    EXPECT_GT(static_cast<int>(code_of(Error::of(static_cast<ErrorKind>(i), "x", "y"))), 0) << i;
  auto f = failure_of(Error::sys("create veth", "veth1", "eth0", EPERM).within("set up the Pod"));
  EXPECT_EQ(
      json::dump(encode(f, "1.0.0")),
      R"({"cniVersion":"1.0.0","code":100,"msg":"create veth veth1 -> eth0: EPERM","details":"while: set up the Pod"})");
}

}  // namespace
}  // namespace podshim::cni
