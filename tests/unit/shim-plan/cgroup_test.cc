#include "shim/plan/cgroup.h"

#include <algorithm>

#include "shim/plan/cgroup_v1.h"
#include "shim/plan/cgroup_v2.h"
#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

// The writes of a plan as "file = value", without directories.
std::vector<std::string> writes(const CgroupPlan& plan) {
  std::vector<std::string> out;
  for (const auto& step : plan.steps)
    if (step.kind == CgroupStep::Kind::write)
      out.push_back(step.path.substr(step.path.rfind('/') + 1) + " = " + step.value + (step.may_fail ? " ?" : ""));
  return out;
}

CgroupInput limits(Resources r, std::int64_t pids = 0) {
  return {.resources = std::move(r), .pids_limit = pids, .devices = {.allow_all = true}};
}

Result<CgroupPlan> plan(const HostFacts& host, const CgroupInput& input) {
  return plan_container_cgroup(host, container_cgroup_paths(host, "/kubepods/p", "0a1b2c", container_id()), input);
}

TEST(CgroupParent, Parses) {
  struct Case {
    const char *value, *want;
  } cases[] = {{"", "/podshim"},         {"/kubepods/burstable/podx", "/kubepods/burstable/podx"},
               {"//a///b/", "/a/b"},     {"/", ""},
               {"/a.b/..c", "/a.b/..c"}, {"/x.slice.d", "/x.slice.d"}};
  for (const auto& c : cases) EXPECT_EQ(*parse_cgroup_parent(c.value, "/podshim"), c.want) << c.value;
  for (const char* bad :
       {"relative", "a/b", "/a/../b", "/..", "/./a", "/system.slice", "/a.slice/b", "kube.slice", "/a\nb"})
    expect_invalid(parse_cgroup_parent(bad, "/podshim"), "cgroup_parent", bad);
  expect_invalid(parse_cgroup_parent("/" + std::string(256, 'x'), "/podshim"), "cgroup_parent", "255");
}

TEST(CgroupPaths, V1AndV2) {
  const std::string leaf = "/kubepods/p/podshim-0a1b2c-" + std::string(64, 'c');
  auto v1 = container_cgroup_paths(host_v1(), "/kubepods/p", "0a1b2c", container_id());
  EXPECT_EQ(v1.path, leaf);
  EXPECT_EQ(v1.directories().size(), 8U);
  EXPECT_EQ(v1.v1.at("memory"), "/sys/fs/cgroup/memory" + leaf);
  EXPECT_EQ(v1.oom_file(), "/sys/fs/cgroup/memory" + leaf + "/memory.oom_control");
  EXPECT_EQ(v1.join_files()[0], "/sys/fs/cgroup/blkio" + leaf + "/tasks");
  auto v2 = container_cgroup_paths(host_v2(), "/kubepods/p", "0a1b2c", container_id());
  EXPECT_EQ(v2.directories(), std::vector<std::string>{"/sys/fs/cgroup" + leaf});
  EXPECT_EQ(v2.oom_file(), "/sys/fs/cgroup" + leaf + "/memory.events");
  EXPECT_EQ(v2.join_files(), std::vector<std::string>{"/sys/fs/cgroup" + leaf + "/cgroup.procs"});
}

TEST(CgroupPaths, CoMountedControllersShareOneDirectory) {
  HostFacts host = host_v1();
  host.cgroup_v1_mounts["cpu"] = host.cgroup_v1_mounts["cpuacct"] = "/sys/fs/cgroup/cpu,cpuacct";
  auto paths = container_cgroup_paths(host, "", "0a1b2c", container_id());
  EXPECT_EQ(paths.directories().size(), 7U);
  auto steps = plan_v1_directories(host, paths);
  EXPECT_EQ(
      std::count_if(steps.begin(), steps.end(), [](const auto& s) { return s.kind == CgroupStep::Kind::make_dir; }), 7);
}

TEST(CgroupPaths, MonitorAndExecs) {
  auto v1 = monitor_cgroup_paths(host_v1(), "0a1b2c", sandbox_id());
  EXPECT_EQ(v1.path, "/podshim-0a1b2c/podshim-0a1b2c-" + std::string(64, 'a'));
  EXPECT_EQ(v1.directories().size(), 3U);  // memory, pids, freezer
  auto container = container_cgroup_paths(host_v1(), "/p", "0a1b2c", container_id());
  auto exec = exec_cgroup_paths(container);
  EXPECT_EQ(exec.directories(), std::vector<std::string>{container.v1.at("freezer") + "/exec"});
  EXPECT_EQ(exec_cgroup_paths(container, 3).path, container.path + "/exec-3");
  auto v2 = exec_cgroup_paths(container_cgroup_paths(host_v2(), "/p", "0a1b2c", container_id()), 1);
  EXPECT_TRUE(v2.v2.ends_with("/exec-1"));
  auto steps = plan_exec_cgroup(host_v2(), v2).steps;
  ASSERT_EQ(steps.size(), 1U);  // no controllers: the container's own cgroup has processes
  EXPECT_EQ(steps[0].kind, CgroupStep::Kind::make_dir);
}

TEST(CgroupV1, CpusetsAreInheritedOnTheWayDown) {
  auto got = plan(host_v1(), limits({}));
  ASSERT_TRUE(got);
  std::vector<std::string> cpuset;
  for (const auto& step : got->steps)
    if (step.path.find("/cpuset/") != std::string::npos)
      cpuset.push_back((step.kind == CgroupStep::Kind::make_dir ? "mkdir " : "inherit ") + step.path.substr(22));
  const std::string leaf = "kubepods/p/podshim-0a1b2c-" + std::string(64, 'c');
  EXPECT_EQ(cpuset, (std::vector<std::string>{
                        "mkdir kubepods", "inherit kubepods/cpuset.cpus", "inherit kubepods/cpuset.mems",
                        "mkdir kubepods/p", "inherit kubepods/p/cpuset.cpus", "inherit kubepods/p/cpuset.mems",
                        "mkdir " + leaf, "inherit " + leaf + "/cpuset.cpus", "inherit " + leaf + "/cpuset.mems"}));
  EXPECT_TRUE(writes(*got).empty());
}

TEST(Cgroup, ResourcesOnBothVersions) {
  struct Case {
    const char* name;
    Resources r;
    std::int64_t pids;
    std::vector<std::string> v1, v2;
  } cases[] = {
      {"nothing", {}, 0, {}, {}},
      {"shares", {.cpu_shares = 1024}, 0, {"cpu.shares = 1024"}, {"cpu.weight = 39"}},
      {"quota",
       {.cpu_period_us = 100000, .cpu_quota_us = 20000},
       0,
       {"cpu.cfs_period_us = 100000", "cpu.cfs_quota_us = 20000"},
       {"cpu.max = 20000 100000"}},
      {"quota alone", {.cpu_quota_us = 5000}, 0, {"cpu.cfs_quota_us = 5000"}, {"cpu.max = 5000 100000"}},
      {"no quota",
       {.cpu_period_us = 50000, .cpu_quota_us = -1},
       0,
       {"cpu.cfs_period_us = 50000", "cpu.cfs_quota_us = -1"},
       {"cpu.max = max 50000"}},
      {"period alone", {.cpu_period_us = 50000}, 0, {"cpu.cfs_period_us = 50000"}, {"cpu.max = max 50000"}},
      {"memory", {.memory_limit_bytes = 67108864}, 0, {"memory.limit_in_bytes = 67108864"}, {"memory.max = 67108864"}},
      {"memory and swap",
       {.memory_limit_bytes = 64, .memory_swap_limit_bytes = 100},
       0,
       {"memory.limit_in_bytes = 64", "memory.memsw.limit_in_bytes = 100 ?"},
       {"memory.max = 64", "memory.swap.max = 36 ?"}},
      {"no swap",
       {.memory_limit_bytes = 64, .memory_swap_limit_bytes = 64},
       0,
       {"memory.limit_in_bytes = 64", "memory.memsw.limit_in_bytes = 64 ?"},
       {"memory.max = 64", "memory.swap.max = 0 ?"}},
      {"unlimited swap",
       {.memory_limit_bytes = -1, .memory_swap_limit_bytes = -1},
       0,
       {"memory.limit_in_bytes = -1", "memory.memsw.limit_in_bytes = -1 ?"},
       {"memory.max = max", "memory.swap.max = max ?"}},
      {"cpuset",
       {.cpuset_cpus = "0-1", .cpuset_mems = "0"},
       0,
       {"cpuset.cpus = 0-1", "cpuset.mems = 0"},
       {"cpuset.cpus = 0-1", "cpuset.mems = 0"}},
      {"pids", {}, 100, {"pids.max = 100"}, {"pids.max = 100"}},
  };
  for (const auto& c : cases) {
    auto v1 = plan(host_v1(), limits(c.r, c.pids));
    auto v2 = plan(host_v2(), limits(c.r, c.pids));
    ASSERT_TRUE(v1) << c.name << ": " << error_text(v1);
    ASSERT_TRUE(v2) << c.name << ": " << error_text(v2);
    EXPECT_EQ(writes(*v1), c.v1) << c.name;
    EXPECT_EQ(writes(*v2), c.v2) << c.name;
  }
}

TEST(CgroupV2, WeightsFromShares) {
  struct Case {
    std::int64_t shares;
    std::uint64_t weight;
  } cases[] = {{2, 1}, {1, 1}, {-5, 1}, {100, 4}, {1024, 39}, {2048, 79}, {262144, 10000}, {1000000, 10000}};
  for (const auto& c : cases) EXPECT_EQ(cpu_weight(c.shares), c.weight) << c.shares;
}

TEST(CgroupV2, ControllersInEveryAncestorButNotInTheLeaf) {
  auto got = plan(host_v2(), limits({}));
  ASSERT_TRUE(got);
  std::vector<std::string> order;
  for (const auto& s : got->steps)
    order.push_back((s.kind == CgroupStep::Kind::enable ? "enable " + s.value + " " : "mkdir ") + s.path);
  const std::string on = "enable +cpuset +cpu +io +memory +pids ", root = "/sys/fs/cgroup";
  EXPECT_EQ(order, (std::vector<std::string>{on + root, "mkdir " + root + "/kubepods", on + root + "/kubepods",
                                             "mkdir " + root + "/kubepods/p", on + root + "/kubepods/p",
                                             "mkdir " + root + "/kubepods/p/podshim-0a1b2c-" + std::string(64, 'c')}));
}

TEST(CgroupV2, UnifiedKeysComeLast) {
  auto got = plan(host_v2(), limits({.cpu_shares = 2,
                                     .unified = {{"memory.high", "1000"},
                                                 {"io.max", "8:0 rbps=1\n8:16 wbps=2\n"},
                                                 {"cpu.weight", "77"},
                                                 {"cgroup.max.depth", "3"}}}));
  ASSERT_TRUE(got) << error_text(got);
  EXPECT_EQ(writes(*got),
            (std::vector<std::string>{"cpu.weight = 1", "cgroup.max.depth = 3", "cpu.weight = 77",
                                      "io.max = 8:0 rbps=1", "io.max = 8:16 wbps=2", "memory.high = 1000"}));
  for (const char* bad : {"", "memory", "../x.y", "a/b.c", ".x", "cgroup.procs", "cgroup.kill",
                          "cgroup.subtree_control", "cgroup.freeze", "cgroup.type", "cgroup.threads", "perf_event.x"})
    expect_invalid(plan(host_v2(), limits({.unified = {{bad, "1"}}})), "unified[" + std::string(bad) + "]");
}

TEST(Cgroup, WhatAHostCannotDoIsSaid) {
  expect_invalid(plan(host_v1(), limits({.unified = {{"memory.high", "1"}}})), "unified[memory.high]", "cgroup v2");
  HostFacts bare = host_v1();
  bare.cgroup_v1_mounts.erase("cpu");
  expect_invalid(plan(bare, limits({.cpu_shares = 2})), "cpu_shares", "\"cpu\" is not mounted");
  HostFacts poor = host_v2();
  poor.cgroup_v2_controllers = {"memory"};
  expect_invalid(plan(poor, limits({.cpu_quota_us = 1000})), "cpu_quota", "\"cpu\" is not available");
  expect_invalid(plan(poor, limits({}, 5)), "pids_limit");
  expect_invalid(plan(host_v2(), limits({.memory_swap_limit_bytes = 5})), "memory_swap_limit_in_bytes", "without");
  expect_invalid(plan(host_v2(), limits({.memory_limit_bytes = 9, .memory_swap_limit_bytes = 5})), "memory_swap_limit",
                 "below");
}

TEST(Cgroup, DevicesOnBothVersions) {
  CgroupInput input{.devices = plan_devices({{.host_path = "/dev/fuse",
                                              .container_path = "/dev/fuse",
                                              .type = 'c',
                                              .major = 10,
                                              .minor = 229,
                                              .permissions = "rw"}},
                                            false)};
  auto v1 = plan(host_v1(), input);
  ASSERT_TRUE(v1);
  EXPECT_EQ(writes(*v1),
            (std::vector<std::string>{
                "devices.deny = a", "devices.allow = c *:* m", "devices.allow = b *:* m", "devices.allow = c 1:3 rwm",
                "devices.allow = c 1:5 rwm", "devices.allow = c 1:7 rwm", "devices.allow = c 1:8 rwm",
                "devices.allow = c 1:9 rwm", "devices.allow = c 5:0 rwm", "devices.allow = c 5:1 rwm",
                "devices.allow = c 5:2 rwm", "devices.allow = c 136:* rwm", "devices.allow = c 10:229 rw"}));
  EXPECT_TRUE(v1->device_program.empty());
  auto v2 = plan(host_v2(), input);
  ASSERT_TRUE(v2);
  EXPECT_TRUE(writes(*v2).empty());
  EXPECT_FALSE(v2->device_program.empty());
  input.devices = plan_devices({}, true);
  EXPECT_TRUE(writes(*plan(host_v1(), input)).empty());
  EXPECT_TRUE(plan(host_v2(), input)->device_program.empty());
}

TEST(Devices, RequestsAreChecked) {
  EXPECT_TRUE(check_devices({{.container_path = "/dev/x", .host_path = "/dev/y", .permissions = "rwm"}}));
  expect_invalid(check_devices({{.container_path = "/a", .host_path = "/b", .permissions = "rx"}}),
                 "devices[0].permissions");
  expect_invalid(check_devices({{.container_path = "/a", .host_path = "/b", .permissions = ""}}),
                 "devices[0].permissions");
  expect_invalid(check_devices({{.container_path = "a", .host_path = "/b", .permissions = "r"}}),
                 "devices[0].container_path");
  expect_invalid(check_devices({{.container_path = "/a", .host_path = "b", .permissions = "r"}}),
                 "devices[0].host_path");
}

TEST(Devices, ARequestReplacesAStandardNode) {
  auto got = plan_devices({{.container_path = "/dev/null", .major = 1, .minor = 5}}, false);
  EXPECT_EQ(got.nodes.size(), standard_devices().size());
  EXPECT_EQ(got.nodes[0].minor, 5U);
}

}  // namespace
}  // namespace podshim::testing
