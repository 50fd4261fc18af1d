#include <sys/stat.h>
#include <unistd.h>

#include "common/ids.h"
#include "common/sys/file.h"
#include "shim/apply/files.h"
#include "shim/apply/host_paths.h"
#include "shim/apply/image_view.h"
#include "shim/apply/mountinfo.h"
#include "tests/unit/shim-plan/plan_fixture.h"

namespace podshim::testing {
namespace {

class ApplyFiles : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(sys::make_dirs(dir)); }
  void TearDown() override { ASSERT_TRUE(sys::remove_tree(dir)); }
  void put(const std::string& path, const std::string& text) {
    ASSERT_TRUE(sys::make_dirs(dir + path.substr(0, path.rfind('/'))));
    ASSERT_TRUE(sys::write_file(dir + path, text, 0644));
  }
  Result<UserFiles> users() { return read_user_files(*sys::open(dir, O_PATH | O_DIRECTORY)); }
  std::string dir = "/tmp/podshim-test-" + random_hex(6);
};

mode_t mode_of(const std::string& path) {
  struct stat st{};
  EXPECT_EQ(::stat(path.c_str(), &st), 0) << path;
  return st.st_mode & 07777;
}

TEST_F(ApplyFiles, SandboxFilesWhateverTheUmask) {
  const mode_t before = ::umask(0177);
  SandboxFacts facts;
  auto r = write_sandbox_files(dir, {.hosts = "h", .hostname = "n\n", .resolv_conf = ""}, facts);
  auto volumes = make_volumes(dir + "/volumes", {"logs", "cache"});
  ::umask(before);
  ASSERT_TRUE(r) << error_text(r);
  EXPECT_EQ(facts.hosts_path, dir + "/hosts");
  EXPECT_EQ(*sys::read_file(facts.hostname_path), "n\n");
  EXPECT_EQ(*sys::read_file(facts.resolv_conf_path), "");
  EXPECT_EQ(mode_of(facts.hosts_path), 0644U);
  EXPECT_EQ(read_host_file(dir + "/none"), "");
  EXPECT_EQ(read_host_file(dir + "/hosts"), "h");
  if (::geteuid() == 0) {
    ASSERT_TRUE(volumes) << error_text(volumes);
    EXPECT_EQ(mode_of(dir + "/volumes/logs"), 0777U);
    EXPECT_EQ(mode_of(dir + "/volumes/cache"), 0777U);
  }
}

TEST_F(ApplyFiles, UsersOfAnImage) {
  EXPECT_EQ(*users(), UserFiles{});
  put("/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
  put("/elsewhere/group", "wheel:x:10:\n");
  ASSERT_EQ(::symlink("/elsewhere/group", (dir + "/etc/group").c_str()), 0);  // absolute: means inside the image
  auto got = users();
  ASSERT_TRUE(got) << error_text(got);
  EXPECT_EQ(got->passwd, "root:x:0:0::/root:/bin/sh\n");
  EXPECT_EQ(got->group, "wheel:x:10:\n");
}

TEST_F(ApplyFiles, AnImageLeadsNowhere) {
  put("/etc/group", "");
  ASSERT_EQ(::symlink("../../../../../../etc/passwd", (dir + "/etc/passwd").c_str()), 0);
  EXPECT_FALSE(users());  // its own /etc/passwd, which is itself: a loop, never the host's file
  ASSERT_EQ(::unlink((dir + "/etc/passwd").c_str()), 0);
  ASSERT_EQ(::mkfifo((dir + "/etc/passwd").c_str(), 0644), 0);
  EXPECT_TRUE(users().error().is(EINVAL));
  ASSERT_EQ(::unlink((dir + "/etc/passwd").c_str()), 0);
  put("/etc/passwd", std::string((1 << 20) + 1, 'x'));
  EXPECT_TRUE(users().error().is(EFBIG));
}

Result<> look_at_all(const SandboxSpec& sandbox, const ContainerSpec& container, const SandboxFacts& facts) {
  for (const auto& one : TRY(mount_looks(sandbox, container, facts))) TRY(one.look());
  return {};
}

TEST_F(ApplyFiles, MountSources) {
  SandboxSpec sandbox;
  sandbox.shared_volumes = {"logs"};
  ContainerSpec container;
  SandboxFacts facts{.volumes_dir = dir + "/volumes"};
  put("/file", "x");
  ASSERT_TRUE(sys::make_dirs(dir + "/volumes/logs"));
  ASSERT_EQ(::symlink((dir + "/volumes").c_str(), (dir + "/link").c_str()), 0);
  container.mounts = {{.container_path = "/a", .host_path = dir},
                      {.container_path = "/b", .host_path = dir + "/file"},
                      {.container_path = "/c", .host_path = dir + "/link"},
                      {.container_path = "/d", .host_path = "volume:logs"}};
  EXPECT_TRUE(look_at_all(sandbox, container, facts));
  container.mounts[2].host_path = dir + "/none";
  expect_invalid(look_at_all(sandbox, container, facts), "config.mounts[2].host_path", dir + "/none");
  container.mounts[2].host_path = dir + "/file/below";
  expect_invalid(look_at_all(sandbox, container, facts), "config.mounts[2].host_path", "does not exist");
  container.mounts[2].host_path = "volume:cache";
  expect_invalid(look_at_all(sandbox, container, facts), "config.mounts[2].host_path", "volume:cache");
}

Result<std::vector<DeviceNode>> observe_devices(const ContainerSpec& container) {
  auto out = std::make_shared<std::vector<DeviceNode>>();
  for (const auto& one : device_looks(container, out)) TRY(one.look());
  return *out;
}

TEST_F(ApplyFiles, DevicesOfTheHost) {
  ContainerSpec container;
  container.devices = {{.container_path = "/dev/nothing", .host_path = "/dev/null", .permissions = "r"}};
  auto got = observe_devices(container);
  ASSERT_TRUE(got) << error_text(got);
  ASSERT_EQ(got->size(), 1U);
  EXPECT_EQ((*got)[0].type, 'c');
  EXPECT_EQ((*got)[0].major, 1U);
  EXPECT_EQ((*got)[0].minor, 3U);
  EXPECT_EQ((*got)[0].container_path, "/dev/nothing");
  EXPECT_EQ((*got)[0].permissions, "r");
  put("/file", "");
  container.devices[0].host_path = dir + "/file";
  expect_invalid(observe_devices(container), "config.devices[0].host_path", "no device");
  container.devices[0].host_path = dir + "/none";
  expect_invalid(observe_devices(container), "config.devices[0].host_path", "ENOENT");
  container.devices.clear();
  EXPECT_TRUE(observe_devices(container)->empty());
  container.security.privileged = true;
  bool null = false;
  auto all = observe_devices(container);
  ASSERT_TRUE(all) << error_text(all);
  for (const auto& node : *all) {
    null = null || node.container_path == "/dev/null";
    EXPECT_FALSE(node.container_path.starts_with("/dev/pts/")) << node.container_path;
    EXPECT_NE(node.container_path, "/dev/console");
  }
  EXPECT_TRUE(null);
}

TEST(Mountinfo, Parses) {
  auto got = parse_mountinfo(
      "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
      "36 35 98:0 /mnt1 /a\\040b\\011c rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue\n"
      "too short\n"
      "37 35 98:0 / /x rw - ext4\n"
      "38 1 0:1 / /y\\ rw master:3 - tmpfs none rw\n");
  ASSERT_EQ(got.size(), 3U);
  EXPECT_EQ(got[0], (MountInfo{.id = 22, .root = "/", .mount_point = "/proc", .type = "proc", .super_options = "rw"}));
  EXPECT_EQ(got[1].mount_point, "/a b\tc");
  EXPECT_EQ(got[1].root, "/mnt1");
  EXPECT_TRUE(got[1].shared);
  EXPECT_EQ(got[1].super_options, "rw,errors=continue");
  EXPECT_FALSE(got[2].shared);
  EXPECT_EQ(got[2].mount_point, "/y\\");
}

}  // namespace
}  // namespace podshim::testing
