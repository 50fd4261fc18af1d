// apply/cgroup on a temporary directory: the files that the kernel would make are made by the test.
#include <sys/stat.h>
#include <unistd.h>

#include "common/ids.h"
#include "common/sys/file.h"
#include "shim/apply/cgroup.h"
#include "shim/apply/cgroup_detail.h"
#include "shim/apply/cgroup_stats.h"
#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

class TempDir : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(sys::make_dirs(dir)); }
  void TearDown() override { ASSERT_TRUE(sys::remove_tree(dir)); }
  void put(const std::string& path, const std::string& text) {
    ASSERT_TRUE(sys::make_dirs(dir + path.substr(0, path.rfind('/'))));
    ASSERT_TRUE(sys::write_file(dir + path, text, 0644));
  }
  std::string get(const std::string& path) { return sys::read_file(dir + path).value_or("(missing)"); }

  std::string dir = "/tmp/podshim-test-" + random_hex(6);
  DevicePrograms programs;
};

using ApplyCgroup = TempDir;
using Kind = CgroupStep::Kind;

TEST_F(ApplyCgroup, RunsTheSteps) {
  put("/cpuset/cpuset.cpus", "0-3\n");
  put("/cpuset/a/cpuset.cpus", "\n");
  put("/cpuset/b/cpuset.cpus", "1\n");
  put("/allow", "");
  CgroupPlan plan;
  plan.steps = {{.kind = Kind::make_dir, .path = dir + "/cpuset/a"},
                {.kind = Kind::inherit, .path = dir + "/cpuset/a/cpuset.cpus"},
                {.kind = Kind::inherit, .path = dir + "/cpuset/b/cpuset.cpus"},
                {.kind = Kind::make_dir, .path = dir + "/new"},
                {.kind = Kind::write, .path = dir + "/allow", .value = "x"},
                {.kind = Kind::write, .path = dir + "/allow", .value = "y"},
                {.kind = Kind::write, .path = dir + "/missing", .value = "z", .may_fail = true}};
  auto applied = apply_cgroup(plan, programs);
  ASSERT_TRUE(applied) << error_text(applied);
  EXPECT_TRUE(get("/cpuset/a/cpuset.cpus").starts_with("0-3"));
  EXPECT_EQ(get("/cpuset/b/cpuset.cpus"), "1\n");
  EXPECT_EQ(get("/allow"), "xy");  // one fd: a kernel file takes each write as a rule
  ASSERT_EQ(applied->tolerated.size(), 1U);
  EXPECT_TRUE(applied->tolerated[0].is(ENOENT));
  EXPECT_TRUE(apply_cgroup(plan, programs));
}

TEST_F(ApplyCgroup, EnablesOnlyWhatIsMissing) {
  put("/all/cgroup.subtree_control", "cpu memory pids\n");
  put("/some/cgroup.subtree_control", "memory\n");
  CgroupPlan plan;
  plan.steps = {{.kind = Kind::enable, .path = dir + "/all", .value = "+cpu +memory"},
                {.kind = Kind::enable, .path = dir + "/some", .value = "+cpu +memory +pids"}};
  ASSERT_TRUE(apply_cgroup(plan, programs));
  EXPECT_EQ(get("/all/cgroup.subtree_control"), "cpu memory pids\n");
  EXPECT_TRUE(get("/some/cgroup.subtree_control").starts_with("+cpu +pids"));
}

TEST_F(ApplyCgroup, FailuresNameTheFile) {
  CgroupPlan plan;
  plan.steps = {{.kind = Kind::write, .path = dir + "/missing", .value = "z"}};
  auto applied = apply_cgroup(plan, programs);
  ASSERT_FALSE(applied);
  EXPECT_TRUE(applied.error().is(ENOENT));
  EXPECT_NE(applied.error().text().find(dir + "/missing"), std::string::npos);
}

TEST_F(ApplyCgroup, RefusedValuesAreTheRequestsFault) {
  // A directory of proc whose file says EINVAL to nonsense.
  CgroupPlan plan;
  plan.steps = {
      {.kind = Kind::write, .path = "/proc/self/oom_score_adj", .value = "x", .field = "config.linux.resources.x"}};
  expect_invalid(apply_cgroup(plan, programs), "config.linux.resources.x", "EINVAL");
}

TEST_F(ApplyCgroup, PidsBelowToo) {
  put("/freezer/a/cgroup.procs", "1\n22\n");
  put("/freezer/a/exec/cgroup.procs", "333\n");
  put("/freezer/a/empty/cgroup.procs", "");
  CgroupPaths paths{.path = "/a", .v1 = {{"freezer", dir + "/freezer/a"}, {"memory", dir + "/memory/a"}}};
  EXPECT_EQ(*cgroup_pids(paths), (std::vector<pid_t>{1, 22, 333}));
  EXPECT_TRUE(*cgroup_populated(paths));
  paths.v1["freezer"] = dir + "/freezer/gone";
  EXPECT_TRUE(cgroup_pids(paths)->empty());
  EXPECT_FALSE(*cgroup_populated(paths));
  EXPECT_TRUE(kill_cgroup(paths, false, std::chrono::milliseconds(10)));
}

TEST_F(ApplyCgroup, V2PopulatedAndKill) {
  put("/a/cgroup.events", "populated 1\nfrozen 0\n");
  put("/a/cgroup.kill", "");
  CgroupPaths paths{.version = CgroupVersion::v2, .path = "/a", .v2 = dir + "/a"};
  EXPECT_TRUE(*cgroup_populated(paths));
  auto killed = kill_cgroup(paths, true, std::chrono::milliseconds(20));  // nobody empties it
  ASSERT_FALSE(killed);
  EXPECT_EQ(killed.error().kind, ErrorKind::deadline_exceeded);
  EXPECT_EQ(get("/a/cgroup.kill"), "1");
  put("/a/cgroup.events", "populated 0\nfrozen 0\n");
  EXPECT_TRUE(kill_cgroup(paths, true, std::chrono::milliseconds(20)));
  paths.v2 = dir + "/gone";
  EXPECT_FALSE(*cgroup_populated(paths));
  EXPECT_TRUE(kill_cgroup(paths, true, std::chrono::milliseconds(20)));
}

TEST_F(ApplyCgroup, RemoveIsIdempotentAndTakesOurEmptyParent) {
  CgroupPaths paths{.path = "/podshim/x",
                    .v1 = {{"cpu", dir + "/cpu/podshim/x"}, {"memory", dir + "/memory/podshim/x"}}};
  ASSERT_TRUE(sys::make_dirs(dir + "/cpu/podshim/x/exec/deep"));
  ASSERT_TRUE(sys::make_dirs(dir + "/memory/podshim/x"));
  ASSERT_TRUE(sys::make_dirs(dir + "/memory/podshim/other"));
  EXPECT_TRUE(remove_cgroup(paths, std::chrono::milliseconds(100)));
  EXPECT_TRUE(remove_cgroup(paths, std::chrono::milliseconds(100)));
  EXPECT_FALSE(sys::exists(dir + "/cpu/podshim"));
  EXPECT_TRUE(sys::exists(dir + "/cpu"));
  EXPECT_TRUE(sys::exists(dir + "/memory/podshim/other"));
  CgroupPaths theirs{.path = "/kubepods/x", .v1 = {{"cpu", dir + "/cpu/kubepods/x"}}};
  ASSERT_TRUE(sys::make_dirs(dir + "/cpu/kubepods/x"));
  EXPECT_TRUE(remove_cgroup(theirs, std::chrono::milliseconds(100)));
  EXPECT_TRUE(sys::exists(dir + "/cpu/kubepods"));
}

TEST_F(ApplyCgroup, ListsOneInstance) {
  HostFacts host;
  host.cgroup_v1_mounts = {{"cpu", dir + "/cpu"}, {"memory", dir + "/memory"}};
  for (const char* name :
       {"/cpu/p/podshim-aaaaaa-1", "/memory/p/podshim-aaaaaa-2", "/cpu/p/podshim-bbbbbb-3", "/cpu/p/other"})
    ASSERT_TRUE(sys::make_dirs(dir + name));
  EXPECT_EQ(*list_cgroups(host, "/p", "aaaaaa"), (std::vector<std::string>{"podshim-aaaaaa-1", "podshim-aaaaaa-2"}));
  EXPECT_TRUE(list_cgroups(host, "/none", "aaaaaa")->empty());
}

TEST_F(ApplyCgroup, FindsParentsWhereverTheyAre) {
  HostFacts host;
  host.cgroup_v1_mounts = {{"cpu", dir + "/cpu"}, {"memory", dir + "/memory"}};
  for (const char* name :
       {"/cpu/podshim-aaaaaa-1", "/memory/kubepods/burstable/pod1/podshim-aaaaaa-2/podshim-aaaaaa-inside",
        "/memory/kubepods/pod2/podshim-bbbbbb-3", "/cpu/other"})
    ASSERT_TRUE(sys::make_dirs(dir + name));
  EXPECT_EQ(*find_cgroup_parents(host, "aaaaaa"), (std::vector<std::string>{"/", "/kubepods/burstable/pod1"}));
  EXPECT_TRUE(find_cgroup_parents(host, "cccccc")->empty());
}

TEST_F(ApplyCgroup, StatsOfBothVersions) {
  put("/a/cpuacct.usage", "123456789\n");
  put("/a/memory.usage_in_bytes", "10000\n");
  put("/a/memory.limit_in_bytes", "9223372036854771712\n");
  put("/a/memory.stat",
      "cache 5\nrss 1\ninactive_file 2\ntotal_rss 6000\ntotal_swap 70\ntotal_pgfault 8\ntotal_pgmajfault 9\n"
      "total_inactive_file 3000\n");
  CgroupPaths v1{.path = "/a", .v1 = {{"cpuacct", dir + "/a"}, {"memory", dir + "/a"}}};
  auto reader = CgroupStatsReader::open(v1);
  ASSERT_TRUE(reader) << error_text(reader);
  CgroupStats want{.cpu_usage_ns = 123456789,
                   .memory_usage_bytes = 10000,
                   .memory_working_set_bytes = 7000,
                   .memory_rss_bytes = 6000,
                   .page_faults = 8,
                   .major_page_faults = 9,
                   .swap_bytes = 70};
  EXPECT_EQ(*reader->read(), want);
  EXPECT_EQ(want.memory_available_bytes(), std::nullopt);
  put("/a/memory.limit_in_bytes", "8000\n");
  want.memory_limit_bytes = 8000;
  EXPECT_EQ(*reader->read(), want);
  EXPECT_EQ(want.memory_available_bytes(), 1000U);
  EXPECT_TRUE(reader->tasks().error().is(ENOENT));  // no pids controller

  // Nothing ran since: memory.stat is not read again. Then something did.
  const CgroupStats before = want;
  put("/a/memory.stat", "total_rss 1\ntotal_inactive_file 0\n");
  EXPECT_EQ(*reader->read(&before), before);
  // A kubelet writes the limits of its Pods' cgroups itself, idle or not.
  put("/a/memory.limit_in_bytes", "9000\n");
  want.memory_limit_bytes = 9000;
  EXPECT_EQ(*reader->read(&before), want);
  put("/a/cpuacct.usage", "123456790\n");
  EXPECT_EQ(reader->read(&before)->memory_rss_bytes, 1U);

  put("/b/cpu.stat", "usage_usec 50\nuser_usec 1\n");
  put("/b/memory.current", "100\n");
  put("/b/memory.max", "max\n");
  put("/b/pids.current", "12\n");
  put("/b/cpu.pressure",
      "some avg10=1.50 avg60=0.25 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 avg300=2.00 total=5\n");
  put("/b/memory.swap.current", "3\n");
  put("/b/memory.stat", "anon 60\nfile 1\ninactive_anon 5\ninactive_file 200\npgfault 4\npgmajfault 2\n");
  auto v2 = CgroupStatsReader::open({.version = CgroupVersion::v2, .path = "/b", .v2 = dir + "/b"});
  ASSERT_TRUE(v2);
  EXPECT_EQ(*v2->read(), (CgroupStats{.cpu_usage_ns = 50000,
                                      .memory_usage_bytes = 100,
                                      .memory_working_set_bytes = 0,
                                      .memory_rss_bytes = 60,
                                      .page_faults = 4,
                                      .major_page_faults = 2,
                                      .swap_bytes = 3,
                                      .cpu_pressure = Pressure{.some = {.avg10 = 1.5, .avg60 = 0.25, .total_us = 77},
                                                               .full = {.avg300 = 2, .total_us = 5}}}));
  EXPECT_EQ(v2->tasks().value(), 12U);
  EXPECT_TRUE(
      CgroupStatsReader::open({.version = CgroupVersion::v2, .path = "/c", .v2 = dir + "/c"}).error().is(ENOENT));
}

TEST_F(ApplyCgroup, DetailOfBothVersions) {
  put("/m/memory.stat", "pgfault 3\npgmajfault 1\ntotal_cache 50\ntotal_mapped_file 6\n");
  put("/m/memory.kmem.usage_in_bytes", "8\n");
  put("/m/memory.max_usage_in_bytes", "900\n");
  put("/m/memory.failcnt", "4\n");
  put("/m/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
  put("/c/cpuacct.usage_user", "70\n");
  put("/c/cpuacct.usage_sys", "30\n");
  put("/c/cpu.stat", "nr_periods 9\nnr_throttled 5\nthrottled_time 1000\n");
  put("/p/pids.current", "3\n");
  put("/p/pids.max", "max\n");
  put("/p/cgroup.procs", "11\n12\n");
  put("/b/blkio.throttle.io_service_bytes_recursive",
      "999:7 Read 4096\n999:7 Write 10\n999:7 Total 4106\nTotal 4106\n");
  put("/b/blkio.throttle.io_serviced_recursive", "999:7 Read 2\n999:7 Write 1\nTotal 3\n");
  auto v1 = read_cgroup_detail({.path = "/x",
                                .v1 = {{"memory", dir + "/m"},
                                       {"cpuacct", dir + "/c"},
                                       {"cpu", dir + "/c"},
                                       {"pids", dir + "/p"},
                                       {"blkio", dir + "/b"}}});
  ASSERT_TRUE(v1) << error_text(v1);
  CgroupDetail want{.cpu_user_ns = 70,
                    .cpu_system_ns = 30,
                    .cfs_periods = 9,
                    .cfs_throttled_periods = 5,
                    .cfs_throttled_ns = 1000,
                    .memory_cache_bytes = 50,
                    .memory_mapped_bytes = 6,
                    .memory_kernel_bytes = 8,
                    .memory_peak_bytes = 900,
                    .memory_limit_hits = 4,
                    .oom_kills = 2,
                    .page_faults = 3,
                    .major_page_faults = 1,
                    .threads = 3,
                    .blocks = {{.major = 999,
                                .minor = 7,
                                .device = "999:7",
                                .read_bytes = 4096,
                                .written_bytes = 10,
                                .reads = 2,
                                .writes = 1}},
                    .pids = {11, 12}};
  EXPECT_EQ(*v1, want);

  put("/u/cpu.stat", "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 1\nnr_throttled 1\nthrottled_usec 4\n");
  put("/u/memory.stat", "file 50\nkernel 8\nfile_mapped 6\npgfault 3\npgmajfault 1\n");
  put("/u/memory.events", "low 0\nhigh 0\nmax 4\noom 1\noom_kill 2\n");
  put("/u/io.stat", "999:7 rbytes=4096 wbytes=10 rios=2 wios=1 dbytes=0 dios=0\n999:8 \n");
  put("/u/pids.current", "3\n");
  put("/u/pids.max", "100\n");
  put("/u/cgroup.procs", "11\n");
  put("/u/exec/cgroup.procs", "12\n");  // v2: an exec's are below
  auto v2 = read_cgroup_detail({.version = CgroupVersion::v2, .path = "/u", .v2 = dir + "/u"});
  ASSERT_TRUE(v2) << error_text(v2);
  want.cpu_user_ns = 3000;
  want.cpu_system_ns = 2000;
  want.cfs_periods = want.cfs_throttled_periods = 1;
  want.cfs_throttled_ns = 4000;
  want.memory_peak_bytes = std::nullopt;  // no memory.peak before 5.19
  want.threads_max = 100;
  EXPECT_EQ(*v2, want);
  EXPECT_TRUE(read_cgroup_detail({.version = CgroupVersion::v2, .path = "/n", .v2 = dir + "/n"}).error().is(ENOENT));
}

TEST_F(ApplyCgroup, CountsWhatProcessesHold) {
  ASSERT_TRUE(sys::make_dirs(dir + "/11/fd"));
  ASSERT_TRUE(sys::make_dirs(dir + "/12/fd"));
  ASSERT_EQ(::symlink("/dev/null", (dir + "/11/fd/0").c_str()), 0);
  ASSERT_EQ(::symlink("socket:[12345]", (dir + "/11/fd/3").c_str()), 0);
  ASSERT_EQ(::symlink("socket:[1]", (dir + "/12/fd/255").c_str()), 0);
  const auto census = count_processes({11, 12, 13}, dir);  // 13 has ended
  EXPECT_EQ(census.processes, 2U);
  EXPECT_EQ(census.file_descriptors, 3U);
  EXPECT_EQ(census.sockets, 2U);
}

}  // namespace
}  // namespace podshim::testing
