// density_bench [--pods N] [--containers M] [--dead D] [--rounds R] [--idle SECONDS] [--samples FILE]: a node of its
// own with N Pods of M idle containers. Times of the stats and list calls, of a whole relist as a kubelet's PLEG makes
// it, beside D dead containers (records made by a script before the daemon starts again), and the CPU share of daemon
// and monitors while a kubelet's calls come at its rates. Prints one line a figure. Needs root and $PODSHIM_IMAGES.
#include <dirent.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <ctime>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include "common/ids.h"
#include "tests/bench/samples.h"
#include "tests/support/node.h"
#include "tests/support/node_suite.h"

namespace podshim::bench {
namespace {

using test::CriClient;
using test::Node;
namespace cri = test::cri;
using Stub = cri::RuntimeService::Stub;

int option(int argc, char** argv, const char* name, int unset) {
  for (int i = 1; i + 1 < argc; i++)
    if (std::strcmp(argv[i], name) == 0) return std::atoi(argv[i + 1]);
  return unset;
}

void die(const std::string& what, const grpc::Status& status) {
  std::fprintf(stderr, "density_bench: %s: %s\n", what.c_str(), status.error_message().c_str());
  std::exit(1);
}

struct Fleet {
  std::vector<std::string> pods, containers;
};

Fleet make_fleet(Node& node, int pods, int per_pod) {
  Fleet out;
  out.pods.resize(static_cast<std::size_t>(pods));
  std::vector<std::vector<std::string>> containers(static_cast<std::size_t>(pods));
  std::atomic<int> next{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; t++)
    threads.emplace_back([&] {
      CriClient client(node.socket(), std::chrono::seconds(120));
      for (int i; (i = next++) < pods;) {
        // As a kubelet: each Pod has a cgroup of its own.
        auto config = test::pod_config("p" + std::to_string(i), node.cgroup_parent() + "/pod" + std::to_string(i));
        auto pod = client.run_sandbox(config);
        if (!pod.status.ok()) die("RunPodSandbox", pod.status);
        out.pods[static_cast<std::size_t>(i)] = pod.id;
        for (int c = 0; c < per_pod; c++) {
          auto made = client.create_container(
              pod.id, test::container_config("c" + std::to_string(c), test::kBusybox, {"sleep", "1000000"}), config);
          if (!made.status.ok()) die("CreateContainer", made.status);
          if (auto started = client.start(made.id); !started.ok()) die("StartContainer", started);
          containers[static_cast<std::size_t>(i)].push_back(made.id);
        }
      }
    });
  for (auto& t : threads) t.join();
  for (auto& list : containers) out.containers.insert(out.containers.end(), list.begin(), list.end());
  return out;
}

// Rows of hack/bench.d/rows when --samples FILE was given.
std::unique_ptr<Samples> g_samples;
void sample(const std::string& key, double value) {
  if (g_samples) g_samples->add(key, "ours", value);
}

void print(const std::string& key, const std::string& what, std::vector<double> ms) {
  for (double value : ms) sample(key, value);
  std::sort(ms.begin(), ms.end());
  auto at = [&](double share) { return ms[static_cast<std::size_t>(share * static_cast<double>(ms.size() - 1))]; };
  std::printf("%-52s median %7.2f  p95 %7.2f  p99 %7.2f  max %7.2f ms\n", what.c_str(), at(0.5), at(0.95), at(0.99),
              ms.back());
}

// CPU time of the process so far, with that of threads that have ended.
double cpu_ms(const std::string& pid) {
  clockid_t clock;
  timespec used{};
  if (::clock_getcpuclockid(std::atoi(pid.c_str()), &clock) != 0 || ::clock_gettime(clock, &used) != 0) return 0;
  return static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) / 1e6;
}

// The daemon and the monitors of these Pods.
std::vector<std::string> processes(const Node& node, const std::vector<std::string>& pods) {
  std::vector<std::string> out = {std::to_string(node.daemon_pid())};
  DIR* proc = ::opendir("/proc");
  while (const dirent* entry = ::readdir(proc)) {
    std::string comm, cmdline;
    std::ifstream(std::string("/proc/") + entry->d_name + "/comm") >> comm;
    std::getline(std::ifstream(std::string("/proc/") + entry->d_name + "/cmdline"), cmdline);
    if (comm == "podshim-monitor" &&
        std::any_of(pods.begin(), pods.end(), [&](const auto& id) { return cmdline.find(id) != std::string::npos; }))
      out.push_back(entry->d_name);
  }
  ::closedir(proc);
  return out;
}

double cpu_ms(const std::vector<std::string>& pids) {
  double sum = 0;
  for (const auto& pid : pids) sum += cpu_ms(pid);
  return sum;
}

template <typename Request, typename Response, typename Method, typename Check>
void time_call(Node& node, const std::string& key, const std::string& what, int rounds, int pause_ms, Method method,
               Check check) {
  std::vector<double> ms;
  const std::string daemon = std::to_string(node.daemon_pid());
  double cpu = 0;
  for (int i = -2; i < rounds; i++) {
    Response response;
    std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    const double before = cpu_ms(daemon);
    const auto begin = Clock::now();
    auto status = node.cri().call(method, Request(), &response);
    const double took = ms_since(begin);
    if (!status.ok() || !check(response)) die(what, status);
    if (i < 0) continue;
    ms.push_back(took);
    cpu += cpu_ms(daemon) - before;
  }
  print(key, what, std::move(ms));
  std::printf("%-52s %.2f ms\n", "  CPU of the daemon a call", cpu / rounds);
}

// What a PLEG does when all has changed: both lists, then each Pod's status and each container's.
void relist(Node& node, const Fleet& fleet, int rounds) {
  std::vector<double> lists, all;
  for (int i = -2; i < rounds; i++) {
    const auto begin = Clock::now();
    cri::ListPodSandboxResponse pods;
    cri::ListContainersResponse containers;
    node.cri().call(&Stub::ListPodSandbox, cri::ListPodSandboxRequest(), &pods);
    node.cri().call(&Stub::ListContainers, cri::ListContainersRequest(), &containers);
    const double listed = ms_since(begin);
    for (const auto& id : fleet.pods) node.cri().sandbox_status(id);
    for (const auto& id : fleet.containers) node.cri().container_status(id);
    if (i < 0) continue;
    lists.push_back(listed);
    all.push_back(ms_since(begin));
  }
  const std::string of = std::to_string(fleet.containers.size()) + " containers";
  print("lists.relist", "relist, " + of + ": both lists", lists);
  print("lists.every", "  and the status of each, one after another", all);
}

// A kubelet's rates (calls a minute), on an idle node.
void idle(Node& node, const Fleet& fleet, int seconds) {
  const auto pids = processes(node, fleet.pods);
  struct Call {
    double per_minute, due = 0;
    std::function<void()> make;
  };
  auto& client = node.cri();
  std::size_t next = 0;
  auto unary = [&](auto method, auto request, auto response) {
    return [&client, method, request, response]() mutable { client.call(method, request, &response); };
  };
  using Images = cri::ImageService::Stub;
  std::vector<Call> calls = {
      {104, 0, unary(&Stub::ListContainers, cri::ListContainersRequest(), cri::ListContainersResponse())},
      {97, 0, unary(&Stub::ListPodSandbox, cri::ListPodSandboxRequest(), cri::ListPodSandboxResponse())},
      {6.0 * static_cast<double>(fleet.containers.size()), 0,
       [&] { client.container_status(fleet.containers[next++ % fleet.containers.size()]); }},
      {12, 0, unary(&Stub::Status, cri::StatusRequest(), cri::StatusResponse())},
      {6, 0, unary(&Stub::Version, cri::VersionRequest(), cri::VersionResponse())},
      {6, 0, unary(&Stub::ListContainerStats, cri::ListContainerStatsRequest(), cri::ListContainerStatsResponse())},
      {6, 0, unary(&Images::ImageFsInfo, cri::ImageFsInfoRequest(), cri::ImageFsInfoResponse())},
      {2, 0, unary(&Images::ListImages, cri::ListImagesRequest(), cri::ListImagesResponse())}};
  const auto begin = Clock::now();
  const double before = cpu_ms(pids);
  int made = 0;
  for (double now = 0; now < seconds; now = ms_since(begin) / 1000) {
    for (auto& call : calls)
      for (; call.due <= now; call.due += 60 / call.per_minute, made++) call.make();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const double share = (cpu_ms(pids) - before) / ms_since(begin) * 100;
  sample("lists.idle", share);
  std::printf(
      "idle, %zu Pods, %zu containers, a kubelet's calls: %d in %d s, daemon + %zu monitors %.3f %% of a core\n",
      fleet.pods.size(), fleet.containers.size(), made, seconds, pids.size() - 1, share);
}

// Copies of one container's record that has ended, as a daemon of before left them.
void make_dead(Node& node, const std::string& container, int count) {
  node.cri().stop(container, 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  node.stop_daemon(SIGTERM);
  const std::string dir = node.dir() + "/root/containers/";
  std::stringstream text;
  text << std::ifstream(dir + container + "/record.json").rdbuf();
  const std::string name = "\"name\":\"c0\"";
  for (int i = 0; i < count; i++) {
    std::string record = text.str(), id = random_hex(32);
    for (std::size_t at; (at = record.find(container)) != std::string::npos;) record.replace(at, id.size(), id);
    if (const auto at = record.find(name); at != std::string::npos)
      record.replace(at, name.size(), "\"name\":\"dead" + std::to_string(i) + "\"");
    std::string make = dir + id;
    ::mkdir(make.c_str(), 0700);
    ::mkdir((make + "/upper").c_str(), 0755);
    std::ofstream(make + "/record.json") << record;
  }
  const auto begin = Clock::now();
  if (!node.start_daemon()) die("start with dead containers", {grpc::StatusCode::INTERNAL, node.log().substr(0, 4096)});
  std::printf("%-52s %.0f ms\n", ("daemon's start with " + std::to_string(count) + " dead containers").c_str(),
              ms_since(begin));
}

}  // namespace
}  // namespace podshim::bench

int main(int argc, char** argv) {
  using namespace podshim::bench;
  const int pods = option(argc, argv, "--pods", 50), per_pod = option(argc, argv, "--containers", 10);
  const int dead = option(argc, argv, "--dead", 0), rounds = option(argc, argv, "--rounds", 30);
  const int idle_seconds = option(argc, argv, "--idle", 0);
  for (int i = 1; i + 1 < argc; i++)
    if (std::strcmp(argv[i], "--samples") == 0) g_samples = std::make_unique<Samples>(argv[i + 1]);
  Node node({.log_level = "info"});  // as users run it
  if (!node.start_daemon()) die("start", {grpc::StatusCode::INTERNAL, node.log()});
  if (auto done = node.import_image(podshim::test::image_archive("busybox.tar")); done.exit_code != 0)
    die("import", {grpc::StatusCode::INTERNAL, done.err});
  auto fleet = make_fleet(node, pods, per_pod);
  const int all = pods * per_pod;
  const std::string of = ", " + std::to_string(all) + " containers";
  time_call<cri::VersionRequest, cri::VersionResponse>(node, "lists.version", "Version, spaced", rounds, 100,
                                                       &Stub::Version, [](const auto&) { return true; });
  time_call<cri::ListContainersRequest, cri::ListContainersResponse>(
      node, "lists.list", "ListContainers" + of + ", spaced", rounds, 100, &Stub::ListContainers,
      [&](const auto& r) { return r.containers_size() == all; });
  for (int pause : {100, 0}) {
    const std::string how = of + (pause != 0 ? ", spaced" : ", back to back");
    const std::string key = pause != 0 ? "spaced" : "back";
    time_call<cri::ListContainerStatsRequest, cri::ListContainerStatsResponse>(
        node, "lists.stats." + key, "ListContainerStats" + how, rounds, pause, &Stub::ListContainerStats,
        [&](const auto& r) { return r.stats_size() == all; });
    time_call<cri::ListPodSandboxStatsRequest, cri::ListPodSandboxStatsResponse>(
        node, "lists.pods." + key, "ListPodSandboxStats" + how, rounds, pause, &Stub::ListPodSandboxStats,
        [&](const auto& r) { return r.stats_size() == pods && r.stats(0).linux().containers_size() == per_pod; });
  }
  time_call<cri::ListPodSandboxMetricsRequest, cri::ListPodSandboxMetricsResponse>(
      node, "lists.metrics", "ListPodSandboxMetrics" + of, std::min(rounds, 5), 0, &Stub::ListPodSandboxMetrics,
      [&](const auto& r) { return r.pod_metrics_size() == pods; });
  relist(node, fleet, rounds);
  if (idle_seconds != 0) idle(node, fleet, idle_seconds);
  if (dead != 0) {
    make_dead(node, fleet.containers.front(), dead);
    time_call<cri::ListContainersRequest, cri::ListContainersResponse>(
        node, "lists.dead", "ListContainers, " + std::to_string(dead) + " dead ones", rounds, 0, &Stub::ListContainers,
        [&](const auto& r) { return r.containers_size() == dead + all; });
  }
  std::vector<std::thread> threads;
  std::atomic<std::size_t> next{0};
  for (int t = 0; t < 8; t++)
    threads.emplace_back([&] {
      CriClient client(node.socket(), std::chrono::seconds(300));
      for (std::size_t i; (i = next++) < fleet.pods.size();) {
        client.stop_sandbox(fleet.pods[i]);
        client.remove_sandbox(fleet.pods[i]);
      }
    });
  for (auto& t : threads) t.join();
  node.stop_daemon(SIGTERM);
  return node.leaks().empty() ? 0 : 1;
}
