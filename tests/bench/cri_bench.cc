// cri_bench: one CRI client for two runtimes, rounds interleaved, so that both meet the same machine.
//
//   cri_bench --a podshim=SOCKET --b containerd=SOCKET [--rounds 20] [--gap-ms 0] [--image REF] [--json FILE]
//
// Each round runs a whole Pod on one side, then on the other (the order changes every round): RunPodSandbox,
// CreateContainer + StartContainer, ExecSync `true`, StopPodSandbox + RemovePodSandbox with the container running. One
// warm-up round each is not counted. Wall time of the RPC as the client sees it; median, p95 and the ratio of medians
// are printed.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <thread>
#include <vector>

#include "common/json.h"
#include "tests/support/cri_client.h"

namespace podshim::test {
namespace {

using Clock = std::chrono::steady_clock;

struct Side {
  std::string name;
  std::string cgroup_parent;
  std::unique_ptr<CriClient> client;
  std::map<std::string, std::vector<double>> ms;
};

[[noreturn]] void die(const std::string& what, const grpc::Status& status) {
  std::fprintf(stderr, "cri_bench: %s: %s\n", what.c_str(), status.error_message().c_str());
  std::exit(1);
}

double since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

void round(Side& side, const std::string& image, int number, int gap_ms, bool counted) {
  auto pause = [&] {
    if (gap_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(gap_ms));
  };
  auto note = [&](const char* what, Clock::time_point begin) {
    if (counted) side.ms[what].push_back(since(begin));
    pause();
  };
  auto config = pod_config("bench-" + std::to_string(number), side.cgroup_parent);
  auto begin = Clock::now();
  auto pod = side.client->run_sandbox(config);
  if (!pod.status.ok()) die(side.name + " RunPodSandbox", pod.status);
  note("RunPodSandbox", begin);

  auto container = container_config("c", image, {"/bin/sleep", "1000"});
  begin = Clock::now();
  auto made = side.client->create_container(pod.id, container, config);
  if (!made.status.ok()) die(side.name + " CreateContainer", made.status);
  if (auto s = side.client->start(made.id); !s.ok()) die(side.name + " StartContainer", s);
  note("CreateContainer + StartContainer", begin);

  begin = Clock::now();
  cri::ExecSyncResponse out;
  if (auto s = side.client->exec(made.id, {"/bin/true"}, 10, &out); !s.ok() || out.exit_code() != 0)
    die(side.name + " ExecSync", s);
  note("ExecSync true", begin);

  begin = Clock::now();
  if (auto s = side.client->stop(made.id, 0); !s.ok()) die(side.name + " StopContainer", s);
  note("StopContainer, no grace", begin);

  begin = Clock::now();
  if (auto s = side.client->stop_sandbox(pod.id); !s.ok()) die(side.name + " StopPodSandbox", s);
  if (auto s = side.client->remove_sandbox(pod.id); !s.ok()) die(side.name + " RemovePodSandbox", s);
  note("StopPodSandbox + RemovePodSandbox", begin);
}

double at(std::vector<double> values, double quantile) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(quantile * static_cast<double>(values.size() - 1) + 0.5)];
}

}  // namespace
}  // namespace podshim::test

int main(int argc, char** argv) {
  using namespace podshim;
  using namespace podshim::test;
  Side sides[2];
  int rounds = 20, gap = 0;
  std::string image = "podshim.dev/busybox:1", json_file, parent = "/podshim-test/bench";
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--a" || flag == "--b") {
      auto& side = sides[flag == "--b"];
      side.name = value.substr(0, value.find('='));
      side.client = std::make_unique<CriClient>(value.substr(value.find('=') + 1));
    } else if (flag == "--rounds") {
      rounds = std::atoi(value.c_str());
    } else if (flag == "--gap-ms") {
      gap = std::atoi(value.c_str());
    } else if (flag == "--image") {
      image = value;
    } else if (flag == "--json") {
      json_file = value;
    } else if (flag == "--cgroup-parent") {
      parent = value;
    } else {
      std::fprintf(stderr, "cri_bench: unknown option %s\n", flag.c_str());
      return 2;
    }
  }
  for (auto& side : sides) {
    side.cgroup_parent = parent + "-" + side.name;
    if (side.client == nullptr || !side.client->wait_ready(std::chrono::seconds(20))) {
      std::fprintf(stderr, "cri_bench: %s does not answer\n", side.name.c_str());
      return 1;
    }
  }
  for (int i = -1; i < rounds; i++) {
    round(sides[i & 1], image, i + 1, gap, i >= 0);
    round(sides[(i & 1) ^ 1], image, i + 1, gap, i >= 0);
  }
  const char* rows[] = {"RunPodSandbox", "CreateContainer + StartContainer", "ExecSync true", "StopContainer, no grace",
                        "StopPodSandbox + RemovePodSandbox"};
  std::printf("%-36s %10s %10s %10s %10s %8s\n", "ms, median and p95 of the RPC", sides[0].name.c_str(), "p95",
              sides[1].name.c_str(), "p95", "ratio");
  auto document = json::Value::object();
  document.set("rounds", rounds).set("gap_ms", gap);
  for (const char* row : rows) {
    double a = at(sides[0].ms[row], 0.5), b = at(sides[1].ms[row], 0.5);
    std::printf("%-36s %10.2f %10.2f %10.2f %10.2f %7.1fx\n", row, a, at(sides[0].ms[row], 0.95), b,
                at(sides[1].ms[row], 0.95), b / a);
    auto entry = json::Value::object();
    for (auto& side : sides)
      entry.set(side.name,
                json::Value::object().set("median_ms", at(side.ms[row], 0.5)).set("p95_ms", at(side.ms[row], 0.95)));
    document.set(row, entry.set("ratio", b / a));
  }
  if (!json_file.empty()) std::ofstream(json_file) << json::dump(document, 2) << "\n";
  return 0;
}
