// Printed plans of bridge and portmap against files; PODSHIM_UPDATE_GOLDEN=1 rewrites them, the diff is reviewed.
#include <gtest/gtest.h>

#include <cstdlib>

#include "cni/bridge/plan.h"
#include "cni/portmap/plan.h"
#include "common/sys/file.h"

namespace podshim::cni {
namespace {

void expect_golden(const std::string& name, const std::string& text) {
  std::string path = PODSHIM_SOURCE_DIR "/tests/golden/cni/" + name + ".txt";
  bool rewrite = std::getenv("PODSHIM_UPDATE_GOLDEN") != nullptr;
  ASSERT_TRUE(!rewrite || sys::write_file(path, text, 0644));
  auto want = sys::read_file(path);
  ASSERT_TRUE(want) << path;
  EXPECT_EQ(text, *want) << name;
}

AddResult ipam(std::initializer_list<const char*> addresses) {
  AddResult out;
  for (const char* a : addresses) {
    auto cidr = *Cidr::parse(a);
    out.ips.push_back({.address = cidr, .gateway = cidr.network().plus(1)});
  }
  return out;
}

bridge::Facts existing_bridge() {
  bridge::Facts f{.bridge_netfilter = true, .ipv6 = true};
  f.bridge = netlink::Link{.index = 3, .name = "cni0", .kind = "bridge", .mtu = 1450, .up = true, .nf_call = true};
  f.bridge->mac = *netlink::Mac::parse("0a:58:0a:2a:00:01");
  f.bridge_addresses = {{.index = 3, .cidr = *Cidr::parse("10.42.0.1/24")},
                        {.index = 3, .cidr = *Cidr::parse("fe80::1/64"), .link_scope = true}};
  return f;
}

struct Case {
  const char* name;
  bridge::NetConf conf;
  bridge::Facts facts;
  AddResult answer;
};

std::vector<Case> bridge_cases() {
  bridge::NetConf usual{.network = "podnet",
                        .is_gateway = true,
                        .is_default_gateway = true,
                        .ip_masq = true,
                        .hairpin = true,
                        .ipam_type = "host-local"};
  bridge::Facts fresh{.uplink_mtu = 1400, .bridge_netfilter = true, .ipv6 = true};
  bridge::Facts no_netfilter{.bridge_netfilter = false, .ipv6 = true};
  auto foreign = existing_bridge();
  foreign.bridge->nf_call = false;
  foreign.bridge->up = false;
  foreign.bridge_addresses = {{.index = 3, .cidr = *Cidr::parse("192.0.2.1/24")}};
  auto forced = usual;
  forced.force_address = true;
  auto plain = usual;
  plain.is_gateway = plain.is_default_gateway = plain.ip_masq = plain.hairpin = false;
  plain.mtu = 1300;
  plain.mac = *netlink::Mac::parse("02:00:00:00:00:09");
  auto promisc = usual;
  promisc.hairpin = false;
  promisc.promisc = true;
  auto isolation = usual;
  isolation.port_isolation = true;
  bridge::NetConf layer2{.network = "l2"};
  auto dual = ipam({"10.42.0.5/24", "fd00:42::5/64"});
  auto routes = ipam({"10.42.0.5/24"});
  routes.routes = {{.dst = *Cidr::parse("0.0.0.0/0")},
                   {.dst = *Cidr::parse("198.51.100.0/24"),
                    .gw = *IpAddress::parse("10.42.0.9"),
                    .mtu = 1280,
                    .advmss = 1200,
                    .priority = 5,
                    .table = 200,
                    .scope = 0}};
  return {{"bridge-first-pod-dual-stack", usual, fresh, dual},
          {"bridge-next-pod", usual, existing_bridge(), ipam({"10.42.0.6/24"})},
          {"bridge-without-br-netfilter", usual, no_netfilter, dual},
          {"bridge-foreign-force-address", forced, foreign, ipam({"10.42.0.5/24"})},
          {"bridge-plain-mtu-mac", plain, fresh, ipam({"10.42.0.5/24"})},
          {"bridge-promisc", promisc, fresh, ipam({"10.42.0.5/24"})},
          {"bridge-port-isolation", isolation, no_netfilter, ipam({"10.42.0.5/24"})},
          {"bridge-routes", usual, existing_bridge(), routes},
          {"bridge-ipv6-only", usual, fresh, ipam({"fd00:42::5/64"})},
          {"bridge-layer-2", layer2, fresh, {}}};
}

TEST(Plan, BridgeAdd) {
  Request request{.network = "podnet", .attachment = {"3f2a", "eth0"}, .netns = "/run/netns/x"};
  for (const auto& c : bridge_cases()) {
    SCOPED_TRACE(c.name);
    auto plan = bridge::plan_add(c.conf, request, c.facts, c.answer);
    ASSERT_TRUE(plan) << plan.error().text();
    expect_golden(c.name, bridge::print(*plan) + json::dump(encode(plan->result, Version::v1_1_0), 2) + "\n");
  }
}

TEST(Plan, AnotherAddressOnTheBridgeIsRefusedUnlessForced) {
  bridge::NetConf conf{.network = "podnet", .is_gateway = true};
  auto facts = existing_bridge();
  facts.bridge_addresses = {{.index = 3, .cidr = *Cidr::parse("192.0.2.1/24")}};
  auto plan = bridge::plan_add(conf, {.attachment = {"3f2a", "eth0"}}, facts, ipam({"10.42.0.5/24"}));
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().text(),
            "bridge address cni0: has 192.0.2.1/24 already, not 10.42.0.1/24; forceAddress replaces it");
}

TEST(Plan, Portmap) {
  AddResult prev{.interfaces = {{.name = "cni0"}, {.name = "veth1"}, {.name = "eth0", .sandbox = "/x"}}};
  prev.ips = {{.address = *Cidr::parse("10.42.0.5/24"), .interface = 2},
              {.address = *Cidr::parse("fd00:42::5/64"), .interface = 2}};
  portmap::NetConf conf{.network = "podnet"};
  conf.mappings = {
      {.protocol = portmap::Protocol::tcp, .host_port = 8080, .container_port = 80},
      {.protocol = portmap::Protocol::udp,
       .host_ip = *IpAddress::parse("192.0.2.1"),
       .host_port = 53,
       .container_port = 5353},
      {.protocol = portmap::Protocol::tcp,
       .host_ip = *IpAddress::parse("0.0.0.0"),
       .host_port = 81,
       .container_port = 81},
      {.protocol = portmap::Protocol::tcp, .host_ip = *IpAddress::parse("::"), .host_port = 82, .container_port = 82}};
  auto plan = portmap::plan_add(conf, {"3f2a", "eth0"}, prev);
  ASSERT_TRUE(plan);
  expect_golden("portmap-dual-stack", portmap::print(*plan));
  conf.snat = false;
  expect_golden("portmap-no-snat", portmap::print(*portmap::plan_add(conf, {"3f2a", "eth0"}, prev)));
  prev.ips.pop_back();
  conf.mappings = {{.host_ip = *IpAddress::parse("2001:db8::1"), .host_port = 1, .container_port = 1}};
  EXPECT_EQ(portmap::plan_add(conf, {"3f2a", "eth0"}, prev).error().subject, "runtimeConfig.portMappings[0].hostIP");
}

}  // namespace
}  // namespace podshim::cni
