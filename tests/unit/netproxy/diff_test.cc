// diff: minimal batches, dense slots, one owner a front, and properties over random histories.
#include "netproxy/diff.h"

#include <gtest/gtest.h>

#include <random>

#include "netproxy/render_text.h"
#include "tests/support/services.h"

namespace podshim::test {
namespace {

using namespace netproxy;

std::vector<Backend> backends(std::initializer_list<int> last) {
  std::vector<Backend> out;
  for (int n : last) out.push_back(backend("10.42.0." + std::to_string(n)));
  return out;
}

TEST(Arrange, KeepsSlotsDense) {
  struct Case {
    const char* name;
    std::vector<Backend> applied, wanted, want;
  };
  const Case cases[] = {
      {"first", {}, backends({2, 3}), backends({2, 3})},
      {"same", backends({3, 2}), backends({2, 3}), backends({3, 2})},
      {"one comes", backends({3, 2}), backends({1, 2, 3}), backends({3, 2, 1})},
      {"first leaves: the last takes its slot", backends({2, 3, 4}), backends({3, 4}), backends({4, 3})},
      {"last leaves", backends({2, 3, 4}), backends({2, 3}), backends({2, 3})},
      {"one is replaced in its slot", backends({2, 3, 4}), backends({2, 4, 9}), backends({2, 9, 4})},
      {"all leave", backends({2, 3}), {}, {}},
  };
  for (const auto& c : cases) EXPECT_EQ(arrange(c.applied, c.wanted), c.want) << c.name;
}

// Plans and accepts, as the kernel would have acknowledged it.
Plan step(Applied& applied, std::vector<ServiceModel> models) {
  auto plan = applied.plan(std::move(models));
  applied.accept(plan);
  return plan;
}

ServiceModel web(std::initializer_list<int> last, int node_port = 0) {
  return ModelOf{.node_port = node_port, .backends = backends(last)}.model();
}

TEST(Plan, AnEndpointChangeIsAHandfulOfElements) {
  Applied applied(layout());
  step(applied, {web({2, 3, 4})});
  auto plan = applied.plan({web({2, 9, 4})});
  EXPECT_EQ(
      render_text(plan),
      "delete element inet podshim ep_ip { 10.43.0.1 . tcp . 80 . 1 comment \"default/web:http\" : 10.42.0.3 . 8080 }\n"
      "delete element inet podshim hairpin_ip { 10.42.0.3 . 10.42.0.3 }\n"
      "add element inet podshim ep_ip { 10.43.0.1 . tcp . 80 . 1 comment \"default/web:http\" : 10.42.0.9 . 8080 }\n"
      "add element inet podshim hairpin_ip { 10.42.0.9 . 10.42.0.9 }\n");
}

TEST(Plan, ARemovalMovesTheLastSlotAndLowersN) {
  Applied applied(layout());
  step(applied, {web({2, 3, 4})});
  auto plan = step(applied, {web({3, 4})});
  EXPECT_EQ(plan.services.front().changes.size(), 5U);
}

ServiceModel web_of(int endpoints, std::uint32_t affinity = 0) {
  auto model = web({});
  for (int i = 0; i < endpoints; i++)
    model.ports.front().backends.push_back(backend("10.42." + std::to_string(i / 200) + "." + std::to_string(i % 200)));
  model.affinity = affinity;
  return model;
}

std::vector<std::string> names_of(const std::vector<Chain>& chains) {
  std::vector<std::string> out;
  for (const auto& c : chains) out.push_back(c.name);
  std::ranges::sort(out);
  return out;
}

// A chain that looks into a large map costs a walk of it.
TEST(Plan, AServiceScaledOneByOneNeverAsksForAChain) {
  for (std::uint32_t affinity : {0U, 10800U}) {
    Applied applied(layout());
    step(applied, {web_of(1, affinity)});
    auto scale = [&](int n) {
      EXPECT_TRUE(step(applied, {web_of(n, affinity)}).chains.empty()) << n;
      // One quiet moment after each.
      if (auto chain = applied.ahead()) applied.accept({.chains = {*chain}});
    };
    for (int n = 2; n <= 40; n++) scale(n);
    for (int n = 39; n >= 0; n--) scale(n);
    EXPECT_EQ(names_of(step(applied, {web_of(80, affinity)}).chains).size(), 1U) << "a jump";
    auto next = applied.ahead();
    ASSERT_TRUE(next);
    EXPECT_EQ(next->name, affinity == 0 ? "ip_n81" : "ip_n81_aff") << "the nearest first";
    int quiet = 0;
    for (; applied.ahead() && quiet < 100; quiet++) applied.accept({.chains = {*applied.ahead()}});
    EXPECT_EQ(quiet, 8) << "and then there is nothing more to do";
    auto names = names_of(applied.ruleset().chains);
    EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
  }
}

TEST(Plan, ATableMadeAnewHasTheChainsAheadAtOnce) {
  Applied applied(layout());
  auto plan = step(applied, {web_of(30)});
  EXPECT_EQ(names_of(plan.chains), (std::vector<std::string>{"ip_n26", "ip_n27", "ip_n28", "ip_n29", "ip_n30", "ip_n31",
                                                             "ip_n32", "ip_n33", "ip_n34"}));
  EXPECT_FALSE(applied.ahead());
}

TEST(Plan, ChainsOfNodePortsAreMadeWhenTheyAreMetAndKept) {
  Applied applied(layout());
  EXPECT_EQ(names_of(step(applied, {web({2, 3, 4}, 30080)}).chains), std::vector<std::string>{"np_ip_n3"});
  EXPECT_EQ(names_of(step(applied, {web({3, 4}, 30080)}).chains), std::vector<std::string>{"np_ip_n2"});
  EXPECT_TRUE(step(applied, {web({3, 4, 2}, 30080)}).chains.empty()) << "the chain of 3 was kept";
  EXPECT_FALSE(applied.ahead()) << "their map is small";
}

TEST(Plan, AnEndpointOfTwoServicesIsInTheHairpinSetOnce) {
  Applied applied(layout());
  auto other = ModelOf{.key = "default/other", .vip = "10.43.0.3", .backends = backends({2})}.model();
  EXPECT_EQ(step(applied, {web({2})}).shared_changes.size(), 2U);  // the front address and the endpoint
  EXPECT_EQ(step(applied, {other}).shared_changes.size(), 1U);     // its own front address
  EXPECT_EQ(step(applied, {{.key = "default/web"}}).shared_changes.size(), 1U);
  auto last = step(applied, {{.key = "default/other"}});
  EXPECT_EQ(last.shared_changes.size(), 2U);
  EXPECT_TRUE(applied.ruleset().elements.empty());
}

TEST(Plan, TheFirstOwnerKeepsAFrontAndTheSecondGetsItAfterwards) {
  Applied applied(layout());
  auto thief = ModelOf{.key = "default/thief", .backends = backends({7})}.model();
  step(applied, {web({2})});
  auto plan = step(applied, {thief});
  ASSERT_EQ(plan.services.front().conflicts.size(), 1U);
  EXPECT_EQ(plan.services.front().conflicts.front().front, "10.43.0.1 TCP 80");
  EXPECT_EQ(plan.services.front().conflicts.front().owner, "default/web");
  EXPECT_TRUE(plan.empty());
  // In one batch, whatever the order: the front moves.
  plan = step(applied, {thief, {.key = "default/web"}});
  EXPECT_TRUE(plan.services.front().conflicts.empty());
  EXPECT_EQ(applied.find("default/thief")->endpoints(), 1U);
  EXPECT_EQ(applied.find("default/web"), nullptr);
  EXPECT_EQ(step(applied, {web({2})}).services.front().conflicts.size(), 1U);
}

TEST(Plan, AnUnacknowledgedPlanChangesNothing) {
  Applied applied(layout());
  auto first = applied.plan({web({2, 3})});
  EXPECT_FALSE(first.empty());
  EXPECT_EQ(render_text(applied.plan({web({2, 3})})), render_text(first));
  EXPECT_TRUE(applied.services().empty());
}

// One history of 200 random changes, applied change by change to a set of elements as the kernel would, with every
// delete and add checked as strictly as the kernel checks.
class Table {
 public:
  void apply(const Plan& plan) {
    std::vector<Change> all;
    for (const auto& s : plan.services) all.insert(all.end(), s.changes.begin(), s.changes.end());
    all.insert(all.end(), plan.shared_changes.begin(), plan.shared_changes.end());
    for (const auto& c : all) {
      if (c.add) continue;
      ASSERT_EQ(elements.erase({c.element.set, c.element.key}), 1U) << element_text(c.element);
    }
    for (const auto& c : all) {
      if (!c.add) continue;
      ASSERT_TRUE(elements.emplace(std::pair(c.element.set, c.element.key), c.element).second)
          << element_text(c.element);
    }
  }
  std::vector<Element> list() const {
    std::vector<Element> out;
    for (const auto& [place, e] : elements) out.push_back(e);
    return out;
  }
  std::map<std::pair<SetId, Bytes>, Element> elements;
};

ServiceModel random_model(std::mt19937& rng, int service) {
  ServiceModel model{.key = "default/s" + std::to_string(service)};
  if (rng() % 8 == 0) return model;  // deleted
  // Few front addresses and node ports: conflicts do happen.
  model.vips.push_back(ip("10.43.0." + std::to_string(rng() % 6 + 1)));
  std::uint32_t port_count = rng() % 2 + 1;
  for (std::uint32_t p = 0; p < port_count; p++) {
    std::set<Backend> list;
    for (auto n = rng() % 5; n > 0; n--)
      list.insert(backend("10.42.0." + std::to_string(rng() % 9 + 2), 8080, rng() % 4 != 0));
    model.ports.push_back({.family = Family::v4,
                           .name = "p" + std::to_string(p),
                           .protocol = rng() % 2 == 0 ? kube::Protocol::tcp : kube::Protocol::udp,
                           .port = static_cast<int>(80 + p),
                           .node_port = rng() % 3 == 0 ? static_cast<int>(30000 + rng() % 5 * 2 + p) : 0,
                           .backends = {list.begin(), list.end()}});
  }
  return model;
}

TEST(Plan, AnyHistoryEndsAsABuildFromNothing) {
  for (unsigned seed = 1; seed <= 40; seed++) {
    std::mt19937 rng(seed);
    Applied applied(layout());
    Table table;
    for (int i = 0; i < 200; i++) {
      std::map<int, ServiceModel> batch;
      for (auto n = rng() % 4 + 1; n > 0; n--) {
        int service = static_cast<int>(rng() % 8);
        batch[service] = random_model(rng, service);
      }
      std::vector<ServiceModel> models;
      for (auto& [service, model] : batch) models.push_back(model);
      std::shuffle(models.begin(), models.end(), rng);
      auto plan = applied.plan(models);
      ASSERT_NO_FATAL_FAILURE(table.apply(plan)) << "seed " << seed << " step " << i;
      applied.accept(std::move(plan));
      // Once more with what it is now: nothing to do.
      std::vector<ServiceModel> now;
      for (const auto& [key, model] : applied.services()) now.push_back(model);
      ASSERT_TRUE(applied.plan(now).empty()) << "seed " << seed << " step " << i;
    }
    std::vector<ServiceModel> models;
    for (const auto& [key, model] : applied.services()) models.push_back(model);
    EXPECT_EQ(table.list(), build_ruleset(layout(), models).elements) << "seed " << seed;
  }
}

}  // namespace
}  // namespace podshim::test
