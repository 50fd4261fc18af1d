// ClusterIPs, node ports, load balancer addresses: given once, kept, refused with a reason.
#include <gtest/gtest.h>

#include "fakes.h"

namespace podshim::podlet {
namespace {

// Test addresses: Pods 10.42.0.0/16, Services 10.43.0.0/16.
Cidr cidr(const char* text) { return *Cidr::parse(text); }

AllocationResult give(std::vector<kube::Service> list, const Allocations& before = {},
                      const char* range = "10.43.0.0/16") {
  return allocate(list, before,
                  {.service_cidr = cidr(range), .cluster_dns = ip("10.43.0.10"), .node_ports = {30000, 32767}});
}

TEST(Allocate, KeepsWhatWasGiven) {
  auto first = give({service("a"), service("n", kube::ServiceType::node_port)});
  ASSERT_EQ(first.services.size(), 2u);
  EXPECT_TRUE(cidr("10.43.0.0/16").contains(first.services[0].cluster_ips.at(0)));
  int port = first.services[1].ports[0].node_port;
  EXPECT_GE(port, 30000);
  EXPECT_LE(port, 32767);
  std::vector<kube::Service> more = {service("0"), service("a"), service("n", kube::ServiceType::node_port)};
  auto again = give(more, first.allocations);
  EXPECT_EQ(again.allocations.at("default/a"), first.allocations.at("default/a"));
  EXPECT_EQ(again.allocations.at("default/n"), first.allocations.at("default/n"));
  auto text = encode_allocations(again.allocations);
  EXPECT_EQ(*decode_allocations(text, "f"), again.allocations);
  EXPECT_TRUE(give({}, first.allocations).allocations.empty());  // a deleted Service gives its address back
}

TEST(Allocate, WishesAndConflicts) {
  auto wish = [](const char* name, const char* address, int node_port = 0) {
    auto s = service(name, node_port != 0 ? kube::ServiceType::node_port : kube::ServiceType::cluster_ip);
    if (*address != 0) s.cluster_ips = {ip(address)};
    s.ports[0].node_port = node_port;
    return s;
  };
  struct Case {
    const char* name;
    std::vector<kube::Service> services;
    const char* refused;
    const char* why;
  };
  const Case cases[] = {
      {"honoured", {wish("a", "10.43.7.7")}, "", ""},
      {"dns address may be asked for", {wish("dns", "10.43.0.10")}, "", ""},
      {"same address",
       {wish("a", "10.43.7.7"), wish("b", "10.43.7.7")},
       "default/b",
       "spec.clusterIP: Invalid value: \"10.43.7.7\": provided IP is already allocated (to Service default/a)"},
      {"outside",
       {wish("a", "10.44.0.1")},
       "default/a",
       "spec.clusterIP: Invalid value: \"10.44.0.1\": provided IP is not in the valid range. "
       "The range of valid IPs is 10.43.0.0/16"},
      {"network address", {wish("a", "10.43.0.0")}, "default/a", "provided IP is not in the valid range"},
      {"same nodePort",
       {wish("a", "", 30001), wish("b", "", 30001)},
       "default/b",
       "spec.ports[0].nodePort: Invalid value: 30001: provided port is already allocated (to Service default/a)"},
      {"nodePort out of range",
       {wish("a", "", 80)},
       "default/a",
       "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. "
       "The range of valid ports is 30000-32767"},
  };
  for (const auto& c : cases) {
    auto r = give(c.services);
    EXPECT_EQ(r.refused.size(), *c.refused != 0 ? 1u : 0u) << c.name;
    if (*c.refused == 0) continue;
    EXPECT_NE(r.refused[c.refused].find(c.why), std::string::npos) << c.name << ": " << r.refused[c.refused];
  }
}

// What a living Service holds is nobody else's, whoever asks first; a refused change leaves the Service as it was.
TEST(Allocate, NobodyTakesWhatIsHeld) {
  auto node_port = [](const char* name, int number = 0) {
    auto s = service(name, kube::ServiceType::node_port);
    s.ports[0].node_port = number;
    return s;
  };
  auto first = give({node_port("a"), node_port("z")});
  const auto was_a = first.allocations.at("default/a"), was_z = first.allocations.at("default/z");
  int port_a = was_a.node_ports.at("http/TCP"), port_z = was_z.node_ports.at("http/TCP");
  auto change = [&](std::vector<kube::Service> list, const std::vector<kube::Service>& accepted) {
    return allocate(
        list, first.allocations,
        {.service_cidr = cidr("10.43.0.0/16"), .cluster_dns = ip("10.43.0.10"), .node_ports = {30000, 32767}},
        accepted);
  };
  auto port_why = "spec.ports[0].nodePort: Invalid value: " + std::to_string(port_z) +
                  ": provided port is already allocated (to Service default/z)";
  auto address = node_port("a"), none = service("a");
  address.cluster_ips = {ip(was_z.cluster_ips.at(0).c_str())};
  none.headless = true;
  auto address_why =
      "spec.clusterIPs[0]: Invalid value: [\"" + was_z.cluster_ips.at(0) + "\"]: may not change once set";
  auto none_why = std::string("spec.clusterIPs[0]: Invalid value: [\"None\"]: may not change once set");
  for (const auto& [edit, why] :
       {std::pair{node_port("a", port_z), port_why}, std::pair{address, address_why}, std::pair{none, none_why}}) {
    auto r = change({edit, node_port("z")}, first.services);
    EXPECT_EQ(r.refused["default/a"], why + "; what was accepted before is still served");
    EXPECT_EQ(r.allocations, first.allocations) << why;
    EXPECT_EQ(r.services, first.services) << why;
    // Nobody knows what was accepted: then what it held is kept at least, also from newcomers.
    auto unknown = change({edit, node_port("z"), node_port("new", port_a)}, {});
    EXPECT_EQ(unknown.refused["default/a"], why);
    EXPECT_NE(unknown.refused["default/new"].find("already allocated (to Service default/a)"), std::string::npos);
    EXPECT_EQ(unknown.allocations, first.allocations) << why;
    ASSERT_EQ(unknown.services.size(), 1u);
    EXPECT_EQ(unknown.services[0].meta.name, "z");
  }
  // What its holder gives back in the same turn can be had, whatever the names say.
  auto moved = change({node_port("a", port_z), node_port("z", port_z == 30500 ? 30501 : 30500)}, first.services);
  EXPECT_TRUE(moved.refused.empty());
  EXPECT_EQ(moved.allocations.at("default/a").node_ports.at("http/TCP"), port_z);
}

// The first cluster address, or that there is none, stays as long as the Service lives; ExternalName has none to keep.
TEST(Allocate, TheClusterAddressMayNotChangeOnceSet) {
  const Ranges ranges{
      .service_cidr = cidr("10.43.0.0/16"), .cluster_dns = ip("10.43.0.10"), .node_ports = {30000, 30003}};
  auto at = [](const char* address) {
    auto s = service("a");
    if (*address != 0) s.cluster_ips = {ip(address)};
    return s;
  };
  auto none = service("a"), external = service("a", kube::ServiceType::external_name);
  auto ported = service("a", kube::ServiceType::node_port);
  none.headless = true;
  external.external_name = "a.example.com";
  const char* const kStays = "may not change once set";
  struct Case {
    const char* name;
    kube::Service before, after;
    const char* refused;  // "" = taken
    const char* range = "10.43.0.0/16";
  };
  const Case cases[] = {
      {"another address", at("10.43.0.50"), at("10.43.0.51"), kStays},
      {"the same", at("10.43.0.50"), at("10.43.0.50"), ""},
      {"no longer named", at("10.43.0.50"), at(""), ""},
      {"to headless", at("10.43.0.50"), none, kStays},
      {"from headless", none, at("10.43.0.51"), kStays},
      {"headless, no longer named", none, at(""), ""},
      {"headless, no longer named, and another type", none, ported, "may not be set to 'None' for NodePort services"},
      {"another type", at("10.43.0.50"), ported, ""},
      {"to ExternalName", at("10.43.0.50"), external, ""},
      {"from ExternalName", external, at("10.43.0.51"), ""},
      {"the range has moved", at("10.43.0.50"), at("10.44.0.51"), "", "10.44.0.0/16"},
  };
  for (const auto& c : cases) {
    auto first = allocate({c.before}, {}, ranges);
    auto moved = ranges;
    moved.service_cidr = cidr(c.range);
    // `accepted` is lost with a reboot; what was given is known all the same.
    for (bool known : {true, false}) {
      if (!known && (c.before.headless || *c.refused == 0)) continue;
      auto r = allocate({c.after}, first.allocations, moved, known ? first.services : std::vector<kube::Service>());
      EXPECT_EQ(r.refused["default/a"].empty(), *c.refused == 0) << c.name << ": " << r.refused["default/a"];
      EXPECT_NE(r.refused["default/a"].find(c.refused), std::string::npos) << c.name << ": " << r.refused["default/a"];
      if (*c.refused == 0) continue;
      EXPECT_EQ(r.allocations, first.allocations) << c.name;
      if (known) {
        EXPECT_EQ(r.services, first.services) << c.name;
      }
    }
    auto now = allocate({c.after}, first.allocations, moved, first.services).services.at(0);
    if (c.before.headless) {
      EXPECT_TRUE(now.headless) << c.name;
    } else if (c.after.cluster_ips.empty() && c.after.type != kube::ServiceType::external_name) {
      EXPECT_EQ(now.cluster_ips, c.before.cluster_ips) << c.name;
    }
  }
}

// A new port, first in the list, does not take the one of its neighbour; nor that of another Service it hashes to.
TEST(Allocate, ANewPortTakesNoOthers) {
  auto give_few = [](std::vector<kube::Service> list, const Allocations& before) {
    return allocate(
        list, before,
        {.service_cidr = cidr("10.43.0.0/16"), .cluster_dns = ip("10.43.0.10"), .node_ports = {30000, 30003}});
  };
  auto a = service("a", kube::ServiceType::node_port), z = service("z", kube::ServiceType::node_port);
  auto first = give_few({a, z}, {});
  for (const char* name : {"b", "c", "d", "e", "f", "g", "h", "i"}) {
    auto more = a;
    for (const char* suffix : {"1", "2"})
      more.ports.insert(more.ports.begin(), {.name = name + std::string(suffix), .port = 81});
    auto r = give_few({more, z}, first.allocations);
    EXPECT_TRUE(r.refused.empty()) << name;
    EXPECT_EQ(r.allocations.at("default/z"), first.allocations.at("default/z")) << name;
    EXPECT_EQ(r.allocations.at("default/a").node_ports.at("http/TCP"),
              first.allocations.at("default/a").node_ports.at("http/TCP"))
        << name;
  }
}

// A small range: all given, none twice, none reserved; one too many is refused.
TEST(Allocate, Exhaustion) {
  std::vector<kube::Service> list;
  for (int i = 0; i < 13; i++) list.push_back(service(("s" + std::to_string(i)).c_str()));
  auto r = give(list, {}, "10.43.0.0/28");  // 16 - network - broadcast - .1 - dns (.10) = 12
  EXPECT_EQ(r.services.size(), 12u);
  EXPECT_EQ(r.refused.size(), 1u);
  std::set<IpAddress> seen;
  for (const auto& s : r.services) {
    EXPECT_TRUE(seen.insert(s.cluster_ips.at(0)).second);
    EXPECT_NE(s.cluster_ips[0], ip("10.43.0.10"));
    EXPECT_NE(s.cluster_ips[0], ip("10.43.0.1"));
    EXPECT_NE(s.cluster_ips[0], ip("10.43.0.15"));
  }
}

TEST(Allocate, HeadlessAndExternalNameTakeNothing) {
  auto headless = service("h");
  headless.headless = true;
  auto external = service("e", kube::ServiceType::external_name);
  auto r = give({headless, external});
  EXPECT_TRUE(r.services[0].cluster_ips.empty());
  EXPECT_TRUE(r.services[1].cluster_ips.empty());
}

AllocationResult balance(std::vector<kube::Service> list, const char* pool, const Allocations& before = {}) {
  Ranges ranges{.service_cidr = cidr("10.43.0.0/16"), .cluster_dns = ip("10.43.0.10"), .node_ports = {30000, 32767}};
  if (*pool != 0) ranges.load_balancer_pool = cidr(pool);
  return allocate(list, before, ranges);
}
kube::Service balanced(const char* name, const char* wish = "") {
  auto s = service(name, kube::ServiceType::load_balancer);
  if (*wish != 0) s.load_balancer_ip = ip(wish);
  return s;
}

TEST(Balance, GivesOncePerServiceAndKeeps) {
  std::vector<kube::Service> list = {balanced("a"), balanced("b"), balanced("c"), service("plain")};
  auto r = balance(list, "203.0.113.0/29");  // six that can be given
  EXPECT_TRUE(r.pending.empty());
  std::set<IpAddress> seen;
  for (const auto& s : r.services) {
    if (s.type != kube::ServiceType::load_balancer) {
      EXPECT_TRUE(s.load_balancer_ips.empty());
      continue;
    }
    ASSERT_EQ(s.load_balancer_ips.size(), 1u);
    EXPECT_TRUE(cidr("203.0.113.0/29").contains(s.load_balancer_ips[0]));
    EXPECT_TRUE(seen.insert(s.load_balancer_ips[0]).second);
    EXPECT_NE(s.ports[0].node_port, 0);
  }
  EXPECT_EQ(*decode_allocations(encode_allocations(r.allocations), "f"), r.allocations);
  list.insert(list.begin(), {balanced("0"), balanced("00")});  // newcomers take nothing from those who have
  EXPECT_EQ(balance(list, "203.0.113.0/29", r.allocations).allocations.at("default/b"), r.allocations.at("default/b"));
  // Nor does an elder that asks for what another has.
  auto held = r.allocations.at("default/b").load_balancer_ips.at(0);
  auto wish = balance({balanced("a", held.c_str()), balanced("b")}, "203.0.113.0/29", r.allocations);
  EXPECT_EQ(wish.pending["default/a"], "loadBalancerIP " + held + " belongs to Service default/b");
  EXPECT_EQ(wish.allocations.at("default/b"), r.allocations.at("default/b"));
}

// Without an address a Service is served all the same, and says why it has none.
TEST(Balance, Pending) {
  auto foreign = balanced("a");
  foreign.load_balancer_class = "example.com/lb";
  struct Case {
    const char* name;
    const char* pool;
    std::vector<kube::Service> services;
    const char* why;  // of default/a; "" = it has an address
  };
  const Case cases[] = {
      {"no pool", "", {balanced("a")}, "podlet.load-balancer-pool is not configured"},
      {"another's", "203.0.113.0/29", {foreign}, "loadBalancerClass example.com/lb is another implementation's"},
      {"a wish", "203.0.113.0/29", {balanced("a", "203.0.113.5")}, ""},
      {"a wish outside",
       "203.0.113.0/29",
       {balanced("a", "198.51.100.1")},
       "loadBalancerIP 198.51.100.1 is not in the load-balancer-pool 203.0.113.0/29"},
      {"a wish twice",
       "203.0.113.0/29",
       {balanced("0", "203.0.113.5"), balanced("a", "203.0.113.5")},
       "loadBalancerIP 203.0.113.5 belongs to Service default/0"},
      {"one address", "203.0.113.7/32", {balanced("a")}, ""},
      {"used up",
       "203.0.113.7/32",
       {balanced("0"), balanced("a")},
       "no free address is left in the load-balancer-pool 203.0.113.7/32"},
  };
  for (const auto& c : cases) {
    auto r = balance(c.services, c.pool);
    EXPECT_TRUE(r.refused.empty()) << c.name;
    EXPECT_EQ(r.services.size(), c.services.size()) << c.name;
    EXPECT_EQ(r.pending["default/a"], c.why) << c.name;
    EXPECT_EQ(r.services.back().load_balancer_ips.size(), *c.why == 0 ? 1u : 0u) << c.name;
  }
}

// A port for the load balancer's question, out of the same range: nobody else's, kept, and not to be changed.
TEST(Balance, HealthCheckNodePort) {
  auto local = [](const char* name, int health = 0) {
    auto s = balanced(name);
    s.external_policy = kube::TrafficPolicy::local;
    s.health_check_node_port = health;
    return s;
  };
  const Ranges few{.service_cidr = cidr("10.43.0.0/16"), .cluster_dns = ip("10.43.0.10"), .node_ports = {30000, 30003}};
  auto first = allocate({local("a"), local("b")}, {}, few);
  EXPECT_TRUE(first.refused.empty());
  std::set<int> seen;
  for (const auto& s : first.services) {
    EXPECT_GE(s.health_check_node_port, 30000);
    seen.insert({s.health_check_node_port, s.ports[0].node_port});
  }
  EXPECT_EQ(seen.size(), 4u) << "each port once";
  EXPECT_EQ(*decode_allocations(encode_allocations(first.allocations), "f"), first.allocations);
  int a = first.services[0].health_check_node_port, b = first.services[1].health_check_node_port;
  struct Case {
    const char* name;
    std::vector<kube::Service> services;
    std::string why;  // of default/a; "" = taken
  };
  const auto at = [](int port) { return "spec.healthCheckNodePort: Invalid value: " + std::to_string(port) + ": "; };
  const Case changes[] = {
      {"unsaid: kept", {local("a"), local("b")}, ""},
      {"said as it is", {local("a", a), local("b")}, ""},
      {"another", {local("a", b), local("b")}, at(b) + "field is immutable"},
      {"no room for one more", {local("a"), local("b"), local("c")}, ""},
      {"no longer Local", {balanced("a"), local("b")}, ""},
  };
  for (const auto& c : changes) {
    auto r = allocate(c.services, first.allocations, few, first.services);
    EXPECT_EQ(r.refused["default/a"], c.why.empty() ? "" : c.why + "; what was accepted before is still served")
        << c.name;
    const auto& now = r.allocations.at("default/a").node_ports;
    EXPECT_EQ(now.contains("healthCheck/TCP"), std::string(c.name) != "no longer Local") << c.name;
    if (now.contains("healthCheck/TCP")) {
      EXPECT_EQ(now.at("healthCheck/TCP"), a) << c.name;
    }
    EXPECT_EQ(r.allocations.at("default/b"), first.allocations.at("default/b")) << c.name;
  }
  // A new port of its own does not take it either, whatever it hashes to.
  auto one = few;
  one.node_ports = {30000, 30002};
  auto lone = allocate({local("a")}, {}, one);
  for (const char* name : {"b", "c", "d", "e", "f", "g", "h", "i"}) {
    auto more = local("a");
    more.ports.insert(more.ports.begin(), {.name = name, .port = 81});
    auto r = allocate({more}, lone.allocations, one, lone.services);
    EXPECT_TRUE(r.refused.empty()) << name;
    EXPECT_EQ(r.services.at(0).health_check_node_port, lone.services[0].health_check_node_port) << name;
  }
  EXPECT_NE(
      allocate({local("a", 80)}, {}, few).refused["default/a"].find(at(80) + "provided port is not in the valid range"),
      std::string::npos);
  auto same = local("a", 30001);
  same.ports[0].node_port = 30001;
  EXPECT_EQ(allocate({same}, {}, few).refused["default/a"],
            at(30001) + "provided port is already allocated (to Service default/a)");
  // Who asks for one goes before who takes what is left.
  int alone = allocate({balanced("a")}, {}, few).services[0].ports[0].node_port;
  auto both = allocate({balanced("a"), local("z", alone)}, {}, few);
  EXPECT_EQ(both.refused, (std::map<std::string, std::string>{}));
  EXPECT_EQ(both.allocations.at("default/z").node_ports.at("healthCheck/TCP"), alone);
  EXPECT_EQ(allocate({local("a"), local("c", a)}, first.allocations, few).refused["default/c"],
            at(a) + "provided port is already allocated (to Service default/a)");
}

// A living Service that becomes Local where no port is left is served all the same, and gets one when there is one.
TEST(Balance, AFullRangeLeavesTheHealthCheckPending) {
  auto local = balanced("a");
  local.external_policy = kube::TrafficPolicy::local;
  const Ranges two{.service_cidr = cidr("10.43.0.0/16"), .cluster_dns = ip("10.43.0.10"), .node_ports = {30000, 30001}};
  auto before = allocate({balanced("a"), balanced("b")}, {}, two);
  auto full = allocate({local, balanced("b")}, before.allocations, two, before.services);
  EXPECT_EQ(full.refused, (std::map<std::string, std::string>{}));
  EXPECT_EQ(full.health_pending.at("default/a"), "spec.healthCheckNodePort: no node port is left");
  EXPECT_EQ(full.allocations, before.allocations);
  ASSERT_EQ(full.services.size(), 2U);
  EXPECT_EQ(full.services[0].external_policy, kube::TrafficPolicy::local);
  EXPECT_EQ(full.services[0].health_check_node_port, 0);
  // The other gives its port back: in the same turn, though it has its turn later.
  auto clear = balanced("b");
  clear.allocate_node_ports = false;
  auto room = allocate({local, clear}, full.allocations, two, full.services);
  EXPECT_EQ(room.health_pending, (std::map<std::string, std::string>{}));
  EXPECT_EQ(room.services.at(0).health_check_node_port, before.services[1].ports[0].node_port);
  EXPECT_EQ(room.allocations.at("default/a").node_ports.size(), 2U);
  // One that is asked for is refused, as any other.
  local.health_check_node_port = before.services[1].ports[0].node_port;
  auto asked = allocate({local, balanced("b")}, before.allocations, two, before.services);
  EXPECT_TRUE(
      asked.refused.at("default/a").ends_with("(to Service default/b); what was accepted before is still served"))
      << asked.refused.at("default/a");
}

TEST(Balance, NodePortsOnlyWhereWanted) {
  auto without = balanced("a"), with_one = balanced("b");
  without.allocate_node_ports = with_one.allocate_node_ports = false;
  with_one.ports[0].node_port = 30007;
  auto r = balance({without, with_one}, "203.0.113.0/29");
  EXPECT_EQ(r.services[0].ports[0].node_port, 0);
  EXPECT_EQ(r.services[1].ports[0].node_port, 30007);
  EXPECT_EQ(r.allocations.at("default/b").node_ports.at("http/TCP"), 30007);  // taken, for all others
}

}  // namespace
}  // namespace podshim::podlet
