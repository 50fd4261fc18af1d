#include "shim/plan/cgroup_update.h"

#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

constexpr std::int64_t kMiB = 1 << 20;

TEST(MergeResources, ZeroLeavesAndMinusOneTakesAway) {
  const Resources now{.cpu_period_us = 100000,
                      .cpu_quota_us = 20000,
                      .cpu_shares = 512,
                      .memory_limit_bytes = 64,
                      .memory_swap_limit_bytes = 100,
                      .oom_score_adj = 900,
                      .cpuset_cpus = "0",
                      .cpuset_mems = "0",
                      .unified = {{"memory.high", "50"}}};
  struct Case {
    const char* name;
    Resources change;
    std::function<void(Resources&)> want;
  } cases[] = {
      {"nothing", {}, [](Resources&) {}},
      {"cpu",
       {.cpu_period_us = 50000, .cpu_quota_us = -1, .cpu_shares = 2},
       [](Resources& r) { r.cpu_period_us = 50000, r.cpu_quota_us = -1, r.cpu_shares = 2; }},
      {"memory keeps the swap beyond it",
       {.memory_limit_bytes = 200},
       [](Resources& r) { r.memory_limit_bytes = 200, r.memory_swap_limit_bytes = 236; }},
      {"memory with its swap",
       {.memory_limit_bytes = 200, .memory_swap_limit_bytes = 200},
       [](Resources& r) { r.memory_limit_bytes = r.memory_swap_limit_bytes = 200; }},
      {"no memory limit is no limit of both",
       {.memory_limit_bytes = -1},
       [](Resources& r) { r.memory_limit_bytes = r.memory_swap_limit_bytes = -1; }},
      {"oom_score_adj is left", {.oom_score_adj = -5}, [](Resources&) {}},
      {"cpuset and unified",
       {.cpuset_cpus = "1", .unified = {{"memory.high", "60"}, {"pids.max", "7"}}},
       [](Resources& r) { r.cpuset_cpus = "1", r.unified = {{"memory.high", "60"}, {"pids.max", "7"}}; }},
  };
  for (const auto& c : cases) {
    Resources want = now;
    c.want(want);
    auto got = merge_resources(now, c.change);
    ASSERT_TRUE(got) << c.name << ": " << error_text(got);
    EXPECT_EQ(*got, want) << c.name;
    EXPECT_EQ(*merge_resources(*got, c.change), want) << c.name << ", twice";
  }
  expect_invalid(merge_resources(now, {.memory_swap_limit_bytes = 10}), "linux.memory_swap_limit_in_bytes", "10");
  expect_invalid(merge_resources({}, {.memory_limit_bytes = -1, .memory_swap_limit_bytes = 10}),
                 "linux.memory_swap_limit_in_bytes", "no limit");
}

TEST(CgroupUpdate, ErrorsNameTheFieldsOfAnUpdate) {
  HostFacts bare = host_v1();
  bare.cgroup_v1_mounts.erase("cpu");
  const auto v1 = container_cgroup_paths(bare, "/p", "0a1b2c", container_id());
  expect_invalid(cgroup_update_files(bare, v1, {.cpu_shares = 2}), "linux.cpu_shares", "not mounted");
  expect_invalid(cgroup_update_files(bare, v1, {.unified = {{"a.b", "1"}}}), "linux.unified[a.b]", "cgroup v2");
  const auto v2 = container_cgroup_paths(host_v2(), "/p", "0a1b2c", container_id());
  expect_invalid(plan_cgroup_update(host_v2(), v2, {.memory_swap_limit_bytes = 5}, {}),
                 "linux.memory_swap_limit_in_bytes", "without");
}

TEST(CgroupUpdate, AUnifiedKeyOverrulesItsField) {
  const auto paths = container_cgroup_paths(host_v2(), "/p", "0a1b2c", container_id());
  auto plan = plan_cgroup_update(host_v2(), paths, {.cpu_shares = 2, .unified = {{"cpu.weight", "77"}}},
                                 {{paths.v2 + "/cpu.weight", "100"}});
  ASSERT_TRUE(plan) << error_text(plan);
  ASSERT_EQ(plan->writes.size(), 1U);
  EXPECT_EQ(plan->writes[0].step.value, "77");
  EXPECT_EQ(plan->writes[0].step.field, "linux.unified[cpu.weight]");
  EXPECT_EQ(plan->writes[0].before, "100");
}

// Without swap accounting in the kernel.
TEST(CgroupUpdate, SwapFilesThatAreNotThereAreLeftOut) {
  for (const auto& host : {host_v1(), host_v2()}) {
    const auto paths = container_cgroup_paths(host, "/p", "0a1b2c", container_id());
    const std::string file =
        host.cgroup == CgroupVersion::v1 ? paths.v1.at("memory") + "/memory.limit_in_bytes" : paths.v2 + "/memory.max";
    auto plan = plan_cgroup_update(host, paths, {.memory_limit_bytes = kMiB, .memory_swap_limit_bytes = 2 * kMiB},
                                   {{file, "9223372036854771712"}});
    ASSERT_TRUE(plan) << error_text(plan);
    ASSERT_EQ(plan->writes.size(), 1U) << plan->print();
    EXPECT_EQ(plan->writes[0].step.path, file);
  }
}

// v2 itself would take the limit and kill.
TEST(CgroupUpdate, V2LimitsBelowTheUseAreRefused) {
  const auto paths = container_cgroup_paths(host_v2(), "/p", "0a1b2c", container_id());
  struct Case {
    const char* name;
    std::int64_t limit;
    const char *held, *current, *stat;
    bool ok;
  } cases[] = {
      {"anonymous", 32 * kMiB, "67108864", "50331648", "anon 50000000\nactive_file 0\ninactive_file 10", false},
      {"file cache goes", 32 * kMiB, "67108864", "50331648", "anon 1\nactive_file 20000000\ninactive_file 10000000",
       true},
      {"it grows", 128 * kMiB, "67108864", "150331648", "anon 1\nactive_file 0\ninactive_file 0", true},
      {"there was none", 32 * kMiB, "max", "50331648", "anon 50000000", false},
      {"none any more", -1, "67108864", "50331648", "anon 50000000", true},
  };
  for (const auto& c : cases) {
    auto plan = plan_cgroup_update(host_v2(), paths, {.cpu_shares = 2, .memory_limit_bytes = c.limit},
                                   {{paths.v2 + "/memory.max", c.held},
                                    {paths.v2 + "/memory.current", c.current},
                                    {paths.v2 + "/memory.stat", c.stat}});
    EXPECT_EQ(plan.has_value(), c.ok) << c.name;
    if (plan) continue;
    EXPECT_EQ(plan.error().kind, ErrorKind::failed_precondition) << c.name;
    EXPECT_TRUE(plan.error().is(EBUSY)) << c.name;
    EXPECT_EQ(plan.error().subject, "linux.memory_limit_in_bytes");
  }
}

}  // namespace
}  // namespace podshim::testing
