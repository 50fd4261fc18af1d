// Service decoder: bad fields name file, line, path and value; unknown fields are collected; decode(encode(x)) = x.
#include "common/kube/service.h"

#include <gtest/gtest.h>

#include "common/yaml.h"

namespace podshim::kube {
namespace {

Result<Service> decode(const std::string& text, Unknowns* unknowns = nullptr) {
  auto documents = yaml::parse_all(text, "svc.yaml");
  EXPECT_TRUE(documents) << documents.error().text();
  auto reader = json::Reader::of(documents->front(), "", "svc.yaml");
  EXPECT_TRUE(reader);
  Unknowns own;
  return decode_service(*reader, unknowns != nullptr ? *unknowns : own);
}

std::string with_spec(const std::string& spec) {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: " + spec + "\n";
}

TEST(Service, FullObject) {
  Unknowns unknowns;
  auto s = decode(R"(apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
  uid: u-1
  labels: {app: web, example.com/tier: front}
  annotations: {example.com/note: "any text"}
  resourceVersion: "12"
spec:
  type: LoadBalancer
  clusterIP: 10.43.0.1
  clusterIPs: [10.43.0.1, "2001:db8::1"]
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: web, nodePort: 30080, appProtocol: http}
  - {name: dns, protocol: UDP, port: 53}
  externalIPs: [192.0.2.7]
  loadBalancerSourceRanges: [192.0.2.0/24]
  externalTrafficPolicy: Local
  internalTrafficPolicy: Local
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}
  healthCheckNodePort: 31000
  publishNotReadyAddresses: true
status: {loadBalancer: {ingress: [{ip: 192.0.2.8}, {hostname: x.example}, {ip: 192.0.2.9, ipMode: Proxy}]}}
)",
                  &unknowns);
  ASSERT_TRUE(s) << s.error().text();
  EXPECT_TRUE(unknowns.empty()) << unknowns.front();
  EXPECT_EQ(s->meta.key(), "shop/web");
  EXPECT_EQ(s->type, ServiceType::load_balancer);
  EXPECT_EQ(s->cluster_ips.size(), 2U);
  ASSERT_EQ(s->ports.size(), 2U);
  EXPECT_EQ(s->ports[0].target_port.name, "web");
  EXPECT_EQ(s->ports[0].node_port, 30080);
  EXPECT_EQ(s->ports[1].protocol, Protocol::udp);
  EXPECT_EQ(s->ports[1].target_port.number, 53) << "absent: the port itself";
  EXPECT_EQ(s->affinity_seconds, 60);
  ASSERT_EQ(s->load_balancer_ips.size(), 1U);
  EXPECT_EQ(s->external_policy, TrafficPolicy::local);
  // decode(encode(x)) = x
  auto encoded = encode_service(*s);
  Unknowns again_unknown;
  auto again = decode_service(*json::Reader::of(encoded), again_unknown);
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(*again, *s);
  EXPECT_TRUE(again_unknown.empty());
}

TEST(Service, SmallestAndOtherTypesRoundTrip) {
  for (const char* spec : {"{ports: [{port: 80}]}", "{clusterIP: None}", "{clusterIP: None, ports: [{port: 80}]}",
                           "{type: ExternalName, externalName: db.example.com}",
                           "{type: NodePort, ports: [{port: 80, nodePort: 30080, targetPort: 8080}]}",
                           "{type: ExternalName, externalName: db.example.com.}",
                           "{type: LoadBalancer, loadBalancerIP: 192.0.2.8, loadBalancerClass: a/b, "
                           "allocateLoadBalancerNodePorts: false, loadBalancerSourceRanges: [\" 10.0.0.0/8 \"], ports: "
                           "[{port: 80}]}",
                           "{externalIPs: [192.0.2.8], externalTrafficPolicy: Local, ports: [{port: 80}]}",
                           "{trafficDistribution: PreferClose, ports: [{port: 80}]}",
                           "{sessionAffinity: ClientIP, ports: [{port: 80}]}"}) {
    auto s = decode(with_spec(spec));
    ASSERT_TRUE(s) << spec << ": " << s.error().text();
    Unknowns unknowns;
    auto encoded = encode_service(*s);
    auto again = decode_service(*json::Reader::of(encoded), unknowns);
    ASSERT_TRUE(again) << again.error().text();
    EXPECT_EQ(*again, *s) << spec;
    EXPECT_TRUE(unknowns.empty()) << unknowns.front();
  }
  EXPECT_EQ(decode(with_spec("{sessionAffinity: ClientIP, ports: [{port: 80}]}"))->affinity_seconds, 10800);
  EXPECT_TRUE(decode(with_spec("{clusterIP: None}"))->headless);
}

struct Bad {
  const char* spec;
  const char* said;
};

const Bad kBad[] = {
    {"{}", "spec.ports: Required value"},
    {"{ports: [{}]}", "spec.ports[0].port: is missing"},
    {"{ports: [{port: 0}]}", "spec.ports[0].port: 0 is outside 1..65535"},
    {"{ports: [{port: 65536}]}", "65536 is outside"},
    {"{ports: [{port: \"80\"}]}", "spec.ports[0].port: is a string (\"80\"), an integer is expected"},
    {"{ports: [{port: 80, protocol: ICMP}]}",
     "spec.ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"TCP\", \"UDP\", \"SCTP\""},
    {"{ports: [{port: 80, targetPort: 70000}]}", "spec.ports[0].targetPort: 70000 is outside"},
    {"{ports: [{port: 80, targetPort: \"a_b\"}]}", "spec.ports[0].targetPort: \"a_b\" is not a port name"},
    {"{ports: [{port: 80, targetPort: \"8080\"}]}", "\"8080\" is not a port name"},
    {"{ports: [{port: 80, nodePort: 30080}]}",
     "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"},
    {"{ports: [{port: 80}, {port: 81}]}", "spec.ports[0].name: Required value"},
    {"{ports: [{name: a, port: 80}, {name: a, port: 81}]}", "spec.ports[1].name: Duplicate value: \"a\""},
    {"{ports: [{name: a, port: 80}, {name: b, port: 80}]}", "spec.ports[1].port: Duplicate value: TCP 80"},
    {"{type: NodePort, ports: [{name: a, port: 80, nodePort: 30080}, {name: b, port: 81, nodePort: 30080}]}",
     "spec.ports[1].nodePort: Duplicate value: TCP 30080"},
    {"{ports: [{name: Up, port: 80}]}", "spec.ports[0].name: Invalid value: \"Up\": must be a DNS label"},
    {"{type: External, ports: [{port: 80}]}",
     "spec.type: Unsupported value: \"External\": supported values: \"ClusterIP\", \"NodePort\""},
    {"{clusterIP: 10.43.0, ports: [{port: 80}]}",
     "spec.clusterIP: Invalid value: \"10.43.0\": must be a valid IP address"},
    {"{clusterIP: 127.0.0.1, ports: [{port: 80}]}",
     "spec.clusterIP: Invalid value: \"127.0.0.1\": may not be in the loopback range"},
    {"{clusterIP: 10.43.0.1, clusterIPs: [10.43.0.2], ports: [{port: 80}]}",
     "spec.clusterIPs: Invalid value: \"10.43.0.2\": first value must match `clusterIP`"},
    {"{type: NodePort, clusterIP: None, ports: [{port: 80}]}",
     "spec.clusterIP: Invalid value: \"None\": may not be set to 'None' for NodePort services"},
    {"{externalIPs: [10.0.0.1, x], ports: [{port: 80}]}",
     "spec.externalIPs[1]: Invalid value: \"x\": must be a valid IP address"},
    {"{externalIPs: [169.254.1.1], ports: [{port: 80}]}",
     "spec.externalIPs[0]: Invalid value: \"169.254.1.1\": may not be in the link-local range"},
    {"{externalIPs: [224.0.0.1], ports: [{port: 80}]}", "may not be a multicast"},
    {"{externalIPs: [0.0.0.0], ports: [{port: 80}]}", "may not be unspecified"},
    {"{type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.1], ports: [{port: 80}]}",
     "spec.loadBalancerSourceRanges[0]: Invalid value: \"10.0.0.1\": must be a valid CIDR value, (e.g. 10.9.8.0/24)"},
    {"{loadBalancerSourceRanges: [10.0.0.0/8], ports: [{port: 80}]}",
     "spec.loadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'"},
    {"{type: NodePort, loadBalancerClass: a/b, ports: [{port: 80}]}", "spec.loadBalancerClass: Forbidden"},
    {"{allocateLoadBalancerNodePorts: false, ports: [{port: 80}]}", "spec.allocateLoadBalancerNodePorts: Forbidden"},
    {"{type: LoadBalancer, loadBalancerIP: me, ports: [{port: 80}]}", "spec.loadBalancerIP: Invalid value: \"me\""},
    {"{externalTrafficPolicy: Local, ports: [{port: 80}]}",
     "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services"},
    {"{type: NodePort, externalTrafficPolicy: Local, healthCheckNodePort: 31000, ports: [{port: 80}]}",
     "spec.healthCheckNodePort: Invalid value: 31000: may only be set when `type` is 'LoadBalancer' and"},
    {"{internalTrafficPolicy: PreferLocal, ports: [{port: 80}]}",
     "spec.internalTrafficPolicy: Unsupported value: \"PreferLocal\": supported values: \"Cluster\", \"Local\""},
    {"{sessionAffinityConfig: {clientIP: {timeoutSeconds: 5}}, ports: [{port: 80}]}",
     "spec.sessionAffinityConfig: Forbidden: must not be set when session affinity is None"},
    {"{type: ExternalName, externalName: x.example, clusterIP: 10.43.0.1}",
     "spec.clusterIP: Forbidden: may not be set for ExternalName services"},
    {"{type: ExternalName, externalName: \"a b\"}", "spec.externalName: Invalid value: \"a b\": must be a DNS name"},
    {"{externalTrafficPolicy: Near, ports: [{port: 80}]}",
     "Unsupported value: \"Near\": supported values: \"Cluster\", \"Local\""},
    {"{sessionAffinity: Cookie, ports: [{port: 80}]}",
     "Unsupported value: \"Cookie\": supported values: \"None\", \"ClientIP\""},
    {"{sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}, ports: [{port: 80}]}",
     "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than "
     "86400"},
    {"{ipFamilies: [IPv5], ports: [{port: 80}]}", "Unsupported value: \"IPv5\": supported values"},
    {"{type: ExternalName}", "spec.externalName: Required value"},
    {"{selector: {\"a b\": x}, ports: [{port: 80}]}", "spec.selector: \"a b\" is not a label key"},
    {"{selector: {app: \"-x\"}, ports: [{port: 80}]}", "label app: \"-x\" is not a label value"},
    {"{selector: [a], ports: [{port: 80}]}", "spec.selector: is a list, an object of strings is expected"},
};

TEST(Service, BadFieldsAreNamed) {
  for (const auto& bad : kBad) {
    auto s = decode(with_spec(bad.spec));
    ASSERT_FALSE(s) << bad.spec;
    EXPECT_NE(s.error().text().find(bad.said), std::string::npos) << bad.spec << " said: " << s.error().text();
    EXPECT_NE(s.error().text().find("svc.yaml:4: "), std::string::npos) << s.error().text();
  }
}

TEST(Service, BadMetadata) {
  const Bad cases[] = {
      {"{name: Web}", "metadata.name: \"Web\" is not a DNS name"},
      {"{}", "metadata.name: is missing"},
      {"{name: web, namespace: a.b}", "metadata.namespace: \"a.b\" is not a DNS label"},
      {"{name: web, labels: {app: \"a b\"}}", "label app: \"a b\" is not a label value"},
      {"{name: web, annotations: {\"/x\": y}}", "\"/x\" is not an annotation key"},
  };
  for (const auto& c : cases) {
    auto s =
        decode(std::string("apiVersion: v1\nkind: Service\nspec: {ports: [{port: 80}]}\nmetadata: ") + c.spec + "\n");
    ASSERT_FALSE(s) << c.spec;
    EXPECT_NE(s.error().text().find(c.said), std::string::npos) << s.error().text();
  }
  auto kind = decode("apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n");
  ASSERT_FALSE(kind);
  EXPECT_NE(kind.error().text().find("svc.yaml:2: kind: \"Pod\" is not Service"), std::string::npos)
      << kind.error().text();
  auto version = decode("apiVersion: v2\nkind: Service\nmetadata: {name: web}\n");
  ASSERT_FALSE(version);
  EXPECT_NE(version.error().text().find("svc.yaml:1: apiVersion: \"v2\" is not v1"), std::string::npos);
}

TEST(Service, UnknownFieldsAreCollectedWithTheirLines) {
  Unknowns unknowns;
  auto s = decode(R"(apiVersion: v1
kind: Service
metadata:
  name: web
  colour: red
spec:
  ports:
  - port: 80
    weight: 3
  flavour: sweet
  ipFamilyPolicy: RequireDualStack
extra: 1
)",
                  &unknowns);
  ASSERT_TRUE(s) << s.error().text();
  EXPECT_EQ(unknowns,
            (Unknowns{"svc.yaml:5: metadata.colour", "svc.yaml:9: spec.ports[0].weight",
                      "svc.yaml:11: spec.ipFamilyPolicy", "svc.yaml:10: spec.flavour", "svc.yaml:12: extra"}));
}

}  // namespace
}  // namespace podshim::kube
