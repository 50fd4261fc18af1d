// Bound network namespaces in a mount namespace of the test's own; the host's /run/netns is never touched.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "common/ids.h"
#include "common/sys/file.h"
#include "common/sys/netns.h"
#include "shim/apply/files.h"
#include "shim/apply/host_paths.h"
#include "shim/apply/mountinfo.h"
#include "shim/apply/netns.h"
#include "shim/apply/probe.h"

namespace podshim {
namespace {

class NetnsRoot : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "NOT ROOT: netns and mounts are not tested";
    ASSERT_TRUE(sys::make_dirs(dir));
  }
  void TearDown() override { EXPECT_TRUE(sys::remove_tree(dir)); }

  // A child in a private mount namespace runs `body`; "" or what went wrong comes back.
  std::string in_own_mounts(const std::function<std::string()>& body) {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) return "pipe";
    const pid_t pid = ::fork();
    if (pid == 0) {
      std::string said = "unshare";
      if (::unshare(CLONE_NEWNS) == 0 && ::mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) == 0) said = body();
      if (::write(fds[1], said.data(), said.size()) < 0) ::_exit(1);
      ::_exit(0);
    }
    ::close(fds[1]);
    auto text = sys::read_all(Fd(fds[0]), "pipe");
    int status = 0;
    ::waitpid(pid, &status, 0);
    return status == 0 ? text.value_or("read") : "the child died: " + std::to_string(status);
  }
  std::string dir = "/tmp/podshim-test-" + random_hex(6);
};

// A process in a network namespace of its own, until the test ends it.
class Sleeper {
 public:
  Sleeper() {
    pid_ = ::fork();
    if (pid_ == 0) {
      if (::unshare(CLONE_NEWNET) != 0) ::_exit(1);
      for (;;) ::pause();
    }
    for (int i = 0; i < 5000 && inode("/proc/self/ns/net") == inode(path()); i++) ::usleep(1000);
  }
  ~Sleeper() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  std::string path() const { return "/proc/" + std::to_string(pid_) + "/ns/net"; }
  static ino_t inode(const std::string& path) {
    struct stat st{};
    return ::stat(path.c_str(), &st) == 0 ? st.st_ino : 0;
  }

 private:
  pid_t pid_ = -1;
};

TEST_F(NetnsRoot, BindOutlivesTheProcess) {
  EXPECT_EQ(in_own_mounts([&]() -> std::string {
              if (auto r = prepare_netns_dir(dir); !r) return r.error().text();
              if (auto r = prepare_netns_dir(dir); !r) return "second time: " + r.error().text();
              bool shared = false;
              for (const auto& mount : parse_mountinfo(*sys::read_file("/proc/self/mountinfo")))
                shared = shared || (mount.mount_point == dir && mount.shared);
              if (!shared) return "the directory is no shared mount";
              ino_t before = 0;
              {
                Sleeper sleeper;
                before = Sleeper::inode(sleeper.path());
                for (int i = 0; i < 2; i++) {  // twice is once
                  auto bound = bind_netns(sleeper.pid(), dir, "a");
                  if (!bound) return bound.error().text();
                  if (*bound != dir + "/a") return *bound;
                }
                Sleeper second;
                auto taken = bind_netns(second.pid(), dir, "a");
                if (taken || !taken.error().is(EEXIST)) return "another namespace took the name";
              }
              if (Sleeper::inode(dir + "/a") != before) return "the bound namespace is not the process's";
              if (auto ns = sys::open_netns(dir + "/a"); !ns) return ns.error().text();
              for (int i = 0; i < 2; i++)
                if (auto r = unbind_netns(dir, "a"); !r) return r.error().text();
              if (sys::exists(dir + "/a")) return "the file is left";
              return "";
            }),
            "");
}

TEST_F(NetnsRoot, AFailedBindLeavesNothing) {
  EXPECT_EQ(in_own_mounts([&]() -> std::string {
              auto bound = bind_netns(0x3fffffff, dir, "a");
              if (bound) return "bound a process that does not exist";
              if (!bound.error().is(ENOENT)) return bound.error().text();
              return sys::exists(dir + "/a") ? "the file is left" : "";
            }),
            "");
}

TEST_F(NetnsRoot, AStaleFileIsBoundOver) {
  EXPECT_EQ(in_own_mounts([&]() -> std::string {
              if (auto r = sys::write_file(dir + "/a", "", 0444); !r) return r.error().text();
              Sleeper sleeper;
              auto bound = bind_netns(sleeper.pid(), dir, "a");
              if (!bound) return bound.error().text();
              if (Sleeper::inode(dir + "/a") != Sleeper::inode(sleeper.path())) return "not bound";
              auto r = unbind_netns(dir, "a");
              return r ? "" : r.error().text();
            }),
            "");
}

TEST_F(NetnsRoot, ShmIsInNoMountTable) {
  // In a table of its own: others mount on this machine meanwhile.
  EXPECT_EQ(in_own_mounts([&]() -> std::string {
              const auto before = *sys::read_file("/proc/self/mountinfo");
              auto shm = make_shm(1 << 20);
              if (!shm) return shm.error().text();
              const auto after = *sys::read_file("/proc/self/mountinfo");
              return before == after ? "" : "before:\n" + before + "after:\n" + after;
            }),
            "");
  auto shm = make_shm(1 << 20);
  ASSERT_TRUE(shm) << shm.error().text();
  struct stat st{};
  ASSERT_EQ(::fstat(shm->get(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 01777U);
  auto file = sys::open_in_root(*shm, "x", O_RDWR | O_CREAT, 0600);
  ASSERT_TRUE(file) << file.error().text();
  const std::string half(512 << 10, 'x');
  EXPECT_TRUE(sys::write_all(*file, half, "x"));
  auto full = sys::write_all(*file, half + half, "x");
  ASSERT_FALSE(full);
  EXPECT_TRUE(full.error().is(ENOSPC)) << full.error().text();
}

TEST_F(NetnsRoot, BidirectionalNeedsASharedMount) {
  EXPECT_EQ(in_own_mounts([&]() -> std::string {
              SandboxSpec sandbox;
              ContainerSpec container;
              container.mounts = {
                  {.container_path = "/m", .host_path = dir, .propagation = Mount::Propagation::bidirectional}};
              auto refused = mount_looks(sandbox, container, {})->at(0).look();
              if (refused || refused.error().subject != "config.mounts[0].propagation")
                return "a private mount was taken";
              if (::mount(dir.c_str(), dir.c_str(), nullptr, MS_BIND, nullptr) != 0) return "bind";
              if (::mount("", dir.c_str(), nullptr, MS_SHARED, nullptr) != 0) return "shared";
              auto taken = mount_looks(sandbox, container, {})->at(0).look();
              return taken ? "" : taken.error().text();
            }),
            "");
}

TEST(ProbeRoot, FactsOfThisMachine) {
  if (::geteuid() != 0) GTEST_SKIP() << "NOT ROOT: kernel features are not tried";
  auto facts = gather_host_facts();
  ASSERT_TRUE(facts) << facts.error().text();
  EXPECT_TRUE(facts->recursive_readonly);  // both reference kernels have them
  EXPECT_TRUE(facts->seccomp);
  EXPECT_FALSE(facts->hostname.empty());
  EXPECT_NE(facts->capabilities & 1U << 21, 0U);
  EXPECT_EQ(facts->can_lower_oom_score, (facts->capabilities >> 24 & 1) != 0);
  EXPECT_TRUE(facts->cgroup == CgroupVersion::v2 || facts->cgroup_v1_mounts.contains("memory"));
  EXPECT_FALSE(gather_host_facts({}, {.no_overlay_lowerdir_plus = true})->overlay_lowerdir_plus);
  EXPECT_FALSE(gather_host_facts({}, {.no_recursive_readonly = true})->recursive_readonly);
}

}  // namespace
}  // namespace podshim
