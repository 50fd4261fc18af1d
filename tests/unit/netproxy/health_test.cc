// healthCheckNodePort: which Services have one, who counts, and what is answered. With sockets: tests/root/netproxy.
#include "netproxy/health.h"

#include <gtest/gtest.h>

#include "tests/support/services.h"

namespace podshim::test {
namespace {

using namespace netproxy;

TEST(Health, CountsReadyEndpointsOfThisNodeOnce) {
  kube::Service s{.type = kube::ServiceType::load_balancer};
  s.meta = {.name = "web", .name_space = "shop"};
  s.external_policy = kube::TrafficPolicy::local;
  s.health_check_node_port = 31000;
  kube::EndpointSlice a, b;
  a.endpoints = {
      {.addresses = {ip("10.42.0.2")}, .node_name = "node"},
      {.addresses = {ip("10.42.0.3")}, .ready = false, .serving = true, .terminating = true, .node_name = "node"},
      {.addresses = {ip("10.42.9.4")}, .node_name = "other"},
      {.addresses = {ip("10.42.0.5")}}};
  b.endpoints = {{.addresses = {ip("10.42.0.2")}, .node_name = "node"}};  // while it moves between slices
  const NodeFacts facts{.node_name = "node"};
  auto check = health_check_of(s, {&a, &b}, facts);
  EXPECT_EQ(check, (HealthCheck{.port = 31000, .name_space = "shop", .name = "web", .local = 1}));
  kube::EndpointSlice six;  // the same Pod, and one that has this family alone
  six.endpoints = {{.addresses = {ip("2001:db8:42::2")}, .node_name = "node"},
                   {.addresses = {ip("2001:db8:42::7")}, .node_name = "node"}};
  EXPECT_EQ(health_check_of(s, {&a, &b, &six}, facts)->local, 2U);
  s.external_policy = kube::TrafficPolicy::cluster;
  EXPECT_FALSE(health_check_of(s, {&a}, facts));
  s.external_policy = kube::TrafficPolicy::local;
  s.health_check_node_port = 0;
  EXPECT_FALSE(health_check_of(s, {&a}, facts));
}

TEST(Health, AnswersAsALoadBalancerExpects) {
  struct Case {
    const char* request;
    std::size_t local;
    const char *status, *body;
  };
  const char* const kOne =
      "{\"service\":{\"namespace\":\"shop\",\"name\":\"web\"},\"localEndpoints\":1,\"serviceProxyHealthy\":true}\n";
  const char* const kNone =
      "{\"service\":{\"namespace\":\"shop\",\"name\":\"web\"},\"localEndpoints\":0,\"serviceProxyHealthy\":true}\n";
  const Case cases[] = {
      {"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 1, "HTTP/1.1 200 OK\r\n", kOne},
      {"GET / HTTP/1.0\r\n\r\n", 0, "HTTP/1.1 503 Service Unavailable\r\n", kNone},
      {"HEAD /healthz HTTP/1.1\r\n\r\n", 1, "HTTP/1.1 200 OK\r\n", ""},
      {"\x16\x03\x01\r\n\r\n", 1, "HTTP/1.1 400 Bad Request\r\n", "not an HTTP request\n"},
  };
  for (const auto& c : cases) {
    auto out = health_answer({.port = 1, .name_space = "shop", .name = "web", .local = c.local}, c.request);
    EXPECT_TRUE(out.starts_with(c.status)) << out;
    EXPECT_EQ(out.substr(out.find("\r\n\r\n") + 4), c.body) << c.request;
  }
}

}  // namespace
}  // namespace podshim::test
