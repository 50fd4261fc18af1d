// A Pod's resolv.conf: every dnsPolicy, with and without cluster DNS, dnsConfig, limits.
#include <gtest/gtest.h>

#include "fakes.h"
#include "podlet/dns.h"

namespace podshim::podlet {
namespace {

const char* kHost = R"(# made by somebody
nameserver 192.0.2.53
nameserver	192.0.2.54
search old.example
search corp.example. lab.example
options timeout:2
options rotate ndots:1
nonsense
nameserver
)";

kube::PodSpec spec_of(const std::string& lines) {
  auto m = decode_manifest(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: [{name: c, image: x}]\n" + lines, "t");
  EXPECT_TRUE(m.errors.empty()) << m.errors[0].text;
  return std::get<kube::Pod>(m.objects.at(0).value).spec;
}

std::string shown(const std::optional<CriDns>& dns) {
  if (!dns) return "the host's";
  std::string out;
  for (const auto* list : {&dns->servers, &dns->searches, &dns->options}) {
    for (const auto& text : *list) out += text + " ";
    out += "| ";
  }
  return out;
}

TEST(Resolver, ReadsTheHosts) {
  auto dns = parse_resolv_conf(kHost);
  EXPECT_EQ(shown(dns), "192.0.2.53 192.0.2.54 | corp.example lab.example | rotate ndots:1 | ");
  EXPECT_EQ(parse_resolv_conf(""), CriDns{});
  EXPECT_EQ(read_host_dns("/no/such/file"), CriDns{});
}

TEST(Resolver, PoliciesAndConfig) {
  struct Case {
    const char* name;
    const char* lines;
    bool served;
    const char* want;
  };
  const Case cases[] = {
      {"ClusterFirst is the default", "", true,
       "10.43.0.10 | shop.svc.cluster.local svc.cluster.local cluster.local corp.example lab.example | ndots:5 | "},
      {"nobody serves it", "", false, "the host's"},
      {"Default", "  dnsPolicy: Default\n", true, "the host's"},
      {"hostNetwork", "  hostNetwork: true\n", true, "the host's"},
      {"ClusterFirstWithHostNet", "  hostNetwork: true\n  dnsPolicy: ClusterFirstWithHostNet\n", true,
       "10.43.0.10 | shop.svc.cluster.local svc.cluster.local cluster.local corp.example lab.example | ndots:5 | "},
      {"None", "  dnsPolicy: None\n  dnsConfig: {nameservers: [192.0.2.1], searches: [a.example]}\n", true,
       "192.0.2.1 | a.example | | "},
      {"Default and dnsConfig",
       "  dnsPolicy: Default\n  dnsConfig: {nameservers: [192.0.2.1, 192.0.2.53], options: [{name: ndots, value: "
       "\"3\"}, "
       "{name: edns0}]}\n",
       true, "192.0.2.53 192.0.2.54 192.0.2.1 | corp.example lab.example | rotate ndots:3 edns0 | "},
      {"ClusterFirst and dnsConfig",
       "  dnsConfig: {searches: [lab.example, b.example], options: [{name: ndots, value: \"2\"}]}\n", true,
       "10.43.0.10 | shop.svc.cluster.local svc.cluster.local cluster.local corp.example lab.example b.example | "
       "ndots:2 | "},
      {"dnsConfig and nobody serves it", "  dnsConfig: {options: [{name: edns0}]}\n", false,
       "192.0.2.53 192.0.2.54 | corp.example lab.example | rotate ndots:1 edns0 | "},
  };
  for (const auto& c : cases) {
    NodeFacts node{.cluster_dns = c.served ? "10.43.0.10" : "", .host_dns = parse_resolv_conf(kHost)};
    auto got = pod_resolver(spec_of(c.lines), "shop", node);
    EXPECT_EQ(shown(got.dns), c.want) << c.name;
    EXPECT_EQ(got.cut, "") << c.name;
  }
}

TEST(Resolver, WhatDoesNotFitIsSaid) {
  NodeFacts node{.cluster_dns = "10.43.0.10"};
  for (int i = 0; i < 30; i++) node.host_dns.searches.push_back("s" + std::to_string(i) + ".example");
  node.host_dns.servers = {"192.0.2.1", "192.0.2.2", "192.0.2.3"};
  auto many = pod_resolver(spec_of(""), "shop", node);
  EXPECT_EQ(many.dns->searches.size(), 32u);
  EXPECT_EQ(many.cut, "only the first 32 search domains are used");
  auto servers = pod_resolver(spec_of("  dnsPolicy: Default\n  dnsConfig: {nameservers: [192.0.2.9]}\n"), "shop", node);
  EXPECT_EQ(servers.dns->servers.size(), 3u);
  EXPECT_EQ(servers.cut, "only the first 3 nameservers are used");
  node.host_dns.searches.assign(10, "");
  for (auto& domain : node.host_dns.searches) domain = random_hex(125);  // 250 letters each
  auto length = pod_resolver(spec_of(""), "shop", node);
  std::size_t sum = 0;
  for (const auto& domain : length.dns->searches) sum += domain.size() + 1;
  EXPECT_LE(sum - 1, 2048u);
  EXPECT_EQ(length.dns->searches.size(), 10u);  // three of ours (60 letters with blanks), seven of 250 and a blank
}

}  // namespace
}  // namespace podshim::podlet
