// The configurations of bridge and portmap, the names and decisions that are pure.
#include <gtest/gtest.h>

#include <set>

#include "cni/bridge/plan.h"
#include "cni/portmap/flows.h"
#include "cni/rules/ruleset.h"

namespace podshim::cni {
namespace {

Request with(const std::string& config, std::map<std::string, std::string> args = {}) {
  Request r{.network = "net", .attachment = {"c1", "eth0"}, .netns = "/x", .args = std::move(args)};
  auto value = json::parse(config);
  EXPECT_TRUE(value) << config;
  r.config = *value;
  return r;
}

TEST(BridgeConf, BadInputNamesTheField) {
  struct Case {
    const char* config;
    ErrorKind kind;
    const char* says;
  };
  const Case cases[] = {
      {R"({"bridge":7})", ErrorKind::invalid_argument, "bridge: is an integer (7)"},
      {R"({"bridge":"a/b"})", ErrorKind::invalid_argument, "bridge: \"a/b\" is not a legal interface name"},
      {R"({"bridge":"abcdefghijklmnopq"})", ErrorKind::invalid_argument, "bridge: "},
      {R"({"isGateway":"yes"})", ErrorKind::invalid_argument, "isGateway: is a string (\"yes\")"},
      {R"({"mtu":-1})", ErrorKind::invalid_argument, "mtu: -1 is outside"},
      {R"({"mtu":20})", ErrorKind::invalid_argument, "mtu: 20 is below 68"},
      {R"({"hairpinMode":true,"promiscMode":true})", ErrorKind::invalid_argument, "promiscMode: "},
      {R"({"vlan":5})", ErrorKind::unimplemented, "vlan: 5"},
      {R"({"vlanTrunk":[{"id":5}]})", ErrorKind::unimplemented, "vlanTrunk: [{\"id\":5}]"},
      {R"({"macspoofchk":true})", ErrorKind::unimplemented, "macspoofchk: true"},
      {R"({"enabledad":true})", ErrorKind::unimplemented, "enabledad: true"},
      {R"({"disableContainerInterface":true})", ErrorKind::unimplemented, "disableContainerInterface: true"},
      {R"({"ipMasqBackend":"iptables"})", ErrorKind::unimplemented, "ipMasqBackend: iptables"},
      {R"({"runtimeConfig":{"mac":"01:00:00:00:00:01"}})", ErrorKind::invalid_argument, "runtimeConfig.mac: "},
      {R"({"args":{"cni":{"mac":"zz"}}})", ErrorKind::invalid_argument, "args.cni.mac: "},
      {R"({"ipam":[]})", ErrorKind::invalid_argument, "ipam: is a list"},
      {R"({"dns":{"nameservers":[1]}})", ErrorKind::invalid_argument, "dns.nameservers[0]"},
  };
  for (const auto& c : cases) {
    auto conf = bridge::decode(with(c.config));
    ASSERT_FALSE(conf) << c.config;
    EXPECT_EQ(conf.error().kind, c.kind) << c.config;
    EXPECT_NE(conf.error().text().find(c.says), std::string::npos) << conf.error().text();
  }
}

TEST(BridgeConf, WhatChangesNothingIsAccepted) {
  auto conf =
      bridge::decode(with(R"({"vlan":0,"vlanTrunk":[],"macspoofchk":false,"enabledad":false,"preserveDefaultVlan":true,
                                      "ipMasqBackend":"nftables","isDefaultGateway":true,"unknown":1})"));
  ASSERT_TRUE(conf) << conf.error().text();
  EXPECT_TRUE(conf->is_gateway);
  EXPECT_FALSE(conf->hairpin);
  auto mac = bridge::decode(with(R"({"args":{"cni":{"mac":"0a:00:00:00:00:02"}}})", {{"mac", "0a:00:00:00:00:01"}}));
  EXPECT_EQ(mac->mac->str(), "0a:00:00:00:00:02");
}

TEST(PortmapConf, BadInputNamesTheField) {
  struct Case {
    const char* mapping;
    const char* says;
  };
  const Case cases[] = {
      {R"({"hostPort":0,"containerPort":80})", "portMappings[0].hostPort: 0 is outside 1..65535"},
      {R"({"hostPort":70000,"containerPort":80})", "portMappings[0].hostPort: 70000"},
      {R"({"hostPort":80})", "portMappings[0].containerPort: is missing"},
      {R"({"hostPort":80,"containerPort":80,"protocol":"icmp"})", "portMappings[0].protocol: \"icmp\""},
      {R"({"hostPort":80,"containerPort":80,"hostIP":"x"})", "portMappings[0].hostIP: \"x\""},
  };
  for (const auto& c : cases) {
    auto conf = portmap::decode(with(R"({"runtimeConfig":{"portMappings":[)" + std::string(c.mapping) + "]}}"));
    ASSERT_FALSE(conf) << c.mapping;
    EXPECT_NE(conf.error().text().find(c.says), std::string::npos) << conf.error().text();
  }
  EXPECT_EQ(portmap::decode(with(R"({"masqAll":true})")).error().kind, ErrorKind::unimplemented);
  EXPECT_EQ(portmap::decode(with(R"({"conditionsV4":["-d","1"]})")).error().kind, ErrorKind::unimplemented);
  EXPECT_EQ(portmap::decode(with(R"({"backend":"iptables"})")).error().kind, ErrorKind::unimplemented);
  // Of the usual old conflists.
  EXPECT_TRUE(portmap::decode(
      with(R"({"snat":true,"markMasqBit":5,"externalSetMarkChain":"KUBE-MARK-MASQ","conditionsV4":[]})")));
}

TEST(PortmapElements, ReadBackWhatTheyWere) {
  for (auto family : {Family::v4, Family::v6}) {
    for (bool single : {false, true}) {
      portmap::HostPort p{.protocol = portmap::Protocol::udp, .family = family, .host_port = 53000};
      p.target = *IpAddress::parse(family == Family::v4 ? "10.42.0.5" : "fd00::5");
      p.target_port = 8053;
      if (single) p.host_ip = *IpAddress::parse(family == Family::v4 ? "192.0.2.1" : "2001:db8::1");
      auto e = portmap::to_element(p, "who");
      EXPECT_EQ(e.comment, "who");
      EXPECT_EQ(*portmap::from_element(e, family, single), p);
      e.key.pop_back();
      EXPECT_FALSE(portmap::from_element(e, family, single));
    }
  }
}

// Which UDP flows are forgotten when a port comes or goes.
TEST(PortmapFlows, OnlyThoseThatWouldGoTheWrongWay) {
  auto flow = [](const char* to, int port, const char* answers, int answer_port) {
    netlink::Flow f;
    f.original = {.source = *IpAddress::parse("192.0.2.9"),
                  .destination = *IpAddress::parse(to),
                  .protocol = 17,
                  .source_port = 1};
    f.original.destination_port = static_cast<std::uint16_t>(port);
    f.reply = {.source = *IpAddress::parse(answers), .destination = f.original.source, .protocol = 17};
    f.reply.source_port = static_cast<std::uint16_t>(answer_port);
    return f;
  };
  portmap::HostPort any{.protocol = portmap::Protocol::udp,
                        .host_port = 53,
                        .target = *IpAddress::parse("10.42.0.5"),
                        .target_port = 5353};
  auto single = any;
  single.host_ip = *IpAddress::parse("192.0.2.1");
  std::vector<IpAddress> local = {*IpAddress::parse("192.0.2.1"), *IpAddress::parse("198.51.100.1")};
  struct Case {
    const char* name;
    netlink::Flow flow;
    bool stale_any, stale_single, aimed;
  };
  const Case cases[] = {
      {"node answered so far", flow("192.0.2.1", 53, "192.0.2.1", 53), true, true, false},
      {"the Pod before", flow("192.0.2.1", 53, "10.42.0.4", 5353), true, true, false},
      {"the Pod's own", flow("192.0.2.1", 53, "10.42.0.5", 5353), false, false, true},
      {"another port of the Pod", flow("192.0.2.1", 53, "10.42.0.5", 99), true, true, false},
      {"another address of the node", flow("198.51.100.1", 53, "198.51.100.1", 53), true, false, false},
      {"loopback", flow("127.0.0.1", 53, "127.0.0.1", 53), true, false, false},
      {"to a server elsewhere", flow("8.8.8.8", 53, "8.8.8.8", 53), false, false, false},
      {"another host port", flow("192.0.2.1", 54, "192.0.2.1", 54), false, false, false},
      {"IPv6", flow("2001:db8::1", 53, "2001:db8::1", 53), false, false, false},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(portmap::stale(c.flow, any, local), c.stale_any) << c.name;
    EXPECT_EQ(portmap::stale(c.flow, single, local), c.stale_single) << c.name;
    EXPECT_EQ(portmap::aimed_at(c.flow, any), c.aimed) << c.name;
  }
}

TEST(Names, AreLegalStableAndDiffer) {
  EXPECT_EQ(bridge::host_veth_name({"c1", "eth0"}), bridge::host_veth_name({"c1", "eth0"}));
  std::set<std::string> names;
  for (int i = 0; i < 20000; i++) {
    auto name = bridge::host_veth_name({"container" + std::to_string(i), "eth0"});
    EXPECT_EQ(name.size(), 15U);
    names.insert(name);
  }
  EXPECT_EQ(names.size(), 20000U);
  EXPECT_NE(bridge::host_veth_name({"c1", "eth0"}), bridge::host_veth_name({"c1", "eth1"}));
  EXPECT_EQ(bridge::mac_for(*IpAddress::parse("10.42.0.5")).str(), "0a:58:0a:2a:00:05");
}

TEST(Names, CommentsFitAndStayDistinct) {
  std::string id(64, 'f');
  EXPECT_EQ(rules::owner_comment("podnet", {id, "eth0"}), "podnet/" + id + "/eth0");
  std::string long_net(200, 'n');
  std::string a = rules::owner_comment(long_net, {std::string(300, 'a') + "1", "abcdefghijklmno"});
  std::string b = rules::owner_comment(long_net, {std::string(300, 'a') + "2", "abcdefghijklmno"});
  EXPECT_LE(a.size(), 127U);
  EXPECT_NE(a, b);
  EXPECT_TRUE(a.starts_with(rules::owner_prefix(long_net)));
}

}  // namespace
}  // namespace podshim::cni
