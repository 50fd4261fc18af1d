// Logs under load, over CRI: a program of the test writes numbered lines, a strict reader looks at what came of them.
// Short forms here; with PODSHIM_LONG the bars: a minute without a daemon at 50 MB/s, 1,000 rotations, 10 MiB x 5.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "common/sys/file.h"
#include "tests/support/log_flood.h"
#include "tests/support/log_reader.h"
#include "tests/support/long_run.h"
#include "tests/support/node_suite.h"

namespace podshim::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;
constexpr std::uint64_t kMB = 1'000'000;
constexpr std::size_t kLine = 1000;

class LogTest : public ::testing::Test {
 protected:
  void start_node(const std::string& limits = "") {
    Node::Options options;
    options.config = limits;
    node = std::make_unique<Node>(std::move(options));
    ASSERT_TRUE(node->start_daemon()) << node->log();
    ASSERT_EQ(node->import_image(image_archive("busybox.tar")).exit_code, 0);
    config = pod_config("p", node->cgroup_parent());
    config.set_log_directory(node->dir() + "/logs");
    ASSERT_TRUE(sys::make_dir(logs(), 0755));
    ASSERT_TRUE(sys::make_dir(node->dir() + "/flood", 0755));
    const std::string file = node->dir() + "/flood/progress";
    Fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(::ftruncate(fd.get(), sizeof(flood::Progress)), 0);
    void* at = ::mmap(nullptr, sizeof(flood::Progress), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    ASSERT_NE(at, MAP_FAILED);
    progress = static_cast<flood::Progress*>(at);
    auto pod = node->cri().run_sandbox(config);
    ASSERT_TRUE(pod.status.ok()) << pod.status.error_message();
    sandbox = pod.id;
  }
  void TearDown() override {
    if (!node) return;
    if (!sandbox.empty()) {
      EXPECT_TRUE(node->cri().stop_sandbox(sandbox).ok());
      EXPECT_TRUE(node->cri().remove_sandbox(sandbox).ok());
    }
    if (mounted) {
      EXPECT_EQ(::umount2(logs().c_str(), 0), 0);
    }
    node->stop_daemon(SIGTERM);
    EXPECT_EQ(node->leaks(), std::vector<std::string>{});
    if (progress != nullptr) ::munmap(progress, sizeof *progress);
  }

  std::string logs() const { return node->dir() + "/logs"; }
  std::vector<std::string> log_files() const { return sys::list_dir(logs()).value_or(std::vector<std::string>()); }
  std::string start(cri::ContainerConfig container) {
    container.set_log_path(container.metadata().name() + ".log");
    auto made = node->cri().create_container(sandbox, container, config);
    EXPECT_TRUE(made.status.ok()) << made.status.error_message();
    auto status = node->cri().start(made.id);
    EXPECT_TRUE(status.ok()) << status.error_message() << "\n" << node->log();
    return made.id;
  }
  std::string start_flood(std::uint64_t rate, std::size_t line = kLine) {
    auto container =
        container_config("flood", kBusybox, {"/bin/flood", "/flood", std::to_string(line), std::to_string(rate)});
    auto& program = *container.add_mounts();
    program.set_host_path(PODSHIM_LOG_FLOOD);
    program.set_container_path("/bin/flood");
    program.set_readonly(true);
    auto& dir = *container.add_mounts();
    dir.set_host_path(node->dir() + "/flood");
    dir.set_container_path("/flood");
    flood_id = start(container);
    return flood_id;
  }
  // The writer ends by itself; what is on its way is in the log when the container has ended.
  void end_flood() {
    progress->stop = 1;
    ASSERT_TRUE(node->cri().wait_state(flood_id, cri::CONTAINER_EXITED, seconds(60)));
    EXPECT_EQ(node->cri().container_status(flood_id).exit_code(), 0);
  }
  std::string info(const std::string& id) {
    cri::ContainerStatusRequest request;
    cri::ContainerStatusResponse response;
    request.set_container_id(id);
    request.set_verbose(true);
    EXPECT_TRUE(node->cri().call(&cri::RuntimeService::Stub::ContainerStatus, request, &response).ok());
    return response.info().at("info");
  }
  std::uint64_t number_in_info(const std::string& id, const std::string& name) {
    const std::string text = info(id), key = "\"" + name + "\":";
    const auto at = text.find(key);
    return at == std::string::npos ? 0 : std::stoull(text.substr(at + key.size()));
  }
  // The writer gets on: `lines` more within a generous while.
  ::testing::AssertionResult gets_on(std::uint64_t lines) {
    const std::uint64_t goal = progress->lines + lines;
    for (int i = 0; i < 3000 && progress->lines < goal; i++) std::this_thread::sleep_for(milliseconds(10));
    if (progress->lines >= goal) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "stands at line " << progress->lines;
  }
  void wait_until(Clock::time_point end) {
    while (Clock::now() < end) ASSERT_TRUE(gets_on(1));
  }
  void expect_complete(const LogSummary& log, std::uint64_t lines) {
    EXPECT_EQ(log.wrong, std::vector<std::string>{});
    EXPECT_EQ(log.first, 0U);
    EXPECT_EQ(log.lines, lines);
    EXPECT_EQ(log.missing_lines, 0U);
  }
  // CPU time of the Pod's monitor, the parent of its containers.
  double monitor_cpu(const std::string& id) {
    auto parent = [](std::uint64_t pid, int field) {
      std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
      std::string word;
      for (int i = 0; i < field; i++) stat >> word;
      return std::strtoull(word.c_str(), nullptr, 10);
    };
    const auto monitor = parent(number_in_info(id, "pid"), 4);
    return static_cast<double>(parent(monitor, 14) + parent(monitor, 15)) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }
  void tell(const char* what, Clock::duration took, double cpu) const {
    const double s = std::chrono::duration<double>(took).count(), bytes = static_cast<double>(progress->bytes);
    std::printf(
        "%s: %.0f MB in %.1f s, %.1f MB/s, longest write %.1f ms, %lu above 100 ms, monitor %.2f s of CPU (%.2f s per "
        "GB)\n",
        what, bytes / 1e6, s, bytes / 1e6 / s, static_cast<double>(progress->max_ns) / 1e6,
        static_cast<unsigned long>(progress->slow), cpu, cpu / (bytes / 1e9));
  }

  std::unique_ptr<Node> node;
  cri::PodSandboxConfig config;
  std::string sandbox, flood_id;
  flood::Progress* progress = nullptr;
  bool mounted = false;
};

// The daemon hangs, dies, and is away: the writer gets on at every moment, and no line is lost.
TEST_F(LogTest, WithoutADaemonNobodyWaitsAndNothingIsLost) {
  ASSERT_NO_FATAL_FAILURE(start_node());
  const auto begin = Clock::now();
  const auto id = start_flood(50 * kMB);
  const seconds away(long_run() ? 30 : 1);
  ASSERT_TRUE(gets_on(1000));
  ASSERT_EQ(::kill(node->daemon_pid(), SIGSTOP), 0);
  wait_until(Clock::now() + away);
  EXPECT_TRUE(gets_on(1000));
  node->stop_daemon(SIGKILL);
  wait_until(Clock::now() + away);
  EXPECT_TRUE(gets_on(1000));
  ASSERT_TRUE(node->start_daemon()) << node->log();
  EXPECT_TRUE(gets_on(1000));
  const double cpu = monitor_cpu(id);
  tell("without a daemon", Clock::now() - begin, cpu);
  end_flood();
  expect_complete(read_flood(logs(), "flood.log", kLine), progress->lines);
  EXPECT_EQ(number_in_info(id, "logDroppedBytes"), 0U);
}

// By the monitor itself, while daemons die; at last the writer is killed.
TEST_F(LogTest, RotationsOfTheMonitorLoseAndDoubleNothing) {
  const std::size_t rotations = long_run() ? 990 : 120;
  ASSERT_NO_FATAL_FAILURE(start_node("  log-max-bytes: 200000\n  log-max-files: 1000\n"));
  const auto id = start_flood(20 * kMB);
  auto files = [&] { return log_files().size(); };
  for (std::size_t kills = 1; files() < rotations; std::this_thread::sleep_for(milliseconds(20))) {
    if (files() < kills * rotations / 4) continue;
    kills++;
    node->stop_daemon(SIGKILL);
    ASSERT_TRUE(node->start_daemon()) << node->log();
    ASSERT_TRUE(gets_on(1));
  }
  const auto pid = static_cast<pid_t>(number_in_info(id, "pid"));
  ASSERT_GT(pid, 1);
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  ASSERT_TRUE(node->cri().wait_state(id, cri::CONTAINER_EXITED, seconds(20)));
  auto log = read_flood(logs(), "flood.log", kLine);
  EXPECT_EQ(log.wrong, std::vector<std::string>{});
  EXPECT_EQ(log.first, 0U);
  EXPECT_GE(log.lines, progress->lines);  // one may have been written and not counted
  EXPECT_LE(log.lines, progress->lines + 1);
  const auto left = log_files();
  for (const auto& file : left) {
    struct stat st{};
    ASSERT_EQ(::stat((logs() + "/" + file).c_str(), &st), 0);
    EXPECT_LE(st.st_size, 200000) << file;
    EXPECT_FALSE(file.ends_with(".new"));
  }
}

// As a kubelet does it: move the file, ask for a new one; if that fails, move it back.
TEST_F(LogTest, RotationsOfAKubeletLoseAndDoubleNothing) {
  const int rotations = long_run() ? 1000 : 60;
  ASSERT_NO_FATAL_FAILURE(start_node());
  const auto id = start_flood(20 * kMB, 30000);  // lines in several pieces: a rotation comes in the middle of one
  const std::string path = logs() + "/flood.log";
  int failed = 0;
  for (int i = 0; i < rotations; i++) {
    const std::string moved = path + ".20260101-" + std::to_string(100000 + i);
    ASSERT_EQ(::rename(path.c_str(), moved.c_str()), 0);
    const bool kill = i % (rotations / 4) == rotations / 8;
    if (kill) node->stop_daemon(SIGKILL);
    cri::ReopenContainerLogRequest request;
    cri::ReopenContainerLogResponse response;
    request.set_container_id(id);
    auto status = kill ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "killed")
                       : node->cri().call(&cri::RuntimeService::Stub::ReopenContainerLog, request, &response);
    if (!status.ok()) {
      failed++;
      ASSERT_EQ(::rename(moved.c_str(), path.c_str()), 0);
    }
    if (kill) {
      ASSERT_TRUE(node->start_daemon()) << node->log();
    }
    std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_LE(failed, 5);
  end_flood();
  expect_complete(read_flood(logs(), "flood.log", 30000), progress->lines);
}

TEST_F(LogTest, AFullDiskStopsNobodyAndIsCounted) {
  ASSERT_NO_FATAL_FAILURE(start_node());
  ASSERT_EQ(::mount("tmpfs", logs().c_str(), "tmpfs", 0, "size=8m"), 0);
  mounted = true;
  const std::string ballast = logs() + "/ballast";
  {
    std::ofstream out(ballast);
    out << std::string(6 << 20, 'x');
  }
  const auto id = start_flood(10 * kMB);
  ASSERT_TRUE(gets_on(4000));  // 2 MB of room
  for (int i = 0; i < 500 && number_in_info(id, "logDroppedBytes") == 0; i++)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_GT(number_in_info(id, "logDroppedBytes"), 0U);
  ASSERT_TRUE(gets_on(2000));  // it does not wait
  ASSERT_TRUE(std::filesystem::remove(ballast));
  const auto size = std::filesystem::file_size(logs() + "/flood.log");
  for (int i = 0; i < 1000 && std::filesystem::file_size(logs() + "/flood.log") == size; i++)
    std::this_thread::sleep_for(milliseconds(1));
  EXPECT_GT(std::filesystem::file_size(logs() + "/flood.log"), size);
  progress->stop = 1;
  ASSERT_TRUE(node->cri().wait_state(id, cri::CONTAINER_EXITED, seconds(60)));
  EXPECT_EQ(node->cri().container_status(id).exit_code(), 0);
  auto log = read_flood(logs(), "flood.log", kLine, true);
  EXPECT_EQ(log.wrong, std::vector<std::string>{});
  EXPECT_GT(log.missing_lines, 0U);
  // Every byte is in the log or counted.
  EXPECT_EQ(log.bytes + number_in_info(id, "logDroppedBytes"), progress->bytes);
  node->stop_daemon(SIGKILL);
  ASSERT_TRUE(node->start_daemon()) << node->log();
  EXPECT_EQ(log.bytes + number_in_info(id, "logDroppedBytes"), progress->bytes);
}

// As fast as it can write; a second container of the Pod is served all the while.
TEST_F(LogTest, TheDiskStaysBoundedAndTheNeighbourIsServed) {
  const std::uint64_t limit = long_run() ? 10 << 20 : 1 << 20;
  ASSERT_NO_FATAL_FAILURE(start_node("  log-max-bytes: " + std::to_string(limit) + "\n  log-max-files: 5\n"));
  const auto neighbour = start(sleeper("neighbour"));
  const auto begin = Clock::now();
  const auto id = start_flood(0);
  std::uint64_t most = 0;
  int execs = 0;
  for (const auto end = begin + seconds(long_run() ? 30 : 2); Clock::now() < end;) {
    std::map<ino_t, std::uint64_t> files;  // a file may get its next name while the directory is read
    const auto names = log_files();
    for (const auto& name : names) {
      struct stat st{};
      if (::stat((logs() + "/" + name).c_str(), &st) == 0) files[st.st_ino] = static_cast<std::uint64_t>(st.st_size);
    }
    std::uint64_t sum = 0;
    for (const auto& [inode, size] : files) sum += size;
    most = std::max(most, sum);
    cri::ExecSyncResponse out;
    if (execs++ % 8 == 0) {
      ASSERT_TRUE(node->cri().exec(neighbour, {"echo", "on"}, 10, &out).ok());
    }
    std::this_thread::sleep_for(milliseconds(5));
  }
  tell("at full speed", Clock::now() - begin, monitor_cpu(id));
  std::printf("most on disk: %.2f MiB of %.0f x 5\n", static_cast<double>(most) / (1 << 20),
              static_cast<double>(limit) / (1 << 20));
  EXPECT_LE(most, 5 * limit);
  EXPECT_GT(progress->bytes, 6 * limit);
  end_flood();
  // What is still there has no gap.
  auto log = read_flood(logs(), "flood.log", kLine);
  EXPECT_EQ(log.wrong, std::vector<std::string>{});
  EXPECT_EQ(log.first + log.lines, progress->lines);
}

// Software that is not ours reads the live file of a rotated log, and the end of one without a newline.
TEST_F(LogTest, CrictlReadsThem) {
  const auto crictl = find_tool("crictl");
  if (crictl.empty()) GTEST_SKIP() << "crictl is neither in PATH nor named by CRICTL: logs were not read by it";
  ASSERT_NO_FATAL_FAILURE(start_node("  log-max-bytes: 20000\n  log-max-files: 3\n"));
  auto logs_of = [&](const std::string& id, const std::string& tail) {
    return node->run({crictl, "--runtime-endpoint", "unix://" + node->socket(), "logs", "--tail", tail, id}).out;
  };
  const auto id =
      start(script("c", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; printf 'no newline'"));
  ASSERT_TRUE(node->cri().wait_state(id, cri::CONTAINER_EXITED, seconds(30)));
  EXPECT_TRUE(sys::exists(logs() + "/c.log.2"));
  EXPECT_FALSE(sys::exists(logs() + "/c.log.3"));
  EXPECT_EQ(logs_of(id, "3"), "line 1998\nline 1999\nno newline\n");
  // All of the live file, line by line what our own reader finds.
  std::ifstream in(logs() + "/c.log");
  std::string record, content, want;
  char tag = 0;
  for (; std::getline(in, record); want += content + "\n") {
    ASSERT_EQ(check_record(record, &tag, &content), "") << record;
    EXPECT_EQ(tag, 'F');
  }
  EXPECT_EQ(logs_of(id, "-1"), want);
  const auto long_line = start(script("long", "head -c 20000 /dev/zero | tr '\\0' x; echo; echo end"));
  ASSERT_TRUE(node->cri().wait_state(long_line, cri::CONTAINER_EXITED, seconds(30)));
  EXPECT_EQ(logs_of(long_line, "-1"), "end\n");  // the line before it went past the limit: its file is full
}

}  // namespace
}  // namespace podshim::test
