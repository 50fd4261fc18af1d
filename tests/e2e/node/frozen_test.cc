// A volume whose server does not answer: whoever touches it waits, nobody else does, and the log says who waits where.
#include <signal.h>

#include <fcntl.h>
#include <sched.h>

#include <future>
#include <thread>

#include "tests/support/frozen_volume.h"
#include "tests/support/long_run.h"
#include "tests/support/node_suite.h"
#include "tests/unit/shim-streaming/client.h"

namespace podshim::test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

class Frozen : public NodeSuite {
 protected:
  cri::ContainerConfig on_volume(const std::string& name, const FrozenVolume& volume, const std::string& below = "") {
    auto config = sleeper(name);
    auto& mount = *config.add_mounts();
    mount.set_container_path("/data");
    mount.set_host_path(volume.data() + below);
    return config;
  }
  std::future<grpc::Status> creating(const Pod& pod, cri::ContainerConfig config) {
    return std::async(std::launch::async, [pod, config = std::move(config)] {
      CriClient client(node->socket(), seconds(120));
      return client.create_container(pod.id, config, pod.config).status;
    });
  }
  std::future<grpc::Status> starting(const std::string& id) {
    return std::async(std::launch::async, [id] { return CriClient(node->socket(), seconds(120)).start(id); });
  }
  static void expect_silent(const grpc::Status& status, grpc::StatusCode code, const std::string& path,
                            const std::string& what = "mount sources") {
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_NE(status.error_message().find(what + " " + path), std::string::npos) << status.error_message();
  }
  // After the daemon's look, which was answered, the container's child comes and hangs.
  static void wait_hanging(const FrozenVolume& volume) {
    for (int i = 0; i < 4000 && !volume.waited_for(); i++) std::this_thread::sleep_for(milliseconds(5));
    ASSERT_TRUE(volume.frozen()) << "the daemon did not look";
    ASSERT_TRUE(volume.waited_for()) << "the child did not come there";
  }
  // Waits for a line of the daemon's log that has all the words.
  bool logged(const std::vector<std::string>& words, seconds patience) {
    const auto end = Clock::now() + patience * slowness();
    do {
      std::stringstream log(node->log());
      for (std::string line; std::getline(log, line);)
        if (std::all_of(words.begin(), words.end(), [&](auto& w) { return line.find(w) != std::string::npos; }))
          return true;
      std::this_thread::sleep_for(milliseconds(200));
    } while (Clock::now() < end);
    return false;
  }
  // An exec with a client, that writes.
  struct Stream {
    std::unique_ptr<streaming::test::Wire> wire;
    std::unique_ptr<streaming::test::SpdyClient> client;
    std::uint32_t error = 0, out = 0;
  };
  static Stream exec(const std::string& id, const std::vector<std::string>& command) {
    cri::ExecRequest request;
    request.set_container_id(id);
    request.set_stdout(true);
    for (const auto& word : command) request.add_cmd(word);
    cri::ExecResponse response;
    EXPECT_TRUE(node->cri().call(&cri::RuntimeService::Stub::Exec, request, &response).ok());
    Stream out;
    std::thread([&] {  // the streaming address is inside the node's network namespace
      const Fd netns(::open(node->netns_path().c_str(), O_RDONLY | O_CLOEXEC));
      ASSERT_EQ(::setns(netns.get(), CLONE_NEWNET), 0);
      out.wire = std::make_unique<streaming::test::Wire>(response.url());
    })
        .join();
    EXPECT_EQ(streaming::test::upgrade_spdy(*out.wire, {"v4.channel.k8s.io"}), 101);
    out.client = std::make_unique<streaming::test::SpdyClient>(*out.wire);
    out.error = out.client->open({{"streamtype", "error"}});
    out.out = out.client->open({{"streamtype", "stdout"}});
    return out;
  }
  template <typename Request, typename Response, typename Method>
  std::vector<double> times(Method method, int calls, int expected) {
    std::vector<double> out;
    for (int i = 0; i < calls; i++) {
      Response response;
      const auto begin = Clock::now();
      EXPECT_TRUE(node->cri().call(method, Request(), &response).ok());
      out.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
      EXPECT_EQ(size_of(response), expected);
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  static int size_of(const cri::ListContainersResponse& r) { return r.containers_size(); }
  static int size_of(const cri::ListPodSandboxStatsResponse& r) { return r.stats_size(); }
};

TEST_F(Frozen, ItDelaysNobodyElseAndTheLogNamesTheStep) {
  const int beside = long_run() ? 100 : 5;
  for (int i = 0; i < beside; i++) start(run_pod(), sleeper("c"));
  auto pod = run_pod();
  FrozenVolume volume(node->dir() + "/volume");
  ASSERT_TRUE(volume.mounted()) << "no FUSE here: errno " << errno;
  const std::string ready = create(pod, on_volume("starts", volume));
  volume.freeze();

  auto creates = creating(pod, on_volume("creates", volume));
  auto starts = starting(ready);
  // Many threads of that lane, one hanging: others are created and started meanwhile.
  auto other = start(run_pod(), sleeper("other"));
  EXPECT_EQ(shell(other, "echo here"), "here\n");

  using Stub = cri::RuntimeService::Stub;
  const auto lists =
      times<cri::ListContainersRequest, cri::ListContainersResponse>(&Stub::ListContainers, 500, beside + 2);
  const auto stats = times<cri::ListPodSandboxStatsRequest, cri::ListPodSandboxStatsResponse>(
      &Stub::ListPodSandboxStats, 20, beside + 2);
  std::printf(
      "beside a frozen volume, %d Pods: ListContainers p50 %.2f p99 %.2f max %.2f ms, ListPodSandboxStats p50 "
      "%.2f max %.2f ms\n",
      beside + 2, lists[250], lists[495], lists.back(), stats[10], stats.back());
  EXPECT_LT(lists.back(), 2000 * slowness());  // of a machine with much else to do: it does not hang
  EXPECT_EQ(starts.wait_for(seconds(0)), std::future_status::timeout) << "it did not wait for the volume";
  expect_silent(starts.get(), grpc::DEADLINE_EXCEEDED, volume.data());
  EXPECT_EQ(node->cri().container_status(ready).state(), cri::CONTAINER_CREATED);
  expect_silent(creates.get(), grpc::DEADLINE_EXCEEDED, volume.data());
  EXPECT_TRUE(logged({"mount source does not answer", volume.data()}, seconds(40))) << node->log();
  // A client's retry costs nothing.
  const auto begin = Clock::now();
  expect_silent(creating(pod, on_volume("creates", volume)).get(), grpc::UNAVAILABLE, volume.data());
  EXPECT_LT(Clock::now() - begin, seconds(8) * slowness()) << "a look has 10 s";

  expect_silent(starting(ready).get(), grpc::UNAVAILABLE, volume.data());
}

// Between the daemon's look and the child's: there is no way out but the monitor's patience, or a stop.
TEST_F(Frozen, AStartThatHangsInItsChildIsToldInTheLog) {
  auto pod = run_pod();
  FrozenVolume volume(node->dir() + "/volume");
  ASSERT_TRUE(volume.mounted()) << "no FUSE here: errno " << errno;
  const std::string id = create(pod, on_volume("c", volume));
  volume.freeze_after(1);
  auto starts = starting(id);
  EXPECT_TRUE(logged({"operation is slow", "StartContainer", id, "monitor"}, seconds(40))) << node->log();
  EXPECT_EQ(starts.wait_for(seconds(0)), std::future_status::timeout) << "it did not wait for the volume";
  volume.end();
  EXPECT_FALSE(starts.get().ok());
}

TEST_F(Frozen, DevicesAndProfilesThereAreNotWaitedForEither) {
  auto pod = run_pod();
  FrozenVolume volume(node->dir() + "/volume");
  ASSERT_TRUE(volume.mounted()) << "no FUSE here: errno " << errno;
  volume.freeze();
  auto with_device = sleeper("device"), with_profile = sleeper("profile");
  auto& device = *with_device.add_devices();
  device.set_host_path(volume.data() + "/device");
  device.set_container_path("/dev/device");
  device.set_permissions("r");
  auto& profile = *with_profile.mutable_linux()->mutable_security_context()->mutable_seccomp();
  profile.set_profile_type(cri::SecurityProfile_ProfileType_Localhost);
  profile.set_localhost_ref(volume.data() + "/profile");
  auto devices = creating(pod, with_device), profiles = creating(pod, with_profile);
  expect_silent(devices.get(), grpc::DEADLINE_EXCEEDED, volume.data() + "/device", "devices");
  expect_silent(profiles.get(), grpc::DEADLINE_EXCEEDED, volume.data() + "/profile", "seccomp profile");
  volume.end();
  start(pod, sleeper("device"));  // their names are free
  start(pod, sleeper("profile"));
}

// More creations than their lane has threads, each on a path of its own.
TEST_F(Frozen, ManyCreationsDoNotTakeTheirLane) {
  auto pod = run_pod();
  FrozenVolume volume(node->dir() + "/volume");
  ASSERT_TRUE(volume.mounted()) << "no FUSE here: errno " << errno;
  volume.freeze();
  std::vector<std::future<grpc::Status>> creates;
  for (int i = 0; i < 100; i++)
    creates.push_back(creating(pod, on_volume("c" + std::to_string(i), volume, "/" + std::to_string(i))));
  const auto begin = Clock::now();
  auto other = start(run_pod(), sleeper("other"));
  EXPECT_TRUE(node->cri().remove(other).ok());
  const auto took = std::chrono::duration<double>(Clock::now() - begin).count();
  std::printf("create, start and remove beside 100 creations on a frozen volume: %.2f s\n", took);
  EXPECT_LT(took, 20 * slowness());
  for (auto& one : creates) EXPECT_EQ(one.get().error_code(), grpc::DEADLINE_EXCEEDED);
  volume.end();
  start(pod, sleeper("c0"));  // their names are free
}

// What hangs in a mount dies with the stop, all at once.
TEST_F(Frozen, AStopDoesNotWaitForStartsThatHang) {
  auto pod = run_pod();
  std::vector<std::unique_ptr<FrozenVolume>> volumes;
  std::vector<std::string> ids;
  for (int i = 0; i < 4; i++) {
    volumes.push_back(std::make_unique<FrozenVolume>(node->dir() + "/volume" + std::to_string(i)));
    ASSERT_TRUE(volumes.back()->mounted()) << "no FUSE here: errno " << errno;
    ids.push_back(create(pod, on_volume("c" + std::to_string(i), *volumes.back())));
    volumes.back()->freeze_after(1);  // the daemon's look
  }
  std::vector<std::future<grpc::Status>> starts;
  for (const auto& id : ids) starts.push_back(starting(id));
  for (const auto& volume : volumes) ASSERT_NO_FATAL_FAILURE(wait_hanging(*volume));
  const auto begin = Clock::now();
  auto stopped = node->cri().stop_sandbox(pod.id);
  const auto took = std::chrono::duration<double>(Clock::now() - begin).count();
  EXPECT_TRUE(stopped.ok()) << stopped.error_message();
  std::printf("StopPodSandbox with 4 starts that hang: %.2f s\n", took);
  EXPECT_LT(took, 5 * slowness());
  for (auto& one : starts) EXPECT_EQ(one.get().error_code(), grpc::FAILED_PRECONDITION);
  for (const auto& id : ids) EXPECT_EQ(node->cri().container_status(id).reason(), "StartError");
}

// The timeout, and a client that goes, count while the exec's program does not start, too.
TEST_F(Frozen, AnExecWhoseStartHangsEndsInTime) {
  auto pod = run_pod();
  FrozenVolume volume(node->dir() + "/volume");
  ASSERT_TRUE(volume.mounted()) << "no FUSE here: errno " << errno;
  const auto id = start(pod, on_volume("c", volume));
  volume.freeze();
  auto begin = Clock::now();
  cri::ExecSyncResponse response;
  const auto late = node->cri().exec(id, {"/data/prog"}, 2, &response);
  auto took = std::chrono::duration<double>(Clock::now() - begin).count();
  std::printf("ExecSync, timeout 2 s, of a program on a frozen volume: %.2f s\n", took);
  EXPECT_LT(took, 2 + 3 * slowness());
  EXPECT_EQ(late.error_code(), grpc::DEADLINE_EXCEEDED) << late.error_message();
  EXPECT_NE(late.error_message().find("exec /data/prog: the start of its program hung for 2 s"), std::string::npos)
      << late.error_message();
  EXPECT_TRUE(logged({" warn ", "exec hangs", "ExecSync", id, "start of the program"}, seconds(20))) << node->log();

  begin = Clock::now();
  EXPECT_FALSE(CriClient(node->socket(), seconds(2)).exec(id, {"/data/prog"}, 0, &response).ok());
  EXPECT_TRUE(logged({"its client has gone while the start of its program hung", id}, seconds(5))) << node->log();
  took = std::chrono::duration<double>(Clock::now() - begin).count();
  EXPECT_LT(took, 2 + 5 * slowness());
  EXPECT_EQ(shell(id, "echo here"), "here\n");
}

// More than the pool of all streams has threads.
TEST_F(Frozen, ExecsThatHangHoldUpNoOtherPod) {
  auto pod = run_pod();
  FrozenVolume volume(node->dir() + "/volume");
  ASSERT_TRUE(volume.mounted()) << "no FUSE here: errno " << errno;
  const auto id = start(pod, on_volume("c", volume)), other = start(run_pod(), sleeper("other"));
  volume.freeze();
  std::vector<Stream> hanging;
  for (int i = 0; i < 270; i++) hanging.push_back(exec(id, {"/data/prog"}));
  std::this_thread::sleep_for(milliseconds(500));
  const auto begin = Clock::now();
  auto beside = exec(other, {"echo", "here"});
  ASSERT_TRUE(beside.client->until_ended(beside.error));
  const auto took = std::chrono::duration<double>(Clock::now() - begin).count();
  std::printf("exec beside 270 execs on a frozen volume: %.3f s\n", took);
  EXPECT_LT(took, 10 * slowness());
  EXPECT_EQ(beside.client->data[beside.out], "here\n");
  hanging.clear();
  volume.end();
}

// Its daemon dies meanwhile: nobody waits for that start any more, and nothing of it outlives the Pod.
TEST_F(Frozen, AStartThatHangsDoesNotOutliveItsDaemon) {
  auto pod = run_pod();
  FrozenVolume volume(node->dir() + "/volume");
  ASSERT_TRUE(volume.mounted()) << "no FUSE here: errno " << errno;
  const auto id = create(pod, on_volume("c", volume));
  volume.freeze_after(1);  // the daemon's look
  auto hanging = starting(id);
  ASSERT_NO_FATAL_FAILURE(wait_hanging(volume));
  node->stop_daemon(SIGKILL);
  EXPECT_FALSE(hanging.get().ok());
  ASSERT_TRUE(node->start_daemon()) << node->log();
  EXPECT_TRUE(logged({"start cut short", id}, seconds(40))) << node->log();
  EXPECT_EQ(node->cri().container_status(id).state(), cri::CONTAINER_CREATED);
  const auto begin = Clock::now();
  auto stopped = node->cri().stop_sandbox(pod.id);
  EXPECT_TRUE(stopped.ok()) << stopped.error_message();
  EXPECT_LT(std::chrono::duration<double>(Clock::now() - begin).count(), 5 * slowness());
  EXPECT_TRUE(node->cri().remove_sandbox(pod.id).ok());
}

// Its monitor dies while the daemon is away, and its process is in uninterruptible sleep.
TEST_F(Frozen, ADaemonServesAtOnceBesideWhatDoesNotDie) {
  auto pod = run_pod();
  FrozenVolume volume(node->dir() + "/volume");
  ASSERT_TRUE(volume.mounted()) << "no FUSE here: errno " << errno;
  auto config = on_volume("c", volume);
  *config.mutable_command() = script("c", "until [ -e /go ]; do sleep 0.1; done; ls /data").command();
  const auto id = start(pod, config);
  const pid_t monitor = parent_of(main_of(id));
  ASSERT_GT(monitor, 1);
  volume.swallow();
  shell(id, "touch /go");
  for (int i = 0; i < 2000 && volume.swallowed() == 0; i++) std::this_thread::sleep_for(milliseconds(5));
  ASSERT_GT(volume.swallowed(), 0);
  node->stop_daemon(SIGKILL);
  ASSERT_EQ(::kill(monitor, SIGKILL), 0);
  const auto begin = Clock::now();
  ASSERT_TRUE(node->start_daemon()) << node->log();
  const auto took = std::chrono::duration<double>(Clock::now() - begin).count();
  std::printf("a start of the daemon beside a process that does not die: %.2f s\n", took);
  EXPECT_LT(took, 5 * slowness());
  EXPECT_EQ(node->cri().container_status(id).state(), cri::CONTAINER_RUNNING);
  EXPECT_EQ(node->cri().sandbox_status(pod.id).state(), cri::SANDBOX_NOTREADY);
  EXPECT_EQ(node->cri().stop(id, 0).error_code(), grpc::DEADLINE_EXCEEDED);
  volume.end();
  ASSERT_TRUE(node->cri().wait_state(id, cri::CONTAINER_EXITED, seconds(30)));
  EXPECT_EQ(node->cri().container_status(id).exit_code(), 137);
  EXPECT_EQ(node->cri().container_status(id).reason(), "Error");
}

}  // namespace
}  // namespace podshim::test
