// Slices, why there are none, and the services directory.
#include <gtest/gtest.h>

#include <fstream>

#include "common/sys/file.h"
#include "fakes.h"

namespace podshim::podlet {
namespace {

struct Pods {
  Backend add(const char* name, const char* address, kube::Labels labels, bool ready = true, int port = 8080,
              const char* port_name = "http") {
    auto& l = labels_.emplace_back(std::move(labels));
    auto& s = specs_.emplace_back();
    s.containers.push_back({.name = "c"});
    s.containers[0].ports.push_back({.name = port_name, .container_port = port});
    return {.name = name, .name_space = "default", .labels = &l, .spec = &s, .ips = {address}, .ready = ready};
  }
  std::deque<kube::Labels> labels_;
  std::deque<kube::PodSpec> specs_;
};

TEST(Slices, ConditionsAndNamedPorts) {
  Pods p;
  std::vector<Backend> pods = {p.add("a", "10.42.0.2", {{"app", "web"}}),
                               p.add("b", "10.42.0.3", {{"app", "web"}}, false),
                               p.add("c", "10.42.0.4", {{"app", "web"}}, true, 9090),
                               p.add("d", "10.42.0.5", {{"app", "db"}}),
                               p.add("e", "10.42.0.6", {{"app", "web"}}),
                               p.add("f", "10.42.0.7", {{"app", "web"}})};
  pods[4].deleting = true;
  pods[5].ended = true;
  auto slices = build_slices(service("web"), pods, "n1");
  ASSERT_EQ(slices.size(), 2u);  // one a port number
  EXPECT_EQ(slices[0].ports[0].port, 8080);
  EXPECT_EQ(slices[1].ports[0].port, 9090);
  EXPECT_EQ(slices[0].ports[0].name, "http");
  ASSERT_EQ(slices[0].endpoints.size(), 3u);
  const auto &a = slices[0].endpoints[0], &b = slices[0].endpoints[1], &e = slices[0].endpoints[2];
  EXPECT_TRUE(a.ready && a.serving && !a.terminating);
  EXPECT_TRUE(!b.ready && !b.serving && !b.terminating);
  EXPECT_TRUE(!e.ready && e.serving && e.terminating);
  EXPECT_EQ(a.node_name, "n1");
  EXPECT_EQ(a.target_name, "a");
  EXPECT_EQ(endpoints_text(slices, 0), "10.42.0.2:8080,10.42.0.4:9090");
  auto published = service("web");
  published.publish_not_ready = true;
  auto all = build_slices(published, pods, "n1")[0].endpoints;
  EXPECT_TRUE(all[1].ready && !all[1].serving && !all[1].terminating);
  EXPECT_TRUE(all[2].ready && all[2].serving && all[2].terminating);  // e ends, and is published all the same
  pods[0].subdomain = pods[1].subdomain = "web";
  pods[0].hostname = "first";
  auto named = build_slices(service("web"), pods, "n1")[0].endpoints;
  EXPECT_EQ(named[0].hostname, "first");
  EXPECT_EQ(named[1].hostname, "");  // only what the Pod's spec names
  published.selector.clear();
  EXPECT_TRUE(build_slices(published, pods, "n1").empty());
}

TEST(Slices, AtMostAThousandEach) {
  Pods p;
  std::vector<Backend> pods;
  for (int i = 0; i < 2500; i++)
    pods.push_back(
        p.add(("p" + std::to_string(i)).c_str(), IpAddress::v4(0x0a2a0002 + i).str().c_str(), {{"app", "web"}}));
  auto slices = build_slices(service("web"), pods, "n1");
  ASSERT_EQ(slices.size(), 3u);
  EXPECT_EQ(slices[0].endpoints.size(), 1000u);
  EXPECT_EQ(slices[2].endpoints.size(), 500u);
  EXPECT_NE(slices[0].meta.name, slices[1].meta.name);
}

TEST(Explain, EachReason) {
  Pods p;
  auto not_ready = p.add("web-1", "10.42.0.2", {{"app", "web"}, {"tier", "front"}}, false);
  not_ready.why_not_ready = "Readiness probe failed: HTTP 503";
  auto typo = p.add("wep-1", "10.42.0.3", {{"app", "wep"}, {"tier", "front"}});
  auto other = p.add("db-1", "10.42.0.4", {{"app", "db"}});
  auto wrong_port = p.add("web-2", "10.42.0.5", {{"app", "web"}}, true, 8080, "metrics");
  auto leaving = p.add("web-3", "10.42.0.6", {{"app", "web"}});
  leaving.deleting = true;
  auto both = service("web");
  both.selector = {{"app", "web"}, {"tier", "front"}};
  auto no_selector = service("web");
  no_selector.selector.clear();
  struct Case {
    const char* name;
    kube::Service s;
    std::vector<Backend> pods;
    std::vector<std::string> want;  // beginnings of lines
  };
  const Case cases[] = {
      {"no Pod at all", service("web"), {}, {"no Pod is in namespace default"}},
      {"a label nobody carries",
       both,
       {other, typo},
       {"no Pod carries the label app=web of the selector",
        "nearest: Pod wep-1 (app=wep,tier=front) has app=wep instead of app=web", "         Pod db-1"}},
      {"the least typing error is the nearest",
       service("web"),
       {p.add("a", "10.42.0.8", {{"app", "client"}}), p.add("b", "10.42.0.9", {{"app", "wep"}})},
       {"no Pod carries the label app=web of the selector", "nearest: Pod b (app=wep)"}},
      {"each label is carried, not together",
       both,
       {p.add("x", "10.42.0.8", {{"app", "web"}}), p.add("y", "10.42.0.9", {{"tier", "front"}})},
       {"no Pod carries all labels of the selector app=web,tier=front at once",
        "nearest: Pod x (app=web) has no label tier instead of tier=front"}},
      {"not ready",
       service("web"),
       {not_ready},
       {"1 Pod matches, but none is ready:", "  Pod web-1: Readiness probe failed: HTTP 503"}},
      {"deleting", service("web"), {leaving}, {"1 Pod matches, but none is ready:", "  Pod web-3: is being deleted"}},
      {"no port of that name",
       service("web"),
       {wrong_port},
       {"1 Pod matches, but no container has a port named http (Pod web-2 has the ports metrics)"}},
      {"no selector",
       no_selector,
       {},
       {"the Service has no selector, and no Endpoints or EndpointSlice of its name is given"}},
  };
  for (const auto& c : cases) {
    auto slices = build_slices(c.s, c.pods, "n1");
    EXPECT_EQ(endpoints_text(slices, 0), "<none>") << c.name;
    auto lines = explain_none(c.s, c.pods, slices);
    ASSERT_GE(lines.size(), c.want.size()) << c.name;
    for (std::size_t i = 0; i < c.want.size(); i++)
      EXPECT_TRUE(lines[i].starts_with(c.want[i])) << c.name << ": " << lines[i];
  }
  std::vector<Backend> fine = {p.add("ok", "10.42.0.10", {{"app", "web"}})};
  EXPECT_TRUE(explain_none(service("web"), fine, build_slices(service("web"), fine, "n1")).empty());
}

TEST(ServicesDir, WritesChangesOnlyAndSweeps) {
  TempDir dir;
  auto path = dir.path / "services";
  std::filesystem::create_directories(path);
  {
    std::ofstream(path / "service_default_stale.json") << "{}";
  }
  {
    std::ofstream(path / "foreign.txt") << "x";
  }
  ServicesDir services(path);
  auto s = service("web");
  s.cluster_ips = {ip("10.43.0.7")};
  Pods p;
  std::vector<Backend> pods = {p.add("a", "10.42.0.2", {{"app", "web"}})};
  auto slices = build_slices(s, pods, "n1");
  ASSERT_TRUE(services.write({s}, slices).value_or(false));
  EXPECT_FALSE(std::filesystem::exists(path / "service_default_stale.json"));
  EXPECT_TRUE(std::filesystem::exists(path / "foreign.txt"));
  EXPECT_FALSE(services.write({s}, slices).value_or(true));  // nothing changed, nothing is written
  auto file = path / "endpointslice_default_web-0.json";
  auto value = json::parse(*sys::read_file(file));
  ASSERT_TRUE(value);
  auto reader = json::Reader::of(*value);
  kube::Unknowns unknowns;
  auto back = kube::decode_endpoint_slice(*reader, unknowns);
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(back->endpoints, slices[0].endpoints);
  EXPECT_EQ(back->ports, slices[0].ports);
  ASSERT_TRUE(services.write({}, {}).value_or(false));
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST(ServicesDir, NetproxyStatus) {
  TempDir dir;
  auto file = (dir.path / "s.json").string();
  EXPECT_FALSE(netproxy_sends_to("", {"10.42.0.2:8080"}));
  EXPECT_FALSE(netproxy_sends_to(file, {"10.42.0.2:8080"}));
  {
    std::ofstream(file)
        << R"({"generation": 2, "services": {"default/web": {"endpoints": {"http": ["10.42.0.2:8080"]}}}})";
  }
  EXPECT_TRUE(netproxy_sends_to(file, {"10.42.0.9:1", "10.42.0.2:8080"}));
  EXPECT_FALSE(netproxy_sends_to(file, {"10.42.0.2:80"}));
  {
    std::ofstream(file) << "{";
  }
  EXPECT_FALSE(netproxy_sends_to(file, {"10.42.0.2:8080"}));
  EXPECT_EQ(endpoint_text(ip("fd00::2"), 80), "[fd00::2]:80");
}

}  // namespace
}  // namespace podshim::podlet
