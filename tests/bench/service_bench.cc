// service_bench: how long netproxy takes from its start to the kernel's acknowledgement of the last batch, and for one
// changed endpoint from the event of the file, also where it gives the Service a number of endpoints that none had; its
// Pss.
//
//   service_bench --program NETPROXY --services N --dir DIR --samples FILE [--rounds 5] [--changes 21]
//
// N Services x 5 endpoints, each a Service and an EndpointSlice in a JSON file below DIR (a tmpfs, as the default
// directory is). The clock is ours alone: it starts before the spawn, or before the rename of the new file, and stops
// when the line that netproxy logs behind the acknowledgement arrives through a pipe. Every round begins with an empty
// table. Run it in a network namespace made for it.
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <map>
#include <thread>
#include <vector>

#include "common/ip.h"
#include "common/sys/file.h"
#include "tests/bench/samples.h"

extern char** environ;

namespace podshim::bench {
namespace {

constexpr int kEndpoints = 5, kScaledTo = 25, kPatienceMs = 120000;

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "service_bench: %s\n", why.c_str());
  std::exit(1);
}

std::string service_json(int i) {
  auto name = "svc-" + std::to_string(i);
  auto vip = IpAddress::v4(0x0a2b0001U + static_cast<std::uint32_t>(i)).str();  // 10.43.0.1 and up
  return R"({"apiVersion":"v1","kind":"Service","metadata":{"name":")" + name +
         R"(","namespace":"bench","labels":{"app":")" + name + R"("}},"spec":{"type":"ClusterIP","clusterIP":")" + vip +
         R"(","clusterIPs":[")" + vip + R"("],"selector":{"app":")" + name +
         R"("},"sessionAffinity":"None","internalTrafficPolicy":"Cluster","ports":[{"name":"http","protocol":"TCP",)" +
         R"("port":80,"targetPort":8080}]}})";
}

// `changed`: the first endpoint has another address; those beyond the usual number have addresses of their own.
std::string slice_json(int i, bool changed, int count = kEndpoints) {
  auto name = "svc-" + std::to_string(i);
  std::string endpoints;
  for (int k = 0; k < count; k++) {
    auto n =
        k < kEndpoints ? static_cast<std::uint32_t>(i * kEndpoints + k) : (1U << 18) + static_cast<std::uint32_t>(k);
    if (changed && k == 0) n += 1U << 17;
    auto address = IpAddress::v4(0x0a640001U + n).str();  // 10.100.0.1 and up
    endpoints += (k == 0 ? "" : ",") + (R"({"addresses":[")" + address) +
                 R"("],"conditions":{"ready":true,"serving":true,"terminating":false},"nodeName":"node",)" +
                 R"("targetRef":{"kind":"Pod","namespace":"bench","name":")" + name + "-" + std::to_string(k) +
                 R"("}})";
  }
  return R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":")" + name +
         R"(-1","namespace":"bench","labels":{"kubernetes.io/service-name":")" + name +
         R"("}},"addressType":"IPv4","endpoints":[)" + endpoints +
         R"(],"ports":[{"name":"http","protocol":"TCP","port":8080}]})";
}

void write(const std::string& file, const std::string& text) {
  if (auto done = sys::write_file_atomic(file, text); !done) die(done.error().text());
}

// The program with its stderr in a pipe.
class Netproxy {
 public:
  Netproxy(const std::string& program, const std::vector<std::string>& more) {
    int log[2];
    if (::pipe2(log, O_CLOEXEC) != 0) die("pipe");
    log_ = Fd(log[0]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, log[1], 2);
    std::vector<std::string> words = {program};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> argv;
    for (auto& w : words) argv.push_back(w.data());
    argv.push_back(nullptr);
    if (::posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ) != 0) die("spawn " + program);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(log[1]);
  }
  ~Netproxy() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  int exit_code() {  // of one that ends by itself
    int status = 0;
    while (read_more()) {
    }
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return status;
  }
  // Returns as soon as a line with this text has come; lines before it are gone.
  void wait_line(const std::string& text) {
    for (;;) {
      for (auto end = unread_.find('\n'); end != std::string::npos; end = unread_.find('\n')) {
        auto line = unread_.substr(0, end);
        unread_.erase(0, end + 1);
        if (line.find(text) != std::string::npos) return;
      }
      if (!read_more()) die("netproxy never said \"" + text + "\"");
    }
  }

 private:
  bool read_more() {
    pollfd p{.fd = log_.get(), .events = POLLIN, .revents = 0};
    char buffer[4096];
    if (::poll(&p, 1, kPatienceMs) != 1) return false;
    auto n = ::read(log_.get(), buffer, sizeof buffer);
    if (n > 0) unread_.append(buffer, static_cast<std::size_t>(n));
    return n > 0;
  }
  Fd log_;
  pid_t pid_ = 0;
  std::string unread_;
};

double pss_mb(pid_t pid) {
  std::ifstream rollup("/proc/" + std::to_string(pid) + "/smaps_rollup");
  double kb = 0;
  for (std::string word; rollup >> word;)
    if (word == "Pss:" && rollup >> kb) return kb / 1024;
  return 0;
}

struct Setting {
  std::string program, dir, table;
  int services, changes;
};

// From an empty table; `counted` false warms up. The last round changes endpoints, too.
void round(Samples& out, const Setting& s, bool counted, bool last) {
  const std::vector<std::string> words = {
      "--source", s.dir + "/services", "--status-file", s.dir + "/status.json", "--node-name",
      "node",     "--node-ip",         "198.51.100.2"};
  auto cleanup = words;
  cleanup.emplace_back("--cleanup");
  {
    Netproxy once(s.program, cleanup);
    if (once.exit_code() != 0) die("netproxy --cleanup failed");
  }
  auto begin = Clock::now();
  Netproxy netproxy(s.program, words);
  netproxy.wait_line("table built");
  if (counted) out.add(s.table + ".load", "ours", ms_since(begin));
  if (!last) return;
  std::this_thread::sleep_for(std::chrono::seconds(2));  // its second look at UDP flows is over
  out.add(s.table + ".pss", "ours", pss_mb(netproxy.pid()));
  const int victim = s.services / 2;
  const auto file = s.dir + "/services/svc-" + std::to_string(victim) + "-1.json";
  auto change = [&](const char* row, const std::string& slice, int pause_ms) {
    write(s.dir + "/next", slice);
    begin = Clock::now();
    if (::rename((s.dir + "/next").c_str(), file.c_str()) != 0) die("rename " + file);
    netproxy.wait_line("programmed service=bench/svc-" + std::to_string(victim) + " ");
    out.add(s.table + row, "ours", ms_since(begin));
    std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
  };
  for (int i = 0; i < s.changes; i++) change(".change", slice_json(victim, i % 2 == 0), 100);
  // No Service had these numbers before. Up beyond those whose chains come with the table, 0.4 s between two, which
  // is quick for a rollout; and down at once, through numbers that nobody had either.
  for (int n = kEndpoints + 1; n <= kScaledTo; n++) change(".scale-up", slice_json(victim, false, n), 400);
  for (int n = kEndpoints - 1; n >= 1; n--) change(".scale-down", slice_json(victim, false, n), 100);
}

}  // namespace
}  // namespace podshim::bench

int main(int argc, char** argv) {
  using namespace podshim::bench;
  std::map<std::string, std::string> flags = {{"--rounds", "5"}, {"--changes", "21"}, {"--samples", "/dev/stdout"}};
  for (int i = 1; i + 1 < argc; i += 2) flags[argv[i]] = argv[i + 1];
  Setting s{.program = flags["--program"],
            .dir = flags["--dir"],
            .table = "netproxy." + flags["--services"],
            .services = std::atoi(flags["--services"].c_str()),
            .changes = std::atoi(flags["--changes"].c_str())};
  Samples out(flags["--samples"]);
  if (auto made = podshim::sys::make_dirs(s.dir + "/services"); !made) die(made.error().text());
  for (int i = 0; i < s.services; i++) {
    write(s.dir + "/services/svc-" + std::to_string(i) + ".json", service_json(i));
    write(s.dir + "/services/svc-" + std::to_string(i) + "-1.json", slice_json(i, false));
  }
  const int rounds = std::atoi(flags["--rounds"].c_str());
  for (int i = -1; i < rounds; i++) round(out, s, i >= 0, i + 1 == rounds);
  return 0;
}
