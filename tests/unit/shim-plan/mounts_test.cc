#include "shim/plan/mounts.h"

#include <sys/mount.h>

#include <algorithm>

#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

struct Mounts : ContainerCase {
  Result<std::vector<MountPlan>> plan() {
    auto namespaces = plan_container_namespaces(sandbox.namespaces, container.security.namespaces,
                                                container.security.privileged, host);
    auto paths = container_cgroup_paths(host, "/p", "0a1b2c", container_id());
    return plan_mounts({.sandbox = sandbox,
                        .container = container,
                        .facts = facts,
                        .host = host,
                        .namespaces = *namespaces,
                        .cgroup = paths});
  }
  std::vector<std::string> targets() {
    std::vector<std::string> out;
    auto mounts = plan();
    EXPECT_TRUE(mounts) << error_text(mounts);
    if (mounts)
      for (const auto& m : *mounts) out.push_back(m.target);
    return out;
  }
  MountPlan at(const std::string& target) {
    auto mounts = plan();
    EXPECT_TRUE(mounts) << error_text(mounts);
    if (mounts)
      for (const auto& m : *mounts)
        if (m.target == target) return m;
    ADD_FAILURE() << "no mount on " << target;
    return {};
  }
};

TEST(Mounts, CleanPath) {
  struct Case {
    const char *in, *want;
    int depth;
  } cases[] = {{"", "/", 0},          {"/", "/", 0},        {"a", "/a", 1},        {"/a//b/", "/a/b", 2},
               {"/a/./b", "/a/b", 2}, {"/a/../b", "/b", 1}, {"/../../x", "/x", 1}, {"/a/..", "/", 0}};
  for (const auto& c : cases) {
    EXPECT_EQ(clean_path(c.in), c.want);
    EXPECT_EQ(path_depth(clean_path(c.in)), c.depth) << c.in;
    EXPECT_EQ(clean_path(clean_path(c.in)), c.want);
  }
}

TEST(Mounts, DefaultsOnV1AndV2) {
  Mounts m;
  m.host = host_v2();
  EXPECT_EQ(m.targets(),
            (std::vector<std::string>{"/proc", "/sys", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/etc/hostname",
                                      "/etc/hosts", "/etc/resolv.conf", "/sys/fs/cgroup"}));
  EXPECT_EQ(m.at("/sys/fs/cgroup").source, "cgroup2");
  EXPECT_NE(m.at("/sys/fs/cgroup").attributes & MOUNT_ATTR_RDONLY, 0U);
  m.host = host_v1();
  EXPECT_TRUE(m.at("/sys/fs/cgroup").readonly_at_end);
  EXPECT_EQ(m.at("/sys/fs/cgroup/memory").source, "/sys/fs/cgroup/memory/p/podshim-0a1b2c-" + std::string(64, 'c'));
  EXPECT_NE(m.at("/sys/fs/cgroup/memory").attributes & MOUNT_ATTR_RDONLY, 0U);
}

TEST(Mounts, PrivilegedMayWriteSysAndCgroup) {
  Mounts m;
  m.container.security.privileged = true;
  EXPECT_EQ(m.at("/sys").attributes & MOUNT_ATTR_RDONLY, 0U);
  EXPECT_EQ(m.at("/sys/fs/cgroup/pids").attributes & MOUNT_ATTR_RDONLY, 0U);
  EXPECT_FALSE(m.at("/sys/fs/cgroup").readonly_at_end);
  m.host = host_v2();
  EXPECT_EQ(m.at("/sys/fs/cgroup").attributes & MOUNT_ATTR_RDONLY, 0U);
}

TEST(Mounts, SharedMemoryByIpcMode) {
  Mounts m;
  EXPECT_EQ(m.at("/dev/shm").slot, Slot::shm);
  m.sandbox.namespaces.ipc = NamespaceMode::node;
  EXPECT_EQ(m.at("/dev/shm").kind, MountPlan::Kind::bind);
  EXPECT_EQ(m.at("/dev/shm").source, "/dev/shm");
  m.container.security.namespaces.ipc = NamespaceMode::container;
  EXPECT_EQ(m.at("/dev/shm").kind, MountPlan::Kind::fresh);
}

TEST(Mounts, TerminalHasItsOwnPtsAndConsole) {
  Mounts m;
  EXPECT_EQ(m.at("/dev/pts").source, "devpts");
  m.container.tty = true;
  EXPECT_EQ(m.at("/dev/pts").slot, Slot::pts);
  EXPECT_EQ(m.at("/dev/console").slot, Slot::console);
  auto targets = m.targets();
  EXPECT_LT(std::find(targets.begin(), targets.end(), "/dev/pts"),
            std::find(targets.begin(), targets.end(), "/dev/console"));
}

TEST(Mounts, ParentsComeFirstWhateverTheOrder) {
  Mounts m;
  m.container.mounts = {{.container_path = "/data/a/b", .host_path = "/h3"},
                        {.container_path = "/data/", .host_path = "/h1"},
                        {.container_path = "/dev/termination-log", .host_path = "/h4"},
                        {.container_path = "/data/a", .host_path = "/h2"}};
  auto targets = m.targets();
  auto index = [&](const std::string& t) { return std::find(targets.begin(), targets.end(), t) - targets.begin(); };
  EXPECT_LT(index("/data"), index("/data/a"));
  EXPECT_LT(index("/data/a"), index("/data/a/b"));
  EXPECT_LT(index("/dev"), index("/dev/termination-log"));
  EXPECT_EQ(targets.size(), std::set<std::string>(targets.begin(), targets.end()).size());
}

TEST(Mounts, RequestsReplaceDefaults) {
  Mounts m;
  m.container.mounts = {{.container_path = "/etc/hosts", .host_path = "/h/hosts"},
                        {.container_path = "/dev/shm/", .host_path = "/h/shm"}};
  auto targets = m.targets();
  EXPECT_EQ(std::count(targets.begin(), targets.end(), "/etc/hosts"), 1);
  EXPECT_EQ(m.at("/etc/hosts").source, "/h/hosts");
  EXPECT_EQ(m.at("/dev/shm").source, "/h/shm");
  m.container.mounts = {{.container_path = "/dev", .host_path = "/dev"},
                        {.container_path = "/sys", .host_path = "/sys"}};
  for (const auto& target : m.targets()) {
    EXPECT_FALSE(target.starts_with("/dev/")) << target;
    EXPECT_FALSE(target.starts_with("/sys/")) << target;
  }
}

TEST(Mounts, FilesAreReadOnlyWithAReadOnlyRoot) {
  Mounts m;
  EXPECT_EQ(m.at("/etc/hosts").attributes, 0U);
  m.container.security.readonly_rootfs = true;
  EXPECT_EQ(m.at("/etc/hosts").attributes, MOUNT_ATTR_RDONLY);
  m.facts.hosts_path.clear();
  auto targets = m.targets();
  EXPECT_EQ(std::count(targets.begin(), targets.end(), "/etc/hosts"), 0);
}

TEST(Mounts, PropagationAndReadOnly) {
  struct Case {
    Mount mount;
    std::uint64_t propagation, attributes;
    bool recursive;
  } cases[] = {
      {{.container_path = "/m", .host_path = "/h"}, MS_PRIVATE, 0, false},
      {{.container_path = "/m", .host_path = "/h", .readonly = true}, MS_PRIVATE, MOUNT_ATTR_RDONLY, false},
      {{.container_path = "/m", .host_path = "/h", .readonly = true, .recursive_readonly = true},
       MS_PRIVATE,
       MOUNT_ATTR_RDONLY,
       true},
      {{.container_path = "/m", .host_path = "/h", .propagation = Mount::Propagation::host_to_container},
       MS_SLAVE,
       0,
       false},
      {{.container_path = "/m", .host_path = "/h", .propagation = Mount::Propagation::bidirectional},
       MS_SHARED,
       0,
       false},
  };
  for (const auto& c : cases) {
    Mounts m;
    m.container.mounts = {c.mount};
    auto got = m.at("/m");
    EXPECT_EQ(got.propagation, c.propagation) << got.print();
    EXPECT_EQ(got.attributes, c.attributes) << got.print();
    EXPECT_EQ(got.recursive_attributes, c.recursive) << got.print();
    EXPECT_TRUE(got.recursive) << got.print();
  }
}

TEST(Mounts, RecursiveReadOnlyIsRefusedWithoutItsConditions) {
  Mounts m;
  auto with = [&](Mount mount) {
    mount.container_path = "/m";
    mount.host_path = "/h";
    mount.recursive_readonly = true;
    m.container.mounts = {mount};
    return m.plan();
  };
  expect_invalid(with({}), "mounts[0].recursive_read_only", "readonly is false");
  for (auto p : {Mount::Propagation::host_to_container, Mount::Propagation::bidirectional})
    expect_invalid(with({.readonly = true, .propagation = p}), "mounts[0].recursive_read_only", "PROPAGATION_PRIVATE");
  m.host.recursive_readonly = false;
  expect_invalid(with({.readonly = true}), "mounts[0].recursive_read_only", "kernel");
}

TEST(Mounts, SharedVolumes) {
  Mounts m;
  m.sandbox.shared_volumes = {"logs"};
  m.container.mounts = {{.container_path = "/var/log/app", .host_path = "volume:logs"}};
  EXPECT_EQ(m.at("/var/log/app").source, "/var/lib/podshim/sandboxes/aa/volumes/logs");
  for (const char* bad : {"volume:cache", "volume:", "volume:../x", "volume:logs/x"}) {
    m.container.mounts = {{.container_path = "/x", .host_path = bad}};
    expect_invalid(m.plan(), "mounts[0].host_path", bad);
  }
}

TEST(Mounts, ImagesAsVolumes) {
  Mounts m;
  m.container.mounts = {{.container_path = "/data", .host_path = "/srv"},
                        {.container_path = "/one", .image = "a", .readonly = true},
                        {.container_path = "/two", .image = "b", .readonly = true}};
  const auto one = m.at("/one"), two = m.at("/two");
  EXPECT_EQ(one.kind, MountPlan::Kind::given);
  EXPECT_EQ(one.slot, Slot::volume);
  EXPECT_EQ(static_cast<int>(two.slot), static_cast<int>(Slot::volume) + 1);
  EXPECT_NE(two.attributes & MOUNT_ATTR_RDONLY, 0U);
  Program program;
  ASSERT_TRUE(add_mount_steps(program, *m.plan(), "/stage", {}));
  int made_readonly = 0;
  for (const auto* step : steps_of(program, Op::mount_attr))
    made_readonly += step->slot == static_cast<std::int32_t>(one.slot) && (step->x & MOUNT_ATTR_RDONLY) != 0 ? 1 : 0;
  EXPECT_EQ(made_readonly, 1);
  for (int i = 0; i < kMaxImageVolumes; i++)
    m.container.mounts.push_back({.container_path = "/m" + std::to_string(i), .image = "a", .readonly = true});
  expect_invalid(m.plan(), "mounts[17].image", "more than 16");
}

TEST(Mounts, BadPathsAreNamed) {
  Mounts m;
  auto at = [&](const char* inside, const char* host) {
    m.container.mounts = {{.container_path = "/ok", .host_path = "/ok"}, {.container_path = inside, .host_path = host}};
    return m.plan();
  };
  expect_invalid(at("/", "/h"), "mounts[1].container_path", "root");
  expect_invalid(at("", "/h"), "mounts[1].container_path", "root");
  expect_invalid(at("/a/..", "/h"), "mounts[1].container_path", "root");
  expect_invalid(at("/m", "relative"), "mounts[1].host_path", "\"relative\"");
  expect_invalid(at("/m", ""), "mounts[1].host_path", "absolute");
  expect_invalid(at("/proc/self", "/h"), "mounts[1].container_path", "inside /proc");
  expect_invalid(at("/x/../proc/sys/kernel", "/h"), "mounts[1].container_path", "inside /proc");
  EXPECT_TRUE(at("/proc/cpuinfo", "/h"));
  EXPECT_TRUE(at("/proc", "/proc"));
  EXPECT_TRUE(at("relative", "/h"));
}

TEST(MountSteps, BindsAreTakenBeforeTheRootBecomesSlave) {
  Mounts m;
  m.container.mounts = {{.container_path = "/m", .host_path = "/h", .propagation = Mount::Propagation::bidirectional}};
  Program program;
  ASSERT_TRUE(add_mount_steps(program, *m.plan(), "/stage", {}));
  const auto slave = index_of(program, Op::propagation), root = index_of(program, Op::attach_root, "/stage");
  EXPECT_LT(index_of(program, Op::open_tree, "/h"), slave);
  EXPECT_LT(slave, root);
  EXPECT_LT(root, index_of(program, Op::attach, "/proc"));
  for (const auto* step : steps_of(program, Op::open_tree))
    EXPECT_LT(index_of(program, Op::open_tree, step->b), slave) << step->b;
}

TEST(MountSteps, ReadOnlyCoversTheMountAloneUnlessRecursive) {
  auto attrs = [](const Mount& mount) {
    Mounts m;
    m.container.mounts = {mount};
    Program program;
    EXPECT_TRUE(add_mount_steps(program, *m.plan(), "/stage", {}));
    const auto slot = program.steps[static_cast<std::size_t>(index_of(program, Op::open_tree, "/h"))].slot;
    std::vector<std::array<std::uint64_t, 3>> out;  // set, propagation, recursive
    for (const auto* step : steps_of(program, Op::mount_attr))
      if (step->slot == slot) out.push_back({step->x, step->z, step->w});
    return out;
  };
  using Steps = std::vector<std::array<std::uint64_t, 3>>;
  EXPECT_EQ(attrs({.container_path = "/m", .host_path = "/h"}), (Steps{{0, MS_PRIVATE, 1}}));
  EXPECT_EQ(attrs({.container_path = "/m", .host_path = "/h", .readonly = true}),
            (Steps{{MOUNT_ATTR_RDONLY, 0, 0}, {0, MS_PRIVATE, 1}}));
  EXPECT_EQ(attrs({.container_path = "/m", .host_path = "/h", .readonly = true, .recursive_readonly = true}),
            (Steps{{MOUNT_ATTR_RDONLY, MS_PRIVATE, 1}}));
}

TEST(MountSteps, SlotsAreDistinctAndTheirNumberIsLimited) {
  Mounts m;
  for (int i = 0; i < 150; i++)
    m.container.mounts.push_back({.container_path = "/m" + std::to_string(i), .host_path = "/h"});
  Program program;
  ASSERT_TRUE(add_mount_steps(program, *m.plan(), "/stage", {}));
  std::set<std::int32_t> slots;
  for (const auto* step : steps_of(program, Op::open_tree)) {
    EXPECT_TRUE(slots.insert(step->slot).second) << step->slot;
    EXPECT_GT(step->slot, static_cast<std::int32_t>(Slot::first_free));
    EXPECT_LT(step->slot, kSlots);
  }
  for (int i = 0; i < 50; i++)
    m.container.mounts.push_back({.container_path = "/n" + std::to_string(i), .host_path = "/h"});
  expect_invalid(add_mount_steps(program, *m.plan(), "/stage", {}), "config.mounts", "more than");
}

}  // namespace
}  // namespace podshim::testing
