// Whatever happens to the daemon, the containers do not notice: kill -9, restart, and every answer is what it was.
#include <google/protobuf/util/message_differencer.h>

#include <fstream>
#include <thread>

#include "common/sys/file.h"
#include "tests/support/node_suite.h"

namespace podshim::test {
namespace {

class Restart : public NodeSuite {
 protected:
  void kill_and_restart() {
    node->stop_daemon(SIGKILL);
    ASSERT_TRUE(node->start_daemon()) << node->log();
  }
};

TEST_F(Restart, ContainersLogsAndExitCodesSurviveKillNine) {
  auto pod = run_pod();
  auto counter = script("counter", "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); sleep 0.005; done; exit 5");
  counter.set_log_path("counter.log");
  auto counting = start(pod, counter);
  auto id = start(pod, sleeper("stays"));
  auto created = create(pod, sleeper("created"));
  auto pid = shell(id, "readlink /proc/self/ns/mnt");
  auto before_pod = node->cri().sandbox_status(pod.id);
  auto before = node->cri().container_status(id);

  node->stop_daemon(SIGKILL);
  std::this_thread::sleep_for(std::chrono::milliseconds(2500));  // the counter ends while no daemon is there
  ASSERT_TRUE(node->start_daemon()) << node->log();

  using google::protobuf::util::MessageDifferencer;
  EXPECT_TRUE(MessageDifferencer::Equals(before_pod, node->cri().sandbox_status(pod.id)))
      << before_pod.DebugString() << node->cri().sandbox_status(pod.id).DebugString();
  EXPECT_TRUE(MessageDifferencer::Equals(before, node->cri().container_status(id)))
      << before.DebugString() << node->cri().container_status(id).DebugString();
  EXPECT_EQ(shell(id, "readlink /proc/self/ns/mnt"), pid);
  ASSERT_TRUE(node->cri().wait_state(counting, cri::CONTAINER_EXITED, std::chrono::seconds(20)));
  auto ended = node->cri().container_status(counting);
  EXPECT_EQ(ended.exit_code(), 5);
  auto log = node->run({"cat", ended.log_path()}).out;
  for (int i = 0; i < 400; i++)
    ASSERT_NE(log.find(" stdout F line " + std::to_string(i) + "\n"), std::string::npos) << "line " << i << " is lost";
  EXPECT_TRUE(node->cri().start(created).ok());
  EXPECT_EQ(node->cri().container_status(created).state(), cri::CONTAINER_RUNNING);
  EXPECT_TRUE(node->cri().stop(id, 5).ok());
  EXPECT_EQ(node->cri().container_status(id).exit_code(), 0);
}

TEST_F(Restart, TermStopsTheDaemonNeverThePods) {
  auto pod = run_pod();
  auto id = start(pod, sleeper("c"));
  auto before = shell(id, "readlink /proc/1/ns/mnt");
  node->stop_daemon(SIGTERM);
  ASSERT_TRUE(node->start_daemon()) << node->log();
  EXPECT_EQ(shell(id, "readlink /proc/1/ns/mnt"), before);
}

// Of an exec that nobody waits for any more all goes, the grandchild with a session of its own too; what an exec that
// had ended left running stays, and no other exec runs in its leaf.
TEST_F(Restart, ExecsThatNobodyWaitsForGoWithTheirSubtree) {
  auto id = start(run_pod(), sleeper("c"));
  EXPECT_EQ(shell(id, "setsid sleep 7771 >/dev/null 2>&1 & echo left"), "left\n");
  for (const int signal : {SIGKILL, SIGTERM}) {
    std::thread caller([&] {
      cri::ExecSyncResponse out;
      CriClient client(node->socket(), std::chrono::seconds(60));
      EXPECT_FALSE(client.exec(id, {"sh", "-c", "setsid sleep 7772 & sleep 7773"}, 0, &out).ok());
    });
    const auto processes = [&](const char* what) {
      return std::atoi(shell(id, std::string("ps | grep -c '[s]leep ") + what + "' || true").c_str());
    };
    const auto wait_until = [](const auto& holds) {
      for (int i = 0; i < 200 && !holds(); i++) std::this_thread::sleep_for(std::chrono::milliseconds(50));
      return holds();
    };
    EXPECT_TRUE(wait_until([&] { return processes("7772$") == 1 && processes("7773$") == 1; }));
    node->stop_daemon(signal);
    caller.join();
    ASSERT_TRUE(node->start_daemon()) << node->log();
    EXPECT_TRUE(wait_until([&] { return processes("777[23]") == 0; }));
    EXPECT_EQ(processes("7771"), 1) << "left running by an exec that had ended";
    cri::ExecSyncResponse out;
    EXPECT_FALSE(node->cri().exec(id, {"sleep", "100"}, 1, &out).ok());  // in another leaf
    EXPECT_EQ(processes("7771"), 1);
    EXPECT_TRUE(sys::list_dir(node->dir() + "/state/kills").value().empty());
  }
}

TEST_F(Restart, SecondDaemonOnTheSameRootFailsAtOnce) {
  auto out = node->run({program("podshim"), "--config", node->config_file(), "--socket", node->dir() + "/other.sock"},
                       std::chrono::seconds(10));
  EXPECT_EQ(out.exit_code, 1);
  EXPECT_NE(out.err.find(node->dir()), std::string::npos) << out.err;
  cri::VersionResponse version;
  EXPECT_TRUE(node->cri().call(&cri::RuntimeService::Stub::Version, cri::VersionRequest(), &version).ok());
}

TEST_F(Restart, BadRecordsAreSetAsideAndNamed) {
  auto pod = run_pod();
  node->stop_daemon(SIGTERM);
  // The live Pod's record once more under another id, and as a whole record of that id.
  const auto live = sys::read_file(node->dir() + "/root/sandboxes/" + pod.id + "/record.json").value();
  auto renamed = live;
  for (auto at = renamed.find(pod.id); at != std::string::npos; at = renamed.find(pod.id, at))
    renamed.replace(at, 64, std::string(64, 'c'));
  // Two of one name: the younger stays.
  const std::string created = "\"created-at-ns\":1";
  const auto age = renamed.find(created);
  ASSERT_NE(age, std::string::npos) << renamed;
  renamed.replace(age + created.size(), 1, "6");
  const std::string sandboxes = node->dir() + "/root/sandboxes/", containers = node->dir() + "/root/containers/";
  const std::pair<std::string, std::string> records[] = {
      {sandboxes + std::string(64, 'a'), "{\"version\": 1, \"id\": \"" + std::string(64, 'a')},
      {containers + std::string(64, 'b'), std::string(4096, '\0')},
      {sandboxes + std::string(64, 'c'), renamed},
      {sandboxes + std::string(64, 'd'), live}};
  // A busy machine may cost one start its second, not each of three. Bad records are set aside: they are made anew.
  const auto limit = std::chrono::seconds(1) * slowness();
  auto took = std::chrono::steady_clock::duration::max();
  for (int i = 0; i < 3 && took >= limit; i++) {
    if (i > 0) node->stop_daemon(SIGTERM);
    for (const auto& [path, text] : records) {
      ASSERT_TRUE(sys::make_dirs(path));
      std::ofstream(path + "/record.json") << text;
    }
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_TRUE(node->start_daemon()) << node->log();
    took = std::min(took, std::chrono::steady_clock::now() - begin);
  }
  EXPECT_LT(took, limit);
  EXPECT_EQ(node->cri().sandbox_status(pod.id).state(), cri::SANDBOX_READY);
  auto status = node->run({program("podshim"), "--config", node->config_file(), "status"});
  EXPECT_EQ(status.exit_code, 0) << status.err;
  EXPECT_NE(status.out.find(std::string(12, 'a')), std::string::npos) << status.out;
  for (const char bad : {'b', 'c', 'd'})
    EXPECT_NE(status.out.find(std::string(12, bad)), std::string::npos) << bad << "\n" << status.out;
  auto id = start(pod, sleeper("c"));  // the Pod itself is whole
  EXPECT_EQ(shell(id, "echo here"), "here\n");
}

// An emptied database, then every marker of a layer cut: the container keeps its root, status names it, images come
// back.
TEST_F(Restart, DamagedImagesAreToldAndContainersKeepTheirRoots) {
  auto pod = run_pod();
  auto id = start(pod, sleeper("c"));
  const std::string images = node->dir() + "/root/images", look = "ls -R /bin /etc | sort | md5sum";
  const auto files = shell(id, look);
  const auto status = [&] { return node->run({program("podshim"), "--config", node->config_file(), "status"}).out; };
  const auto listed = [&] {
    cri::ListImagesResponse out;
    EXPECT_TRUE(node->cri().call(&cri::ImageService::Stub::ListImages, cri::ListImagesRequest(), &out).ok());
    return out.images_size();
  };
  ASSERT_EQ(listed(), 2);
  node->stop_daemon(SIGTERM);
  std::ofstream(images + "/images.db", std::ios::trunc);
  ASSERT_TRUE(node->start_daemon()) << node->log();
  EXPECT_NE(status().find("images.db.damaged"), std::string::npos) << status();
  EXPECT_EQ(listed(), 2);
  EXPECT_EQ(shell(id, look), files);

  node->stop_daemon(SIGTERM);
  const auto layers = sys::list_dir(images + "/layers").value();
  for (const auto& layer : layers)
    if (layer != "empty") std::ofstream(images + "/layers/" + layer + "/layer.json") << "{";
  ASSERT_TRUE(node->start_daemon()) << node->log();
  EXPECT_NE(status().find(kBusybox), std::string::npos) << status();
  EXPECT_EQ(listed(), 0);
  EXPECT_EQ(shell(id, look), files);
  for (const char* archive : {"busybox.tar", "probe.tar"}) {
    auto imported = node->import_image(image_archive(archive));
    EXPECT_EQ(imported.exit_code, 0) << imported.err;
  }
  EXPECT_EQ(listed(), 2);
  EXPECT_EQ(shell(start(pod, sleeper("second")), look), files);
  EXPECT_EQ(shell(id, look), files);
}

TEST_F(Restart, ADaemonWithoutDescriptorsSaysSoAndLosesNothing) {
  node->stop_daemon(SIGTERM);
  int failed = 0;
  for (int few = 8; few <= 18; few += 2) {  // it serves with 20
    auto out = node->run({"sh", "-c", "ulimit -n \"$0\" && exec timeout 20 \"$@\"", std::to_string(few),
                          program("podshim"), "--config", node->config_file()},
                         std::chrono::seconds(30));
    if (out.exit_code == 0 || out.exit_code == 124) continue;  // it served until it was ended
    failed++;
    EXPECT_EQ(out.exit_code, 1) << few << ": " << out.err;
    EXPECT_NE((out.out + out.err).find("cannot serve"), std::string::npos) << few << ": " << out.err;
  }
  EXPECT_GT(failed, 4);
  ASSERT_TRUE(node->start_daemon()) << node->log();
  start(run_pod(), sleeper("c"));
}

TEST_F(Restart, MonitorDeathEndsThePod) {
  auto pod = run_pod();
  auto id = start(pod, sleeper("c"));
  auto monitor =
      node->run({"sh", "-c",
                 "for p in /proc/[0-9]*; do [ \"$(cat $p/comm 2>/dev/null)\" = podshim-monitor ] && grep -q " +
                     pod.id.substr(0, 12) + " $p/cmdline $p/environ 2>/dev/null && echo ${p#/proc/}; done"});
  pid_t pid = std::atoi(monitor.out.c_str());
  ASSERT_GT(pid, 1) << "no monitor names its sandbox: " << monitor.out;
  ::kill(pid, SIGKILL);
  ASSERT_TRUE(node->cri().wait_state(id, cri::CONTAINER_EXITED, std::chrono::seconds(10)));
  auto status = node->cri().container_status(id);
  EXPECT_EQ(status.exit_code(), 137);
  EXPECT_EQ(status.reason(), "Error");
  for (int i = 0; i < 100 && node->cri().sandbox_status(pod.id).state() != cri::SANDBOX_NOTREADY; i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(node->cri().sandbox_status(pod.id).state(), cri::SANDBOX_NOTREADY);
}

TEST_F(Restart, SweepRemovesWhatHasNoRecord) {
  auto pod = run_pod();
  node->stop_daemon(SIGKILL);
  // As if the daemon had been killed after the intent of one step: a cgroup and a netns name of ours without a record.
  auto orphan = "podshim-" + node->instance() + "-" + std::string(64, 'c');
  auto cgroup = node->run({"sh", "-c",
                           "d=$(dirname $(find /sys/fs/cgroup -type d -name 'podshim-" + node->instance() +
                               "*' | head -1)); mkdir $d/" + orphan + " && echo $d/" + orphan});
  ASSERT_EQ(cgroup.exit_code, 0) << cgroup.err;
  std::ofstream("/run/netns/" + orphan) << "";
  ASSERT_TRUE(sys::make_dirs(node->dir() + "/state/sandboxes/" + std::string(64, 'c')));
  ASSERT_TRUE(node->start_daemon()) << node->log();
  bool gone = false;
  for (int i = 0; i < 400 * slowness() && !gone; i++) {
    gone = !sys::exists("/run/netns/" + orphan) && !sys::exists(cgroup.out.substr(0, cgroup.out.size() - 1)) &&
           !sys::exists(node->dir() + "/state/sandboxes/" + std::string(64, 'c'));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_TRUE(gone);
  EXPECT_EQ(node->cri().sandbox_status(pod.id).state(), cri::SANDBOX_READY);
}

}  // namespace
}  // namespace podshim::test
