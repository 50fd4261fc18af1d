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
  EXPECT_EQ(c->cluster_dns.str(), "10.43.0.10");
  EXPECT_FALSE(c->podlet.load_balancer_pool);
  EXPECT_EQ(c->podshim.metrics_port, 0);
}

TEST(Config, EverythingThatIsSetArrives) {
  auto c = decode(
      "cluster-cidr: 10.1.0.0/16\nnode-name: n1\nnode-ip: 192.0.2.1\nnode-port-range: 31000-31999\n"
      "podshim:\n  root: /r\n  log-level: debug\n  pids-limit: 100\n  rlimits: {nofile: {soft: 10, hard: 20}}\n"
      "  metrics: {address: '::1', port: 9477}\n"
      "  streaming: {address: 192.0.2.1, port: 10010, idle-timeout-seconds: 60}\n"
      "netproxy: {source: /s, node-port-addresses: [192.0.2.0/24, '2001:db8::1/128']}\ncluster-dns: none\n"
      "podlet: {runtime-endpoint: 'unix:///x.sock', load-balancer-pool: 203.0.113.0/28}\n");
  ASSERT_TRUE(c) << c.error().text();
  EXPECT_EQ(c->cluster_cidr.str(), "10.1.0.0/16");
  EXPECT_EQ(c->node_port_range, (PortRange{31000, 31999}));
  EXPECT_EQ(c->podshim.pids_limit, 100);
  EXPECT_EQ(c->podshim.streaming.address, "192.0.2.1");
  EXPECT_EQ(c->podshim.streaming.port, 10010);
  EXPECT_EQ(c->podshim.streaming.idle, std::chrono::minutes(1));
  EXPECT_EQ(c->podshim.rlimits.at("nofile").hard, 20);
  EXPECT_EQ(c->podshim.metrics_address.str(), "::1");
  EXPECT_EQ(c->podshim.metrics_port, 9477);
  EXPECT_EQ(c->netproxy.source, "/s");
  ASSERT_EQ(c->netproxy.node_port_addresses.size(), 2u);
  EXPECT_EQ(c->netproxy.node_port_addresses[1].str(), "2001:db8::1/128");
  EXPECT_EQ(c->podlet.runtime_endpoint, "unix:///x.sock");
  EXPECT_EQ(c->podlet.load_balancer_pool->str(), "203.0.113.0/28");
  EXPECT_TRUE(c->cluster_dns.is_unspecified());
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
      {"metrics address", "podshim:\n  metrics: {address: localhost}\n", "podshim.metrics.address: \"localhost\""},
      {"relative", "podshim:\n  root: var\n", "podshim.root: \"var\" is not an absolute path"},
      {"range", "node-port-range: 5-1\n", "node-port-range: \"5-1\""},
      {"level", "netproxy: {log-level: loud}\n", "netproxy.log-level: \"loud\""},
      {"node port addresses", "netproxy:\n  node-port-addresses: [192.0.2.1/24]\n",
       "config.yaml:2: netproxy.node-port-addresses: \"192.0.2.1/24\" has host bits set"},
      {"node port addresses without a prefix", "netproxy: {node-port-addresses: [primary]}\n",
       "netproxy.node-port-addresses: \"primary\""},
      {"pool overlaps", "podlet:\n  load-balancer-pool: 10.43.7.0/24\n",
       "config.yaml:2: podlet.load-balancer-pool: 10.43.7.0/24 overlaps service-cidr 10.43.0.0/16"},
      {"pool", "podlet: {load-balancer-pool: 198.51.100.7}\n",
       "podlet.load-balancer-pool: \"198.51.100.7\" has no /prefix"},
      {"cluster-dns", "cluster-dns: nobody\n", "cluster-dns: \"nobody\" is not an IP address"},
      {"limit", "podshim: {pids-limit: -1}\n", "podshim.pids-limit: -1"},
      {"unknown rlimit", "podshim:\n  rlimits: {wings: {soft: 1, hard: 2}}\n",
       "config.yaml:2: podshim.rlimits.wings: is not a limit of setrlimit(2)"},
      {"soft rlimit above the hard one", "podshim:\n  rlimits:\n    nofile: {soft: 50, hard: 20}\n",
       "config.yaml:3: podshim.rlimits.nofile: soft 50 is above hard 20"},
      {"no soft rlimit under a hard one", "podshim: {rlimits: {core: {soft: -1, hard: 20}}}\n", "soft -1 is above"},
      {"half of TLS", "podshim:\n  streaming: {tls-cert: /c.pem}\n", "podshim.streaming.tls-key: tls-cert and"},
      {"streaming address", "podshim: {streaming: {address: localhost}}\n", "podshim.streaming.address: \"localhost\""},
  };
  for (const auto& c : cases) {
    auto config = decode(c.text);
    ASSERT_FALSE(config) << c.name;
    EXPECT_NE(config.error().text().find(c.want), std::string::npos) << c.name << ": " << config.error().text();
  }
}

TEST(Config, EveryLimitOfSetrlimitIsKnown) {
  for (const char* name : {"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile",
                           "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"})
    EXPECT_TRUE(decode(std::string("podshim: {rlimits: {") + name + ": {soft: 1, hard: -1}}}\n")) << name;
}

TEST(Config, AMissingFileIsTheDefaultsUnlessNamed) {
  EXPECT_TRUE(load_config("/nowhere/config.yaml", false));
  EXPECT_TRUE(load_config("/nowhere/config.yaml", true).error().is(ENOENT));
}

}  // namespace
}  // namespace podshim
