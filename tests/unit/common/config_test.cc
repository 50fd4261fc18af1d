#include "common/config.h"

#include <gtest/gtest.h>

#include "common/yaml.h"

namespace podshim {
namespace {

Result<Config> decode(const std::string& text) {
  auto documents = TRY(yaml::parse_all(text, "config.yaml"));
  return decode_config(documents.empty() ? json::Value::object() : documents.front(), "config.yaml");
}

TEST(Config, DefaultsAreThoseOfTheDesign) {
  auto c = decode("");
  ASSERT_TRUE(c);
  EXPECT_EQ(c->cluster_cidr.str(), "10.42.0.0/16");
  EXPECT_EQ(c->service_cidr.str(), "10.43.0.0/16");
  EXPECT_EQ(c->node_port_range, (PortRange{30000, 32767}));
  EXPECT_EQ(c->podshim.socket, "/run/podshim/podshim.sock");
}

TEST(Config, EverythingThatIsSetArrives) {
  auto c = decode(
      "cluster-cidr: 10.1.0.0/16\nnode-name: n1\nnode-ip: 192.0.2.1\nnode-port-range: 31000-31999\n"
      "podshim:\n  root: /r\n  log-level: debug\n  pids-limit: 100\n  rlimits: {nofile: {soft: 10, hard: 20}}\n"
      "netproxy: {source: /s}\npodlet: {runtime-endpoint: 'unix:///x.sock'}\n");
  ASSERT_TRUE(c) << c.error().text();
  EXPECT_EQ(c->cluster_cidr.str(), "10.1.0.0/16");
  EXPECT_EQ(c->node_port_range, (PortRange{31000, 31999}));
  EXPECT_EQ(c->podshim.pids_limit, 100);
  EXPECT_EQ(c->podshim.rlimits.at("nofile").hard, 20);
  EXPECT_EQ(c->netproxy.source, "/s");
  EXPECT_EQ(c->podlet.runtime_endpoint, "unix:///x.sock");
}

TEST(Config, ErrorsNameFileLineKeyAndValue) {
  struct Case {
    const char* name;
    const char* text;
    const char* want;
  };
  const Case cases[] = {
      {"unknown key", "node-name: a\nnode-nmae: b\n", "config.yaml:2: node-nmae: is not a known field"},
      {"unknown key in a section", "podshim:\n  rooot: /x\n", "config.yaml:2: podshim.rooot: is not a known field"},
      {"host bits", "cluster-cidr: 10.42.0.1/16\n", "config.yaml:1: cluster-cidr: \"10.42.0.1/16\" has host bits set"},
      {"overlap", "service-cidr: 10.42.9.0/24\n", "config.yaml:1: service-cidr: 10.42.9.0/24 overlaps"},
      {"wrong type", "podshim:\n  socket: 7\n", "config.yaml:2: podshim.socket: is an integer (7)"},
      {"relative", "podshim:\n  root: var\n", "podshim.root: \"var\" is not an absolute path"},
      {"range", "node-port-range: 5-1\n", "node-port-range: \"5-1\""},
      {"level", "netproxy: {log-level: loud}\n", "netproxy.log-level: \"loud\""},
      {"limit", "podshim: {pids-limit: -1}\n", "podshim.pids-limit: -1"},
  };
  for (const auto& c : cases) {
    auto config = decode(c.text);
    ASSERT_FALSE(config) << c.name;
    EXPECT_NE(config.error().text().find(c.want), std::string::npos) << c.name << ": " << config.error().text();
  }
}

TEST(Config, AMissingFileIsTheDefaultsUnlessNamed) {
  EXPECT_TRUE(load_config("/nowhere/config.yaml", false));
  EXPECT_TRUE(load_config("/nowhere/config.yaml", true).error().is(ENOENT));
}

}  // namespace
}  // namespace podshim
