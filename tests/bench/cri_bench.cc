// cri_bench: one CRI client for two runtimes, rounds interleaved, so that both meet the same machine.
//
//   cri_bench --ours SOCKET --peer SOCKET --samples FILE [--rounds 20] [--image REF] [--cgroup-parent PATH]
//
// Wall time of the RPC as the client sees it. A round runs a whole Pod on one side, then on the other; the order
// changes every round, and one warm-up round each is not counted. First back to back, then 100 ms apart, then ten Pods
// at a time; at last memory at 40 Pods. Pss is found by process name: run it where nobody else's monitors are to be
// seen (hack/bench gives it a pid namespace).
#include <dirent.h>

#include <atomic>
#include <barrier>
#include <cstring>
#include <fstream>
#include <map>
#include <thread>
#include <vector>

#include "tests/bench/samples.h"
#include "tests/support/cri_client.h"

namespace podshim::bench {
namespace {

using test::CriClient;
namespace cri = test::cri;
constexpr int kTen = 10, kForty = 40;

struct Side {
  std::string name, daemon, monitor, cgroup_parent;
  std::vector<std::unique_ptr<CriClient>> clients;  // one per thread
  CriClient& client() { return *clients[0]; }
};

struct Bench {
  Side sides[2];
  Samples& samples;
  std::string image;
  int rounds;
};

void need(const Side& side, const char* what, const grpc::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "cri_bench: %s %s: %s\n", side.name.c_str(), what, status.error_message().c_str());
  std::exit(1);
}

struct Pod {
  cri::PodSandboxConfig config;
  std::string id, container;
};

void run_sandbox(Side& side, CriClient& client, const std::string& name, Pod* pod) {
  pod->config = test::pod_config(name, side.cgroup_parent);
  auto made = client.run_sandbox(pod->config);
  need(side, "RunPodSandbox", made.status);
  pod->id = made.id;
}

void start_container(Side& side, CriClient& client, const std::string& image, Pod* pod) {
  auto made = client.create_container(pod->id, test::container_config("c", image, {"/bin/sleep", "1000"}), pod->config);
  need(side, "CreateContainer", made.status);
  need(side, "StartContainer", client.start(made.id));
  pod->container = made.id;
}

void remove_sandbox(Side& side, CriClient& client, const Pod& pod) {
  need(side, "StopPodSandbox", client.stop_sandbox(pod.id));
  need(side, "RemovePodSandbox", client.remove_sandbox(pod.id));
}

// One Pod's life; `table` is the prefix of the keys, empty in the warm-up.
void life(Bench& b, Side& side, const std::string& table, const std::string& name, int gap_ms) {
  auto begin = Clock::now();
  auto note = [&](const char* what) {
    if (!table.empty()) b.samples.add(table + what, side.name, ms_since(begin));
    std::this_thread::sleep_for(std::chrono::milliseconds(gap_ms));
    begin = Clock::now();
  };
  Pod pod;
  run_sandbox(side, side.client(), name, &pod);
  note(".run");
  start_container(side, side.client(), b.image, &pod);
  note(".start");
  cri::ExecSyncResponse out;
  need(side, "ExecSync", side.client().exec(pod.container, {"/bin/true"}, 10, &out));
  if (out.exit_code() != 0) need(side, "ExecSync", {grpc::StatusCode::UNKNOWN, "exit code not 0"});
  note(".exec");
  need(side, "StopContainer", side.client().stop(pod.container, 0));
  note(".stop");
  remove_sandbox(side, side.client(), pod);
  note(".gone");
}

// fn(client, i) for i in [0, count) on `side`, ten threads; wall time in seconds.
template <typename Fn>
double ten_at_a_time(Side& side, int count, Fn fn) {
  std::atomic<int> next = 0;
  std::barrier gate(kTen + 1);
  std::vector<std::thread> threads;
  for (int t = 0; t < kTen; t++)
    threads.emplace_back([&, t] {
      gate.arrive_and_wait();
      for (int i = next++; i < count; i = next++) fn(*side.clients[static_cast<std::size_t>(t)], i);
    });
  auto begin = Clock::now();
  gate.arrive_and_wait();
  for (auto& thread : threads) thread.join();
  return ms_since(begin) / 1000;
}

double up(Bench& b, Side& side, const std::string& prefix, std::vector<Pod>* pods) {
  return ten_at_a_time(side, static_cast<int>(pods->size()), [&](CriClient& client, int i) {
    auto& pod = (*pods)[static_cast<std::size_t>(i)];
    run_sandbox(side, client, prefix + std::to_string(i), &pod);
    start_container(side, client, b.image, &pod);
  });
}

double gone(Side& side, const std::vector<Pod>& pods) {
  return ten_at_a_time(side, static_cast<int>(pods.size()), [&](CriClient& client, int i) {
    remove_sandbox(side, client, pods[static_cast<std::size_t>(i)]);
  });
}

void ten(Bench& b, Side& side, const std::string& name, bool counted) {
  std::vector<Pod> pods(kTen);
  double up_s = up(b, side, name, &pods), gone_s = gone(side, pods);
  if (!counted) return;
  b.samples.add("pods.ten.up", side.name, kTen / up_s);
  b.samples.add("pods.ten.gone", side.name, kTen / gone_s);
}

// The sum of Pss over all processes of this name (comm: 15 characters), kB.
double pss_kb(const std::string& name) {
  double sum = 0;
  DIR* proc = ::opendir("/proc");
  while (const dirent* entry = ::readdir(proc)) {
    std::string dir = std::string("/proc/") + entry->d_name, comm, word;
    if (!std::isdigit(static_cast<unsigned char>(entry->d_name[0])) || !(std::ifstream(dir + "/comm") >> comm) ||
        comm != name)
      continue;
    std::ifstream rollup(dir + "/smaps_rollup");
    while (rollup >> word)
      if (double kb = 0; word == "Pss:" && rollup >> kb) sum += kb;
  }
  ::closedir(proc);
  return sum;
}

void memory_idle(Bench& b) {
  for (auto& side : b.sides) b.samples.add("pods.memory.idle", side.name, pss_kb(side.daemon) / 1024);
}

// One side at a time: both call a process "pause".
void memory_forty(Bench& b, Side& side) {
  std::vector<Pod> pods(kForty);
  up(b, side, "forty", &pods);
  std::this_thread::sleep_for(std::chrono::seconds(2));
  for (const auto& name : {side.monitor, std::string("pause")})
    if (pss_kb(name) == 0) need(side, "memory", {grpc::StatusCode::NOT_FOUND, "no process is called " + name});
  b.samples.add("pods.memory.pod", side.name, (pss_kb(side.monitor) + pss_kb("pause")) / kForty);
  b.samples.add("pods.memory.forty", side.name, pss_kb(side.daemon) / 1024);
  for (int i = -1; i < b.rounds; i++) {
    auto begin = Clock::now();
    cri::ListContainerStatsResponse stats;
    need(side, "ListContainerStats",
         side.client().call(&cri::RuntimeService::Stub::ListContainerStats, cri::ListContainerStatsRequest(), &stats));
    if (stats.stats_size() != kForty) need(side, "ListContainerStats", {grpc::StatusCode::NOT_FOUND, "not all listed"});
    if (i >= 0) b.samples.add("pods.memory.stats", side.name, ms_since(begin));
  }
  gone(side, pods);
}

// fn(side, round) for both sides of every round; round -1 warms up.
template <typename Fn>
void interleaved(Bench& b, Fn fn) {
  for (int i = -1; i < b.rounds; i++) {
    fn(b.sides[i & 1], i);
    fn(b.sides[(i & 1) ^ 1], i);
  }
}

bool connect(Side& side, const std::string& socket) {
  for (int t = 0; t < kTen; t++) side.clients.push_back(std::make_unique<CriClient>(socket, std::chrono::seconds(120)));
  for (auto& client : side.clients)
    if (!client->wait_ready(std::chrono::seconds(20))) return false;
  return true;
}

}  // namespace
}  // namespace podshim::bench

int main(int argc, char** argv) {
  using namespace podshim::bench;
  std::map<std::string, std::string> flags = {{"--rounds", "20"},
                                              {"--image", "podshim.dev/busybox:1"},
                                              {"--cgroup-parent", "/podshim-test/bench"},
                                              {"--samples", "/dev/stdout"}};
  for (int i = 1; i + 1 < argc; i += 2) flags[argv[i]] = argv[i + 1];
  Samples samples(flags["--samples"]);
  Bench b{.sides = {{.name = "ours", .daemon = "podshim", .monitor = "podshim-monitor"},
                    {.name = "peer", .daemon = "containerd", .monitor = "containerd-shim"}},
          .samples = samples,
          .image = flags["--image"],
          .rounds = std::atoi(flags["--rounds"].c_str())};
  for (auto& side : b.sides) {
    side.cgroup_parent = flags["--cgroup-parent"] + "-" + side.name;
    if (connect(side, flags["--" + side.name])) continue;
    std::fprintf(stderr, "cri_bench: %s does not answer\n", side.name.c_str());
    return 1;
  }
  memory_idle(b);
  interleaved(b, [&](Side& s, int i) { life(b, s, i < 0 ? "" : "pods.back", "b" + std::to_string(i + 1), 0); });
  interleaved(b, [&](Side& s, int i) { life(b, s, i < 0 ? "" : "pods.spaced", "s" + std::to_string(i + 1), 100); });
  interleaved(b, [&](Side& s, int i) { ten(b, s, "t" + std::to_string(i + 1) + "-", i >= 0); });
  for (auto& side : b.sides) memory_forty(b, side);
  return 0;
}
