// EndpointSlice decoder.
#include "common/kube/endpoint_slice.h"

#include <gtest/gtest.h>

#include "common/yaml.h"

namespace podshim::kube {
namespace {

Result<EndpointSlice> decode(const std::string& rest, Unknowns* unknowns = nullptr) {
  auto documents = yaml::parse_all(
      "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1, labels: "
      "{kubernetes.io/service-name: web}}\n" +
          rest,
      "slice.yaml");
  EXPECT_TRUE(documents) << documents.error().text();
  Unknowns own;
  return decode_endpoint_slice(*json::Reader::of(documents->front(), "", "slice.yaml"),
                               unknowns != nullptr ? *unknowns : own);
}

TEST(EndpointSlice, DecodesAndRoundTrips) {
  Unknowns unknowns;
  auto s = decode(R"(addressType: IPv4
endpoints:
- addresses: [10.42.0.2]
  conditions: {ready: true, serving: true, terminating: false}
  nodeName: n1
  hostname: web-0
  targetRef: {kind: Pod, name: web-abc, namespace: default, uid: x}
  zone: z
- addresses: [10.42.0.3]
  conditions: {ready: false}
- addresses: [10.42.0.4]
- addresses: [10.42.0.5]
  conditions: {ready: false, serving: true, terminating: true}
ports:
- {name: http, port: 8080, protocol: TCP, appProtocol: http}
- {name: dns, port: 53, protocol: UDP}
- {name: ""}
)",
                  &unknowns);
  ASSERT_TRUE(s) << s.error().text();
  EXPECT_TRUE(unknowns.empty()) << unknowns.front();
  EXPECT_EQ(s->service_name, "web");
  ASSERT_EQ(s->endpoints.size(), 4U);
  EXPECT_EQ(s->endpoints[0].target_name, "web-abc");
  EXPECT_FALSE(s->endpoints[1].serving) << "serving is as ready when it is not said";
  EXPECT_TRUE(s->endpoints[2].ready) << "ready when nothing is said";
  EXPECT_TRUE(s->endpoints[3].serving && s->endpoints[3].terminating && !s->endpoints[3].ready);
  EXPECT_EQ(s->ports.size(), 2U) << "a port without a number is left out";
  auto encoded = encode_endpoint_slice(*s);
  auto again = decode_endpoint_slice(*json::Reader::of(encoded), unknowns);
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(*again, *s);
}

TEST(EndpointSlice, BadFieldsAreNamed) {
  struct Case {
    const char* rest;
    const char* said;
  };
  const Case cases[] = {
      {"endpoints: []", "addressType: is missing"},
      {"addressType: FQDN", "slice.yaml:4: addressType: \"FQDN\" is none of IPv4, IPv6"},
      {"addressType: IPv4\nendpoints: [{}]", "endpoints[0].addresses: is empty"},
      {"addressType: IPv4\nendpoints: [{addresses: [10.42.0]}]",
       "endpoints[0].addresses[0]: \"10.42.0\" is not an IP address"},
      {"addressType: IPv4\nendpoints: [{addresses: ['2001:db8::1']}]", "is not of the slice's addressType"},
      {"addressType: IPv4\nendpoints: [{addresses: [127.0.0.1]}]", "127.0.0.1 cannot be an endpoint"},
      {"addressType: IPv4\nendpoints: [{addresses: [169.254.169.254]}]", "169.254.169.254 cannot be an endpoint"},
      {"addressType: IPv4\nendpoints: [{addresses: [224.0.0.1]}]", "224.0.0.1 cannot be an endpoint"},
      {"addressType: IPv6\nendpoints: [{addresses: ['fe80::1']}]", "fe80::1 cannot be an endpoint"},
      {"addressType: IPv4\nendpoints: [{addresses: [10.42.0.2], conditions: {ready: 1}}]",
       "endpoints[0].conditions.ready: is an integer (1)"},
      {"addressType: IPv4\nendpoints: {}", "endpoints: is an object"},
      {"addressType: IPv4\nports: [{port: 70000}]", "ports[0].port: 70000 is outside"},
  };
  for (const auto& c : cases) {
    auto s = decode(c.rest);
    ASSERT_FALSE(s) << c.rest;
    EXPECT_NE(s.error().text().find(c.said), std::string::npos) << c.rest << " said: " << s.error().text();
  }
}

TEST(Names, AsKubernetesHasThem) {
  EXPECT_TRUE(is_dns_label("a-1"));
  EXPECT_TRUE(is_dns_label(std::string(63, 'a')));
  for (const char* bad : {"", "-a", "a-", "A", "a.b", "a_b"}) EXPECT_FALSE(is_dns_label(bad)) << bad;
  EXPECT_FALSE(is_dns_label(std::string(64, 'a')));
  EXPECT_TRUE(is_dns_subdomain("a.b-c.d"));
  for (const char* bad : {"", ".", "a.", ".a", "a..b"}) EXPECT_FALSE(is_dns_subdomain(bad)) << bad;
  EXPECT_TRUE(is_port_name("http-1"));
  for (const char* bad : {"", "80", "a--b", "http-metrics-port-long", "Http"}) EXPECT_FALSE(is_port_name(bad)) << bad;
  EXPECT_TRUE(is_qualified_name("example.com/My_Name.x"));
  for (const char* bad : {"", "/a", "a/", "a/b/c", "a b"}) EXPECT_FALSE(is_qualified_name(bad)) << bad;
  EXPECT_TRUE(is_label_value(""));
  EXPECT_FALSE(is_label_value("-a"));
}

}  // namespace
}  // namespace podshim::kube
