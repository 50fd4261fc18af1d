#include "shim/lifecycle/mount_looks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <thread>

#include "tests/unit/shim-lifecycle/runtime_fixture.h"

namespace podshim::lifecycle::test {
namespace {

using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

// Volumes that are silent until the test says otherwise. The threads that look may outlive the looks.
struct Volumes {
  std::mutex mutex;
  std::condition_variable changed;
  bool silent = true;
  std::atomic<int> looks = 0;

  static MountLook look(const std::shared_ptr<Volumes>& self, const std::string& path) {
    return {.path = path, .look = [self] {
              std::unique_lock lock(self->mutex);
              self->looks++;
              self->changed.wait(lock, [&] { return !self->silent; });
              return Result<>();
            }};
  }
  void answer() {
    std::lock_guard lock(mutex);
    silent = false;
    changed.notify_all();
  }
};

MountLook fine(const std::string& path) {
  return {.path = path, .look = [] { return Result<>(); }};
}
MountLook missing(const std::string& path) {
  return {.path = path, .look = [path] { return Result<>(fail(Error::sys("stat", path, {}, ENOENT))); }};
}

TEST(MountLooks, TheFirstErrorIsTheAnswer) {
  MountLooks looks({});
  EXPECT_TRUE(looks.run({}));
  EXPECT_TRUE(looks.run({fine("/a"), fine("/b")}));
  auto r = looks.run({fine("/a"), missing("/b"), missing("/c")});
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().subject, "/b");
}

TEST(MountLooks, ASilentOneIsNamedAndThenRefusedUntilItAnswers) {
  auto volumes = std::make_shared<Volumes>();
  MountLooks looks({.patience = seconds(1)});
  auto late = looks.run({fine("/a"), Volumes::look(volumes, "/dead"), fine("/c")});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, ErrorKind::deadline_exceeded);
  EXPECT_EQ(late.error().subject, "/dead");
  EXPECT_NE(late.error().text().find("mount sources /dead"), std::string::npos) << late.error().text();
  for (int i = 0; i < 100; i++)
    EXPECT_EQ(looks.run({Volumes::look(volumes, "/dead")}).error().kind, ErrorKind::unavailable);
  EXPECT_EQ(volumes->looks, 1) << "retries make no threads";
  EXPECT_TRUE(looks.run({fine("/a"), fine("/c")}));
  ASSERT_EQ(looks.silent().size(), 1U);
  EXPECT_EQ(looks.silent()[0].path, "/dead");
  volumes->answer();
  for (int i = 0; i < 10'000 && !looks.silent().empty(); i++) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_TRUE(looks.silent().empty());
  EXPECT_TRUE(looks.run({Volumes::look(volumes, "/dead")}));
}

TEST(MountLooks, InACrowdNobodyWaitsLong) {
  auto volumes = std::make_shared<Volumes>();
  MountLooks looks({.patience = seconds(20), .crowded = milliseconds(50), .crowd = 2});
  std::vector<std::future<Result<>>> crowd;
  for (const char* path : {"/1", "/2"})
    crowd.push_back(std::async(std::launch::async, [&, path] { return looks.run({Volumes::look(volumes, path)}); }));
  for (int looking = 0; looking < 2; std::this_thread::sleep_for(milliseconds(1))) {
    std::lock_guard lock(volumes->mutex);
    looking = volumes->looks;
  }
  std::this_thread::sleep_for(seconds(1));  // after a hundredth of their patience they count as waiting
  const auto begin = Clock::now();
  EXPECT_EQ(looks.run({Volumes::look(volumes, "/3")}).error().kind, ErrorKind::deadline_exceeded);
  EXPECT_LT(Clock::now() - begin, seconds(5));
  volumes->answer();
  for (auto& one : crowd) EXPECT_TRUE(one.get()) << "they had patience left";
}

TEST(MountLooks, SoManySilentOnesAndNoMore) {
  auto volumes = std::make_shared<Volumes>();
  MountLooks looks({.patience = milliseconds(700), .silent = 3});
  for (const char* path : {"/1", "/2", "/3"}) EXPECT_FALSE(looks.run({Volumes::look(volumes, path)}));
  EXPECT_EQ(looks.run({Volumes::look(volumes, "/4")}).error().kind, ErrorKind::resource_exhausted);
  EXPECT_TRUE(looks.run({})) << "who has no volume is not concerned";
  EXPECT_EQ(volumes->looks, 3);
  volumes->answer();
}

class SilentVolumes : public RuntimeTest {
 protected:
  void SetUp() override {
    look_limits = {.patience = seconds(1), .crowded = milliseconds(500), .crowd = 4};
    RuntimeTest::SetUp();
  }
  // Also of a test that failed: who looks waits in the machine, which must not go before.
  void TearDown() override {
    silence("");
    for (int i = 0; i < 5000 && looking() != 0; i++) std::this_thread::sleep_for(milliseconds(1));
    RuntimeTest::TearDown();
  }
  void silence(const std::string& below) {
    std::lock_guard lock(machine.mutex);
    machine.silent = below;
    machine.changed.notify_all();
  }
  int looking() {
    std::lock_guard lock(machine.mutex);
    return machine.looking;
  }
};

// As many as their lane has threads, each on another volume: they go, leave nothing, and others come through meanwhile.
TEST_F(SilentVolumes, ManyCreationsLeaveNothingAndHoldUpNobody) {
  look_limits.patience = look_limits.crowded = seconds(2);  // the looks of 64 begin at once
  start();
  auto sandbox = runtime->run_sandbox(pod()).value();
  const auto before = left();
  silence("/silent/");
  std::vector<std::future<Result<ContainerId>>> creations;
  for (int i = 0; i < 64; i++)
    creations.push_back(std::async(std::launch::async, [&, i] {
      auto spec = container("silent" + std::to_string(i));
      spec.mounts = {{.container_path = "/data", .host_path = "/silent/" + std::to_string(i)}};
      return runtime->create_container(sandbox.str(), spec);
    }));
  auto healthy = runtime->create_container(sandbox.str(), container("healthy"));
  ASSERT_TRUE(healthy) << healthy.error().text();
  EXPECT_TRUE(runtime->start_container(healthy->str()));
  EXPECT_TRUE(runtime->remove_container(healthy->str()));
  for (auto& one : creations) {
    const auto error = one.get().error();
    EXPECT_EQ(error.kind, ErrorKind::deadline_exceeded) << error.text();
  }
  EXPECT_EQ(left(), before);
  silence("");
  // The volume answers: the names are free, and no thread stays.
  for (int i = 0; i < 5000 && looking() != 0; i++) std::this_thread::sleep_for(milliseconds(1));
  ASSERT_EQ(looking(), 0);
  auto spec = container("silent0");
  spec.mounts = {{.container_path = "/data", .host_path = "/silent/0"}};
  auto created = runtime->create_container(sandbox.str(), spec);
  for (int i = 0; i < 5000 && !created && created.error().kind == ErrorKind::unavailable; i++) {
    std::this_thread::sleep_for(milliseconds(1));  // until the thread of the look has gone
    created = runtime->create_container(sandbox.str(), spec);
  }
  EXPECT_TRUE(created) << created.error().text();
  EXPECT_TRUE(runtime->remove_sandbox(sandbox.str()));
  EXPECT_EQ(left(), std::vector<std::string>{});
}

// What a container needs of the host, and its server dies between create and start.
class DiesAfterCreate : public SilentVolumes {
 protected:
  void SetUp() override {
    SilentVolumes::SetUp();
    sandbox = runtime->run_sandbox(pod()).value();
    auto on_volume = container("volume"), with_device = container("device");
    on_volume.mounts = {{.container_path = "/data", .host_path = "/silent/volume"}};
    with_device.devices = {{.container_path = "/dev/x", .host_path = "/silent/device", .permissions = "r"}};
    for (const auto& spec : {on_volume, with_device})
      ids.push_back(runtime->create_container(sandbox.str(), spec)->str());
  }
  void wait_looking(int looks) {
    std::unique_lock lock(machine.mutex);
    ASSERT_TRUE(machine.changed.wait_for(lock, seconds(20), [&] { return machine.looking == looks; }));
  }
  SandboxId sandbox;
  std::vector<std::string> ids;
};

// The monitor opens the new file: with a file system that does not answer all of the Pod would wait.
TEST_F(DiesAfterCreate, TheMonitorIsNotAskedForALogThatDoesNotAnswer) {
  auto spec = container("logs");
  spec.log_path = "logs/0.log";
  const auto id = runtime->create_container(sandbox.str(), spec)->str();
  ASSERT_TRUE(runtime->start_container(id));
  EXPECT_TRUE(runtime->reopen_log(id));
  EXPECT_EQ(machine.reopened, std::vector<std::string>{id});
  silence(dir + "/logs");
  for (const auto kind : {ErrorKind::deadline_exceeded, ErrorKind::unavailable}) {
    auto reopened = runtime->reopen_log(id);
    ASSERT_FALSE(reopened);
    EXPECT_EQ(reopened.error().kind, kind) << reopened.error().text();
    EXPECT_NE(reopened.error().text().find("log directory " + dir + "/logs/logs"), std::string::npos)
        << reopened.error().text();
  }
  EXPECT_EQ(machine.reopened.size(), 1U);
  EXPECT_EQ(runtime->container(id).value()->state, ContainerState::running);
  silence("");
  bool again = false;
  for (int i = 0; i < 5000 && !(again = runtime->reopen_log(id).has_value()); i++)
    std::this_thread::sleep_for(milliseconds(1));
  EXPECT_TRUE(again);
}

TEST_F(DiesAfterCreate, AStartWaitsNoLongerThanACreate) {
  silence("/silent/");
  const char* named[] = {"mount sources /silent/volume", "devices /silent/device"};
  for (std::size_t i = 0; i < ids.size(); i++) {
    for (const auto kind : {ErrorKind::deadline_exceeded, ErrorKind::unavailable}) {
      auto started = runtime->start_container(ids[i]);
      ASSERT_FALSE(started) << named[i];
      EXPECT_EQ(started.error().kind, kind) << started.error().text();
      EXPECT_NE(started.error().text().find(named[i]), std::string::npos) << started.error().text();
    }
    EXPECT_EQ(runtime->container(ids[i]).value()->state, ContainerState::created) << "nothing was touched";
  }
  silence("");
  for (const auto& id : ids)  // each has a thread that looks, which ends when it does
    for (int i = 0; i < 5000 && !runtime->start_container(id); i++) std::this_thread::sleep_for(milliseconds(1));
  for (const auto& id : ids) EXPECT_TRUE(runtime->start_container(id));
}

TEST_F(DiesAfterCreate, WhoStopsOrRemovesItMeanwhileDoesNotWait) {
  look_limits.patience = seconds(60);
  start();
  silence("/silent/");
  std::vector<std::future<Result<>>> starts;
  for (const auto& id : ids)
    starts.push_back(std::async(std::launch::async, [&, id] { return runtime->start_container(id); }));
  wait_looking(2);
  EXPECT_TRUE(runtime->remove_container(ids[0]));
  EXPECT_TRUE(runtime->stop_container(ids[1], seconds(0)));
  EXPECT_TRUE(runtime->stop_sandbox(sandbox.str()));
  for (auto& one : starts) EXPECT_EQ(one.wait_for(seconds(0)), std::future_status::timeout);
  silence("");
  for (auto& one : starts) EXPECT_FALSE(one.get()) << "its sandbox was stopped";
  EXPECT_TRUE(runtime->remove_sandbox(sandbox.str()));
  EXPECT_EQ(left(), std::vector<std::string>{});
}

TEST_F(DiesAfterCreate, OneThatWasRemovedMeanwhileIsNotStarted) {
  look_limits.patience = seconds(60);
  start();
  silence("/silent/");
  auto starting = std::async(std::launch::async, [&] { return runtime->start_container(ids[0]); });
  wait_looking(1);
  EXPECT_TRUE(runtime->remove_container(ids[0]));
  const auto before = left();
  silence("");
  auto started = starting.get();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind, ErrorKind::failed_precondition) << started.error().text();
  EXPECT_EQ(left(), before);
}

TEST_F(DiesAfterCreate, OneThatWasStoppedMeanwhileIsNotStarted) {
  look_limits.patience = seconds(60);
  start();
  silence("/silent/");
  auto starting = std::async(std::launch::async, [&] { return runtime->start_container(ids[0]); });
  wait_looking(1);
  EXPECT_TRUE(runtime->stop_container(ids[0], seconds(0)));
  silence("");
  auto started = starting.get();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind, ErrorKind::failed_precondition) << started.error().text();
  EXPECT_EQ(runtime->container(ids[0]).value()->state, ContainerState::created);
  EXPECT_TRUE(runtime->start_container(ids[0])) << "the stop was of the start before";
}

// Nothing but a start touches the log.
TEST_F(DiesAfterCreate, ALogDirectoryIsNotWaitedForEither) {
  silence(dir + "/logs");
  auto spec = container("logged");
  spec.log_path = "logged/0.log";
  const auto id = runtime->create_container(sandbox.str(), spec)->str();
  for (const auto kind : {ErrorKind::deadline_exceeded, ErrorKind::unavailable}) {
    auto started = runtime->start_container(id);
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().kind, kind) << started.error().text();
    EXPECT_NE(started.error().text().find("log directory " + dir + "/logs/logged"), std::string::npos)
        << started.error().text();
  }
  EXPECT_EQ(runtime->container(id).value()->state, ContainerState::created) << "nothing was touched";
  EXPECT_FALSE(sys::exists(dir + "/logs/logged"));
  for (const auto& other : ids) EXPECT_TRUE(runtime->start_container(other)) << "it has no log";
  silence("");
  for (int i = 0; i < 5000 && !runtime->start_container(id); i++) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(runtime->container(id).value()->state, ContainerState::running);
  EXPECT_TRUE(sys::exists(dir + "/logs/logged"));
}

TEST(LogLook, MakesNothingAndIsContentWithWhatIsMissing) {
  const std::string missing = testing::TempDir() + "podshim-no-such-directory";
  for (const std::string& path : {missing + "/pod/0.log", testing::TempDir() + "0.log", std::string("/0.log")}) {
    auto look = log_look(path);
    EXPECT_EQ(look.path, path.substr(0, path.rfind('/')));
    EXPECT_STREQ(look.what, "log directory");
    EXPECT_TRUE(look.look()) << path;
  }
  EXPECT_FALSE(sys::exists(missing));
}

// A pipe that nobody writes to stands for the file of a dead server.
TEST_F(SilentVolumes, AProfileIsNotWaitedForEither) {
  auto sandbox = runtime->run_sandbox(pod()).value();
  const std::string profile = dir + "/profile.json";
  auto spec = container();
  spec.security.seccomp = {.type = SeccompChoice::Type::localhost, .localhost_ref = profile};
  const std::string text = R"({"defaultAction":"SCMP_ACT_ALLOW"})";
  ASSERT_TRUE(sys::write_file(profile, text, 0600));
  auto made = runtime->create_container(sandbox.str(), spec);
  ASSERT_TRUE(made) << made.error().text();
  const auto before = left();
  std::filesystem::remove(profile);
  ASSERT_EQ(::mkfifo(profile.c_str(), 0600), 0);
  const auto expect_late = [&](const Error& error) {
    EXPECT_EQ(error.kind, ErrorKind::deadline_exceeded) << error.text();
    EXPECT_NE(error.text().find("seccomp profile " + profile), std::string::npos) << error.text();
  };
  // Opened so, it waits for no reader: there is none if the machine was behind, and the look never began.
  const auto answer = [&] {
    const Fd pipe(::open(profile.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    EXPECT_EQ(::write(pipe.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  };
  spec.metadata.name = "late";
  auto late = runtime->create_container(sandbox.str(), spec);
  ASSERT_FALSE(late);
  expect_late(late.error());
  EXPECT_EQ(left(), before);
  answer();
  // It keeps its own; one of a daemon that did not keep them reads it again.
  std::filesystem::remove(dir + "/root/containers/" + made->str() + "/seccomp.json");
  auto started = runtime->start_container(made->str());
  for (int i = 0; i < 5000 && !started && started.error().kind == ErrorKind::unavailable; i++) {
    std::this_thread::sleep_for(milliseconds(1));  // until the thread of the first has gone
    started = runtime->start_container(made->str());
  }
  ASSERT_FALSE(started);
  expect_late(started.error());
  answer();
}

}  // namespace
}  // namespace podshim::lifecycle::test
