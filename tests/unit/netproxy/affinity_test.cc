// What session affinity may go on remembering after a change.
#include "netproxy/affinity.h"

#include <gtest/gtest.h>

#include "netproxy/render_netlink.h"
#include "tests/support/services.h"

namespace podshim::test {
namespace {

using namespace netproxy;

const Backend kNear = backend("10.42.0.7"), kFar = backend("10.42.9.8", 8080, false);
const Sources kSources{.pods = {*Cidr::parse("10.42.0.0/16")}, .node = {ip("192.0.2.1")}};

ServiceModel cart(std::vector<Backend> backends) {
  auto model = ModelOf{.key = "shop/cart", .vip = "10.43.0.21", .node_port = 30091, .backends = backends}.model();
  model.external = {ip("203.0.113.11")};
  model.affinity = 60;
  for (const auto& b : backends)
    if (b.local) model.ports.front().local.push_back(b);
  return model;
}

Remembered entry(const char* client, const char* front, int port, const Backend& to, std::uint32_t seconds = 60) {
  return {.map = {SetKind::aff, Family::v4, seconds},
          .key = Bytes().address(ip(client)).address(ip(front)).proto(Protocol::tcp).port(port),
          .data = Bytes().address(to.address).port(to.port),
          .expires_ms = 1000};
}

TEST(Affinity, ForgetsWhatLeadsToADepartedEndpoint) {
  AffinityCheck check;
  check.add(cart({kNear, kFar}), cart({kNear}));
  struct Case {
    const char* name;
    Remembered entry;
    AffinityCheck::Answer want;
  };
  using enum AffinityCheck::Answer;
  const Case cases[] = {
      {"stays", entry("10.42.0.100", "10.43.0.21", 80, kNear), keep},
      {"leaves", entry("10.42.0.100", "10.43.0.21", 80, kFar), forget},
      {"leaves, external address", entry("192.0.2.100", "203.0.113.11", 80, kFar), forget},
      {"leaves, node port", entry("192.0.2.100", "192.0.2.1", 30091, kFar), forget},
      {"another front", entry("192.0.2.100", "10.43.0.99", 80, kFar), of_others},
      {"another port", entry("192.0.2.100", "10.43.0.21", 81, kFar), of_others},
      {"a node port on no address of this node", entry("192.0.2.100", "192.0.2.2", 30091, kFar), of_others},
      {"another timeout's map", entry("192.0.2.100", "10.43.0.21", 80, kFar, 90), of_others},
      {"not an entry", {.map = {SetKind::aff, Family::v4, 60}, .key = Bytes().port(1)}, of_others},
  };
  for (const auto& c : cases) EXPECT_EQ(check(c.entry, kSources), c.want) << c.name;
}

TEST(Affinity, UnderTheLocalPolicyAClientFromOutsideKeepsOnlyWhatIsHere) {
  auto local = cart({kNear, kFar});
  local.external_local = true;
  AffinityCheck check;
  check.add(cart({kNear, kFar}), local);
  using enum AffinityCheck::Answer;
  EXPECT_EQ(check(entry("192.0.2.100", "203.0.113.11", 80, kFar), kSources), forget);
  EXPECT_EQ(check(entry("192.0.2.100", "203.0.113.11", 80, kNear), kSources), keep);
  EXPECT_EQ(check(entry("10.42.0.100", "203.0.113.11", 80, kFar), kSources), keep) << "a Pod uses all endpoints";
  EXPECT_EQ(check(entry("192.0.2.1", "203.0.113.11", 80, kFar), kSources), keep) << "this node too";
  EXPECT_EQ(check(entry("192.0.2.100", "10.43.0.21", 80, kFar), kSources), keep) << "the policy is of external ones";
}

TEST(Affinity, AWithheldAddressIsOfTheServiceThatHasIt) {
  auto withheld = cart({kNear});
  withheld.ports.front().withheld = {ip("203.0.113.11")};
  using enum AffinityCheck::Answer;
  AffinityCheck others;
  others.add(withheld, withheld);
  EXPECT_EQ(others(entry("10.42.0.100", "203.0.113.11", 80, kFar), kSources), of_others);
  EXPECT_EQ(others(entry("10.42.0.100", "10.43.0.21", 80, kFar), kSources), forget);
  AffinityCheck lost;
  lost.add(cart({kNear}), withheld);
  EXPECT_EQ(lost(entry("10.42.0.100", "203.0.113.11", 80, kNear), kSources), forget);
}

TEST(Affinity, ALookIsNeededOnlyWhenSomethingLeaves) {
  struct Case {
    const char* name;
    ServiceModel before, after;
    bool want;
  };
  auto unchanged = cart({kNear, kFar});
  auto with = [&](auto change) {
    auto out = unchanged;
    change(out);
    return out;
  };
  const Case cases[] = {
      {"same", unchanged, unchanged, false},
      {"grown", cart({kNear}), unchanged, false},
      {"shrunk", unchanged, cart({kFar}), true},
      {"no affinity before", with([](auto& m) { m.affinity = 0; }), cart({kFar}), false},
      {"affinity off", unchanged, with([](auto& m) { m.affinity = 0; }), true},
      {"another timeout", unchanged, with([](auto& m) { m.affinity = 90; }), true},
      {"another address", unchanged, with([](auto& m) { m.vips = {ip("10.43.0.22")}; }), true},
      {"policy", unchanged, with([](auto& m) { m.external_local = true; }), true},
      {"another node port", unchanged, with([](auto& m) { m.ports.front().node_port = 30099; }), true},
      {"deleted", unchanged, {.key = "shop/cart"}, true},
      {"none here any more", unchanged, with([](auto& m) { m.ports.front().local.clear(); }), true},
  };
  for (const auto& c : cases) EXPECT_EQ(forgets(c.before, c.after), c.want) << c.name;
}

TEST(Affinity, ATimeoutIsMadeOnceAndForgettingIsSafeWhenTheEntryHasEnded) {
  Applied applied(layout());
  auto plan = applied.plan({cart({kNear, kFar})});
  EXPECT_EQ(plan.timeouts, (std::vector<Timeout>{{Family::v4, 60}}));
  applied.accept(plan);
  plan = applied.plan({cart({kNear})});
  EXPECT_TRUE(plan.timeouts.empty());
  plan.forgotten = {entry("10.42.0.100", "10.43.0.21", 80, kFar)};
  auto batch = render_netlink(plan);
  const auto& requests = batch.batch.requests();
  std::vector<std::string> of_map;
  for (const auto& r : requests)
    if (r.subject == "aff_ip_60") of_map.emplace_back(r.op);
  EXPECT_EQ(of_map, (std::vector<std::string>{"add element", "delete element"}));
  EXPECT_FALSE(Plan{.forgotten = plan.forgotten}.empty());
}

TEST(Affinity, AnExternalAddressOfAnotherServiceCostsOnlyItself) {
  Applied applied(layout());
  applied.accept(applied.plan({cart({kNear})}));
  auto thief = ModelOf{.key = "default/thief", .vip = "10.43.0.66", .backends = {kFar}}.model();
  thief.external = {ip("10.43.0.21"), ip("203.0.113.66")};
  auto plan = applied.plan({thief});
  ASSERT_EQ(plan.services.front().conflicts.size(), 1U);
  EXPECT_EQ(plan.services.front().conflicts.front().front, "10.43.0.21 TCP 80");
  applied.accept(std::move(plan));
  EXPECT_EQ(applied.find("default/thief")->ports.front().withheld, std::vector{ip("10.43.0.21")});
  EXPECT_EQ(front_places(*applied.find("default/thief")).size(), 2U) << "its own addresses are served";
}

}  // namespace
}  // namespace podshim::test
