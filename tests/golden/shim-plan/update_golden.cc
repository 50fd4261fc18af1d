// The writes of in-place updates, on both versions, one after the other as a kubelet would ask for them.
#include "shim/plan/cgroup_update.h"
#include "tests/golden/shim-plan/compare.h"
#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

constexpr std::int64_t kMiB = 1 << 20;

struct Case {
  const char* name;
  Resources change;
};

const Case kUpdates[] = {
    {"first limits",
     {.cpu_period_us = 100000,
      .cpu_quota_us = 50000,
      .cpu_shares = 512,
      .memory_limit_bytes = 64 * kMiB,
      .memory_swap_limit_bytes = 64 * kMiB}},
    {"the same again", {.cpu_period_us = 100000, .cpu_quota_us = 50000, .memory_limit_bytes = 64 * kMiB}},
    {"memory grows", {.memory_limit_bytes = 128 * kMiB, .memory_swap_limit_bytes = 160 * kMiB}},
    {"memory shrinks", {.memory_limit_bytes = 32 * kMiB, .memory_swap_limit_bytes = 32 * kMiB}},
    {"memory grows, nothing said of swap", {.memory_limit_bytes = 48 * kMiB}},
    {"more processor", {.cpu_quota_us = 150000, .cpu_shares = 2048}},
    {"a shorter period", {.cpu_period_us = 10000, .cpu_quota_us = 15000}},
    {"a longer period", {.cpu_period_us = 50000, .cpu_quota_us = 25000}},
    {"processors", {.cpuset_cpus = "0-1", .cpuset_mems = "0"}},
    {"no limits any more", {.cpu_quota_us = -1, .memory_limit_bytes = -1}},
};

// As the kernel would show it.
std::string shown(const CgroupStep& step) {
  if (step.value != "-1") return step.value;
  return step.path.find("/memory/") != std::string::npos ? "9223372036854771712" : "-1";
}

CgroupContents new_cgroup(const CgroupPaths& paths) {
  CgroupContents out;
  if (paths.version == CgroupVersion::v2) {
    for (const auto& [file, text] : {std::pair{"cpu.weight", "100"},
                                     {"cpu.max", "max 100000"},
                                     {"memory.max", "max"},
                                     {"memory.swap.max", "max"},
                                     {"cpuset.cpus", ""},
                                     {"cpuset.mems", ""}})
      out[paths.v2 + "/" + file] = text;
    return out;
  }
  for (const auto& [file, text] : {std::pair{"cpu/cpu.shares", "1024"},
                                   {"cpu/cpu.cfs_period_us", "100000"},
                                   {"cpu/cpu.cfs_quota_us", "-1"},
                                   {"memory/memory.limit_in_bytes", "9223372036854771712"},
                                   {"memory/memory.memsw.limit_in_bytes", "9223372036854771712"},
                                   {"cpuset/cpuset.cpus", "0-3"},
                                   {"cpuset/cpuset.mems", "0"}}) {
    const std::string name = file, controller = name.substr(0, name.find('/'));
    out[paths.v1.at(controller) + name.substr(name.find('/'))] = text;
  }
  return out;
}

void story(const HostFacts& host, const std::string& name) {
  const auto paths = container_cgroup_paths(host, "/kubepods/p", "0a1b2c", container_id());
  auto now = new_cgroup(paths);
  Resources limits;
  std::string text;
  for (const auto& update : kUpdates) {
    text += std::string("# ") + update.name + "\n";
    auto merged = merge_resources(limits, update.change);
    ASSERT_TRUE(merged) << merged.error().text();
    limits = *merged;
    auto plan = plan_cgroup_update(host, paths, limits, now);
    ASSERT_TRUE(plan) << plan.error().text();
    text += plan->print();
    for (const auto& write : plan->writes) now[write.step.path] = shown(write.step);
    auto again = plan_cgroup_update(host, paths, limits, now);
    EXPECT_TRUE(again && again->writes.empty()) << update.name;
  }
  compare(name, text);
}

TEST(GoldenUpdate, V1) { story(host_v1(), "updates-v1"); }
TEST(GoldenUpdate, V2) { story(host_v2(), "updates-v2"); }

}  // namespace
}  // namespace podshim::testing
