// A disk with 0 bytes free (an ext4 loop file): what cannot be made is refused by name and leaves nothing; what is
// there goes on, stops and is removed; the daemon comes up again; with room again everything works.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <fstream>

#include "common/sys/file.h"
#include "tests/support/node_suite.h"
#include "tests/support/registry.h"

namespace podshim::test {
namespace {

constexpr std::uint64_t kProbeSize = 1'900'000;  // the layer that no other image has

class DiskFull : public ::testing::Test {
 protected:
  void SetUp() override {
    node_ = std::make_unique<Node>();
    root_ = node_->dir() + "/root";
    ASSERT_TRUE(sys::make_dir(root_, 0711));
    auto made = node_->run({"sh", "-c",
                            "truncate -s 64M " + node_->dir() + "/disk && mkfs.ext4 -q -m 0 " + node_->dir() +
                                "/disk && mount -o loop " + node_->dir() + "/disk " + root_});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    mounted_ = true;
    no_registry_ = serve_registry(*node_);
    if (no_registry_.empty()) no_registry_ = push_archive(*node_, "multi");
    ASSERT_TRUE(node_->start_daemon()) << node_->log();
    for (const char* archive : {"busybox.tar", "probe.tar"})
      ASSERT_EQ(node_->import_image(image_archive(archive)).exit_code, 0);
  }
  void TearDown() override {
    if (!node_) return;
    node_->stop_daemon(SIGTERM);
    if (mounted_) {
      EXPECT_EQ(::umount2(root_.c_str(), 0), 0);
    }
    EXPECT_EQ(node_->leaks(), std::vector<std::string>{});
  }
  void start_pod() {
    config_ = pod_config("p", node_->cgroup_parent());
    pod_ = node_->cri().run_sandbox(config_);
    ASSERT_TRUE(pod_.status.ok()) << pod_.status.error_message();
    running_ = create("running");
    ASSERT_TRUE(node_->cri().start(running_).ok());
    created_ = create("created");
  }
  std::string create(const std::string& name) {
    auto made = node_->cri().create_container(pod_.id, sleeper(name), config_);
    EXPECT_TRUE(made.status.ok()) << made.status.error_message();
    return made.id;
  }
  void expect_echo(const std::string& container) {
    cri::ExecSyncResponse out;
    auto ran = node_->cri().exec(container, {"echo", "on"}, 10, &out);
    EXPECT_TRUE(ran.ok() && out.stdout() == "on\n") << ran.error_message();
  }
  static void expect_ok(const grpc::Status& status) { EXPECT_TRUE(status.ok()) << status.error_message(); }
  void remove_pod() {
    expect_ok(node_->cri().stop(running_, 5));
    expect_ok(node_->cri().remove(running_));
    expect_ok(node_->cri().stop_sandbox(pod_.id));
    expect_ok(node_->cri().remove_sandbox(pod_.id));
  }
  void fill() {
    Fd fd(::open((root_ + "/ballast").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    for (std::size_t size = 1 << 20; size > 0; size /= 2) {
      const std::string block(size, 'x');
      while (::write(fd.get(), block.data(), block.size()) > 0) {
      }
    }
    ASSERT_EQ(errno, ENOSPC);
  }
  void make_room() { ASSERT_EQ(::unlink((root_ + "/ballast").c_str()), 0); }
  static void expect_no_space(const grpc::Status& status) {
    EXPECT_FALSE(status.ok());
    EXPECT_NE(status.error_message().find("ENOSPC"), std::string::npos) << status.error_message();
  }
  std::string images() { return node_->run({program("podshim"), "--config", node_->config_file(), "image", "ls"}).out; }

  std::unique_ptr<Node> node_;
  std::string root_, no_registry_;
  bool mounted_ = false;
  cri::PodSandboxConfig config_;
  CriClient::Id pod_;
  std::string running_, created_;
};

TEST_F(DiskFull, NothingIsHalfMadeAndRemovalWorks) {
  ASSERT_NO_FATAL_FAILURE(start_pod());
  const auto sandboxes = sys::list_dir(root_ + "/sandboxes").value();
  const auto containers = sys::list_dir(root_ + "/containers").value();
  fill();

  auto imported = node_->import_image(image_archive("multi.tar"));
  EXPECT_NE(imported.exit_code, 0);
  EXPECT_NE((imported.err + imported.out).find("ENOSPC"), std::string::npos) << imported.err;
  EXPECT_EQ(images().find("multi"), std::string::npos);
  expect_no_space(node_->cri().run_sandbox(pod_config("more", node_->cgroup_parent())).status);
  expect_no_space(node_->cri().create_container(pod_.id, sleeper("more"), config_).status);
  EXPECT_EQ(sys::list_dir(root_ + "/sandboxes").value(), sandboxes);
  EXPECT_EQ(sys::list_dir(root_ + "/containers").value(), containers);
  expect_echo(running_);
  expect_no_space(node_->cri().start(created_));  // its mount points are made in its layer
  const auto refused = node_->cri().container_status(created_);
  EXPECT_EQ(refused.state(), cri::CONTAINER_EXITED);
  EXPECT_EQ(refused.reason(), "StartError");
  remove_pod();

  make_room();
  imported = node_->import_image(image_archive("multi.tar"));
  EXPECT_EQ(imported.exit_code, 0) << imported.err;
  EXPECT_NE(images().find("multi"), std::string::npos);
  auto again = node_->cri().run_sandbox(pod_config("more", node_->cgroup_parent()));
  EXPECT_TRUE(again.status.ok()) << again.status.error_message();
  EXPECT_TRUE(node_->cri().remove_sandbox(again.id).ok());
}

TEST_F(DiskFull, APullLeavesNothing) {
  if (!no_registry_.empty()) GTEST_SKIP() << "NOT RUN: " << no_registry_;
  const std::string image = std::string(kRegistry) + "/multi:1";
  const auto blobs = sys::list_dir(root_ + "/images/blobs/sha256").value();
  const auto layers = sys::list_dir(root_ + "/images/layers").value();
  fill();
  expect_no_space(pull_image(*node_, image));
  EXPECT_EQ(images().find("multi"), std::string::npos);
  EXPECT_EQ(sys::list_dir(root_ + "/images/blobs/sha256").value(), blobs);
  EXPECT_EQ(sys::list_dir(root_ + "/images/layers").value(), layers);
  EXPECT_EQ(sys::list_dir(root_ + "/images/ingest").value(), std::vector<std::string>{});
  make_room();
  expect_ok(pull_image(*node_, image));
  EXPECT_NE(images().find("multi"), std::string::npos);
}

// What a kubelet does when its disk is full.
TEST_F(DiskFull, AnImageIsRemovedAndGivesItsRoom) {
  fill();
  ASSERT_NE(images().find(kProbe), std::string::npos);
  expect_ok(remove_image(*node_, kProbe));
  EXPECT_EQ(images().find(kProbe), std::string::npos);
  const auto room = [&] {
    struct statvfs now{};
    EXPECT_EQ(::statvfs(root_.c_str(), &now), 0);
    return now.f_bavail * now.f_frsize;
  };
  for (int i = 0; i < 50 && room() < kProbeSize; i++) ::usleep(100'000);  // its files go in the background
  EXPECT_GE(room(), kProbeSize);
}

TEST_F(DiskFull, TheDaemonStartsAndItsPodsGoOn) {
  ASSERT_NO_FATAL_FAILURE(start_pod());
  for (const int signal : {SIGKILL, SIGTERM}) {
    fill();
    node_->stop_daemon(signal);
    fill();  // what its end gave back
    ASSERT_TRUE(node_->start_daemon()) << node_->log();
    EXPECT_EQ(node_->cri().sandbox_status(pod_.id).state(), cri::SANDBOX_READY);
    EXPECT_EQ(node_->cri().container_status(running_).state(), cri::CONTAINER_RUNNING);
    EXPECT_EQ(node_->cri().container_status(created_).state(), cri::CONTAINER_CREATED);
    expect_echo(running_);
    EXPECT_NE(images().find(kBusybox), std::string::npos);
  }
  remove_pod();
}

}  // namespace
}  // namespace podshim::test
