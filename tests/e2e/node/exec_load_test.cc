// Many at a time: execs and what they cost, containers that end at once, containers that run out of memory. Few of them
// in an ordinary run, the whole number with --long.
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "tests/support/long_run.h"
#include "tests/support/node_suite.h"

namespace podshim::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

// CPU time of the daemon, of all monitors and of all that runs in containers, in ns as the kernel keeps it: /proc
// counts in ticks of 10 ms, too coarse for a monitor. v1: the daemon is moved into a cpuacct group of the test's, which
// monitors and their children inherit until they join the container's. v2: monitors have a cgroup of their own already.
class CpuMeter {
 public:
  explicit CpuMeter(const Node& node) : daemon_(node.daemon_pid()) {
    const std::string v1 = "/sys/fs/cgroup/cpuacct";
    if (!std::filesystem::exists(v1 + "/cpuacct.usage")) {
      files_ = {"/sys/fs/cgroup" + node.cgroup_parent() + "/cpu.stat",
                "/sys/fs/cgroup/podshim-" + node.instance() + "/cpu.stat"};
      return;
    }
    own_ = v1 + "/podshim-test/load-" + std::to_string(::getpid());
    std::filesystem::create_directories(own_);
    std::ofstream(own_ + "/cgroup.procs") << daemon_ << std::flush;
    files_ = {v1 + node.cgroup_parent() + "/cpuacct.usage", own_ + "/cpuacct.usage"};
  }
  // After the Pods. The daemon goes where it came from.
  ~CpuMeter() {
    if (own_.empty()) return;
    std::ofstream("/sys/fs/cgroup/cpuacct/cgroup.procs") << daemon_ << std::flush;
    for (int i = 0; i < 100 && ::rmdir(own_.c_str()) != 0; i++) std::this_thread::sleep_for(milliseconds(20));
    ::rmdir("/sys/fs/cgroup/cpuacct/podshim-test");  // another test's may be there
  }
  CpuMeter(const CpuMeter&) = delete;
  CpuMeter& operator=(const CpuMeter&) = delete;

  double all_ms() const {
    double sum = own_.empty() ? daemon_ms() : 0;
    for (const auto& file : files_) {
      std::ifstream in(file);
      std::string first;
      EXPECT_TRUE(in >> first) << file;
      double value = 0;
      sum += first == "usage_usec" && in >> value ? value / 1e3 : std::strtod(first.c_str(), nullptr) / 1e6;
    }
    return sum;
  }
  // utime + stime of proc(5).
  double daemon_ms() const {
    std::ifstream in("/proc/" + std::to_string(daemon_) + "/stat");
    std::string text((std::istreambuf_iterator<char>(in)), {}), skipped;
    std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 2)));
    for (int field = 3; field < 14; field++) fields >> skipped;
    double user = 0, system = 0;
    fields >> user >> system;
    return (user + system) * 1000 / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }

 private:
  const pid_t daemon_;
  std::string own_;
  std::vector<std::string> files_;
};

class ExecLoad : public NodeSuite {
 protected:
  // One client a thread, since each blocks.
  template <typename Work>
  static void in_threads(int threads, const Work& work) {
    std::vector<std::thread> all;
    for (int t = 0; t < threads; t++)
      all.emplace_back([&work, t] {
        CriClient client(node->socket());
        work(t, client);
      });
    for (auto& thread : all) thread.join();
  }
  // Creates, starts, waits for the end and removes; the container's last status.
  static cri::ContainerStatus whole_life(CriClient& client, const Pod& pod, const cri::ContainerConfig& config) {
    auto made = client.create_container(pod.id, config, pod.config);
    EXPECT_TRUE(made.status.ok()) << made.status.error_message();
    auto started = client.start(made.id);
    EXPECT_TRUE(started.ok()) << started.error_message();
    EXPECT_TRUE(client.wait_state(made.id, cri::CONTAINER_EXITED, seconds(60) * slowness()));
    auto status = client.container_status(made.id);
    EXPECT_TRUE(client.remove(made.id).ok());
    return status;
  }
};

// Every Pod once a second. Counted: the daemon, the monitors, and the execs from their clone to their end; not the
// client.
TEST_F(ExecLoad, AnExecASecondInEachPod) {
  const int pods = long_run() ? 100 : 10, rounds = long_run() ? 30 : 10, threads = 4;
  const auto period = milliseconds(long_run() ? 1000 : 200);
  const CpuMeter meter(*node);
  {
    std::vector<std::string> containers;
    for (int i = 0; i < pods; i++)
      containers.push_back(start(run_pod(), container_config("c", kBusybox, {"sleep", "1000000"})));
    std::atomic<int> good = 0;
    auto run_rounds = [&](int count) {
      good = 0;
      const auto begin = Clock::now();
      in_threads(threads, [&](int t, CriClient& client) {
        for (int n = 0; n < count; n++)
          for (int i = t; i < pods; i += threads) {
            std::this_thread::sleep_until(begin + period * n + period * i / pods);
            cri::ExecSyncResponse out;
            auto status = client.exec(containers[static_cast<std::size_t>(i)], {"true"}, 10, &out);
            EXPECT_TRUE(status.ok()) << status.error_message();
            good += status.ok() && out.exit_code() == 0 ? 1 : 0;
          }
      });
    };
    run_rounds(1);  // leaves are made
    const double daemon_before = meter.daemon_ms(), before = meter.all_ms();
    run_rounds(rounds);
    const double each = (meter.all_ms() - before) / (pods * rounds);
    const double daemon = (meter.daemon_ms() - daemon_before) / (pods * rounds);
    EXPECT_EQ(good, pods * rounds);
    std::printf("%d Pods, %d execs: CPU per exec %.2f ms, of it the daemon %.2f ms\n", pods, good.load(), each, daemon);
    EXPECT_GT(each, 0.0);
#ifndef PODSHIM_SANITIZED
    if (long_run()) {
      EXPECT_LT(each, 2.0 * slowness()) << "ms of CPU per exec";
    }
#endif
    TearDown();
    pods_.clear();
  }
}

TEST_F(ExecLoad, ShortContainersAllExitWithZero) {
  const int total = long_run() ? 2000 : 200, threads = 32;
  const std::vector<Pod> pods = {run_pod(), run_pod(), run_pod(), run_pod()};
  std::atomic<int> next = 0, good = 0;
  in_threads(threads, [&](int t, CriClient& client) {
    for (int i; (i = next++) < total;) {
      auto status = whole_life(client, pods[static_cast<std::size_t>(t) % pods.size()],
                               container_config("true-" + std::to_string(i), kBusybox, {"true"}));
      if (status.exit_code() == 0 && status.reason() == "Completed" && status.finished_at() >= status.started_at())
        good++;
      else
        ADD_FAILURE() << i << ": " << status.ShortDebugString();
    }
  });
  EXPECT_EQ(good, total);
  std::printf("%d of %d x true: exit code 0\n", good.load(), total);
}

TEST_F(ExecLoad, FastOomKillsAreAllNamed) {
  const int total = long_run() ? 500 : 30, threads = 8;
  const std::vector<Pod> pods = {run_pod(), run_pod()};
  std::atomic<int> next = 0, good = 0;
  in_threads(threads, [&](int t, CriClient& client) {
    for (int i; (i = next++) < total;) {
      auto config = container_config("hog-" + std::to_string(i), kBusybox,
                                     {"dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"});
      config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(15 << 20);
      config.mutable_linux()->mutable_resources()->set_memory_swap_limit_in_bytes(15 << 20);
      auto status = whole_life(client, pods[static_cast<std::size_t>(t) % pods.size()], config);
      if (status.reason() == "OOMKilled" && status.exit_code() == 137)
        good++;
      else
        ADD_FAILURE() << i << ": " << status.ShortDebugString();
    }
  });
  EXPECT_EQ(good, total);
  std::printf("%d of %d: OOMKilled\n", good.load(), total);
}

// Timeouts under load, with subtrees that go on growing while they are killed.
TEST_F(ExecLoad, TimeoutsLeaveNoProcessAndTheContainerRuns) {
  auto pod = run_pod();
  auto id = start(pod, container_config("c", kBusybox, {"sleep", "1000000"}));
  in_threads(4, [&](int, CriClient& client) {
    cri::ExecSyncResponse out;
    auto status =
        client.exec(id, {"sh", "-c", "b() { while :; do (sleep 4567 &); sleep 0.01; done; }; b & (b &) ; b"}, 1, &out);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED) << status.error_message();
  });
  EXPECT_EQ(shell(id, "ps | grep -c '[s]leep 4567'; true"), "0\n");
  EXPECT_EQ(node->cri().container_status(id).state(), cri::CONTAINER_RUNNING);
}

}  // namespace
}  // namespace podshim::test
